"""Query expansion and database-side augmentation: a vector becomes the mean of those around it.

    f'(x) = mean over the k nearest y of x, itself included, of max(s(x, y), 0)^alpha f(y),   s cosine similarity

alpha = 0 is average query expansion (Chum et al., ICCV 2007), alpha > 0 alpha-QE (Radenovic et al., TPAMI 2019).
"""

from __future__ import annotations

import numpy as np

from resight.errors import UsageError
from resight.evaluation.distances import MEMORY, Matrix, Single, spans
from resight.evaluation.reranking.joint_features import Joint
from resight.evaluation.reranking.neighbor_lists import neighbor_lists


def expand(
    query: Matrix,
    gallery: Matrix,
    k: int = 5,
    alpha: float = 3.0,
    *,
    expand_queries: bool = True,
    expand_gallery: bool = False,
    memory: int = MEMORY,
) -> tuple[Single, Single]:
    """Query expansion: each vector becomes the weighted mean of itself and its nearest neighbors.

    With both sides on, neighbors come from queries and gallery together and every vector is replaced, as in fast-reid;
    with queries only (alpha-QE) they come from the gallery, so that a result does not depend on the other queries.

    Args:
        query: (Q, D), normalized first.
        gallery: (G, D), likewise.
        k: neighbors, the vector itself among them.
        alpha: weights are similarity ** alpha.
        expand_queries: replace the queries.
        expand_gallery: replace the gallery.
        memory: bytes to use beyond the features, old and new.

    Returns:
        Features (Q, D), (G, D), not normalized; a side that is not expanded is of unit length.
    """
    if k < 1 or not alpha >= 0 or not (expand_queries or expand_gallery):
        raise UsageError(f"k={k}, alpha={alpha}: k >= 1, alpha >= 0, and a side to expand.")
    joint = Joint(query, gallery, "cosine", memory)
    lists = neighbor_lists(joint, k, not (expand_queries and expand_gallery), memory)
    out = np.empty((len(joint), joint.dim), dtype=np.float32)
    for rows in spans(len(joint), min(256, memory // (32 * k * joint.dim))):
        items = np.arange(rows.start, rows.stop)
        there = np.isfinite(lists.distance[rows])
        lengths = joint.squares[rows, None] + joint.squares[lists.index[rows]]  # 2, or less with a zero vector
        similarity = np.where(there, lengths - lists.distance[rows], 0) / 2
        weight = there * np.maximum(similarity, 0) ** np.float32(alpha) / there.sum(axis=1, keepdims=True)
        near = joint.vectors(lists.index[rows].ravel()).reshape(*weight.shape, -1)
        change = np.where(items < joint.queries, expand_queries, expand_gallery)
        mean = np.einsum("nk,nkd->nd", weight.astype(np.float32), near)
        out[rows] = np.where(change[:, None], mean, joint.vectors(items))
    return out[: joint.queries], out[joint.queries :]
