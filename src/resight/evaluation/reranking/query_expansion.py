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
    times: int = 1,
    *,
    expand_queries: bool = True,
    expand_gallery: bool = False,
    memory: int = MEMORY,
) -> tuple[Single, Single]:
    """New query (Q, D) and gallery (G, D) features, not normalised; a side that is not expanded is unit length.

    Features are normalised first.  With both sides on, neighbours come from queries and gallery together and every
    vector is replaced, as in fast-reid; with queries only (the usual alpha-QE) they come from the gallery, so an
    answer does not depend on who else asks.  memory: about so many bytes are used beyond the features, old and new.
    """
    if k < 1 or times < 1 or alpha < 0 or not (expand_queries or expand_gallery):
        raise UsageError(f"k={k}, times={times}, alpha={alpha}: k, times >= 1, alpha >= 0, and a side to expand.")
    separate = not (expand_queries and expand_gallery)
    for _ in range(times):
        joint = Joint(query, gallery, "cosine", memory)
        query, gallery = _once(joint, k, alpha, separate, (expand_queries, expand_gallery), memory)
    return np.asarray(query, dtype=np.float32), np.asarray(gallery, dtype=np.float32)


def _once(
    joint: Joint, k: int, alpha: float, separate: bool, sides: tuple[bool, bool], memory: int
) -> tuple[Single, Single]:
    lists = neighbor_lists(joint, k, separate, memory)
    out = np.empty((len(joint), joint.dim), dtype=np.float32)
    for rows in spans(len(joint), min(256, memory // (32 * k * joint.dim))):
        items = np.arange(rows.start, rows.stop)
        there = np.isfinite(lists.distance[rows])
        lengths = joint.squares[rows, None] + joint.squares[lists.index[rows]]  # 2, or less with a zero vector
        similarity = np.where(there, lengths - lists.distance[rows], 0) / 2
        weight = there * np.maximum(similarity, 0) ** np.float32(alpha) / there.sum(axis=1, keepdims=True)
        near = joint.vectors(lists.index[rows].ravel()).reshape(*weight.shape, -1)
        change = np.where(items < joint.queries, *sides)
        mean = np.einsum("nk,nkd->nd", weight.astype(np.float32), near)
        out[rows] = np.where(change[:, None], mean, joint.vectors(items))
    return out[: joint.queries], out[joint.queries :]
