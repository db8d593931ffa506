"""Nearest neighbors among vectors in memory or memory-mapped: exact, and from RaBitQ codes where faiss is installed.

A score is larger for what is nearer: the inner product, or minus the squared Euclidean distance.
"""

from __future__ import annotations

import functools
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from pathlib import Path

    from resight.gallery.backend import Vectors
    from resight.types import Metric

Positions = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
BLOCK = 16_384  # rows compared at a time by numpy, or gathered from a subset
SPARSE = 0.6  # for many queries a subset smaller than this share is gathered before it is compared, and ...
RARE = 0.02  # ... for few queries one smaller than this; else the others are skipped where they lie
SHARE = 4096  # rows a further thread is worth its start for
FEW = 20  # queries from which on a matrix product is quicker than one query after another
NOTHING = -1  # a position where there were fewer than k


@functools.cache
def faiss() -> Any:
    """The faiss module, or None where the extra `gallery` is not installed."""
    try:
        import faiss as module
    except ImportError:
        return None
    return module


def exact(
    queries: Vectors, vectors: Vectors, k: int, metric: Metric, keep: Mask | None = None
) -> tuple[Vectors, Positions]:
    """Scores and positions (Q, k) of the nearest vectors (N, D) for which `keep` (N,) holds, best first.

    Where fewer than k are kept, scores end in minus infinity and positions in NOTHING.
    """
    kept = len(vectors) if keep is None else int(np.count_nonzero(keep))
    if kept == len(vectors):
        keep = None
    best = nothing(len(queries), k)
    few = faiss() is not None and len(queries) < FEW
    if keep is not None and kept < len(vectors) * (RARE if few else SPARSE):
        chosen = np.flatnonzero(keep)
        for start in range(0, kept, BLOCK):
            rows = chosen[start : start + BLOCK]
            scores, at = exact(queries, np.ascontiguousarray(vectors[rows]), k, metric)
            best = merge(best, (scores, np.where(at < 0, NOTHING, rows[at])), k)
        return best
    expands = metric != "cosine" and len(queries) >= FEW  # FAISS: |q|^2 + |v|^2 - 2 q.v, inexact far from 0
    if faiss() is not None and len(vectors) and not expands and (keep is None or len(queries) < FEW):
        return _shared_out(queries, vectors, k, metric, keep, kept)
    for start in range(0, len(vectors), BLOCK):
        some = None if keep is None else keep[start : start + BLOCK]
        scores, at = _plain(queries, vectors[start : start + BLOCK], k, metric, some)
        best = merge(best, (scores, np.where(at < 0, NOTHING, at + start)), k)
    return best


def merge(a: tuple[Vectors, Positions], b: tuple[Vectors, Positions], k: int) -> tuple[Vectors, Positions]:
    """The k best of two lists for each query; equal scores in the order of positions."""
    scores, positions = np.concatenate([a[0], b[0]], axis=1), np.concatenate([a[1], b[1]], axis=1)
    order = np.lexsort((positions, -scores), axis=1)[:, :k]
    return np.take_along_axis(scores, order, 1), np.take_along_axis(positions, order, 1)


def score(query: Vectors, vectors: Vectors, metric: Metric) -> Vectors:
    """Scores (N,) of one query (D,)."""
    if metric == "cosine":
        return np.asarray(vectors @ query)
    difference = vectors - query
    return np.asarray(-np.einsum("nd,nd->n", difference, difference))


def _shared_out(
    queries: Vectors, vectors: Vectors, k: int, metric: Metric, keep: Mask | None, kept: int
) -> tuple[Vectors, Positions]:
    """By faiss, which has a thread work on a query of its own; where queries are fewer, rows are shared out as well."""
    threads = min(faiss().omp_get_max_threads() // max(1, len(queries)), kept // SHARE)
    if threads < 2:
        return _with_faiss(queries, vectors, k, metric, keep)
    edges = np.linspace(0, len(vectors), threads + 1, dtype=np.int64)
    parts = [slice(start, end) for start, end in pairwise(edges.tolist())]
    with ThreadPoolExecutor(threads) as pool:
        found = pool.map(
            lambda part: _with_faiss(queries, vectors[part], k, metric, None if keep is None else keep[part]), parts
        )
        best = nothing(len(queries), k)
        for part, (scores, at) in zip(parts, found, strict=True):
            best = merge(best, (scores, np.where(at < 0, NOTHING, at + part.start)), k)
    return best


def _with_faiss(
    queries: Vectors, vectors: Vectors, k: int, metric: Metric, keep: Mask | None
) -> tuple[Vectors, Positions]:
    module = faiss()
    scores, positions = nothing(len(queries), k)
    sizes = (vectors.shape[1], len(queries), len(vectors), k)
    pointers = [module.swig_ptr(array) for array in (queries, vectors, scores, positions)]
    bits = None if keep is None else np.packbits(keep, bitorder="little")
    chosen = None if bits is None else module.IDSelectorBitmap(bits)
    if metric == "cosine":
        module.knn_inner_product(*pointers[:2], *sizes, *pointers[2:], chosen)
    else:
        module.knn_L2sqr(*pointers[:2], *sizes, *pointers[2:], None, chosen)
        np.negative(scores, out=scores)
    scores[positions < 0] = -np.inf
    return scores, positions


def _plain(queries: Vectors, vectors: Vectors, k: int, metric: Metric, keep: Mask | None) -> tuple[Vectors, Positions]:
    """By numpy: one matrix product, then the k largest."""
    if metric != "cosine" and len(vectors):  # about a middle: far from the origin the expansion below loses its digits
        middle = np.median(vectors[:: max(1, len(vectors) // 256)], axis=0).astype(np.float32)
        queries, vectors = queries - middle, vectors - middle
    scores = queries @ vectors.T  # (Q, N)
    if metric != "cosine":
        scores = 2 * scores - (vectors * vectors).sum(1) - (queries * queries).sum(1)[:, None]
    if keep is not None:
        scores[:, ~keep] = -np.inf
    k_here = min(k, scores.shape[1])
    if k_here == 0:
        return nothing(len(queries), k)
    at = np.argpartition(-scores, k_here - 1, axis=1)[:, :k_here] if k_here < scores.shape[1] else None
    positions = np.broadcast_to(np.arange(scores.shape[1]), scores.shape) if at is None else at
    found = np.take_along_axis(scores, positions, 1)
    return merge(nothing(len(queries), k), (found, np.where(np.isneginf(found), NOTHING, positions)), k)


def nothing(queries: int, k: int) -> tuple[Vectors, Positions]:
    """Lists without a neighbor: scores of minus infinity, positions of NOTHING (Q, k)."""
    return np.full((queries, k), -np.inf, np.float32), np.full((queries, k), NOTHING, np.int64)


class Codes:
    """RaBitQ codes of vectors, one bit a dimension, scanned with SIMD; candidates to be scored exactly.

    Vectors are turned by a random rotation first: descriptors after a ReLU have few directions that matter, and a
    sign of each coordinate says much more about them once they are spread over all.
    """

    def __init__(self, index: Any) -> None:
        module = faiss()
        self.whole, self.index = index, module.downcast_index(index.index)
        rotation = module.downcast_VectorTransform(index.chain.at(0))
        self.rotation = module.vector_to_array(rotation.A).reshape(index.d, index.d).T.copy()  # (D, D): rows @ rotation

    @classmethod
    def build(cls, vectors: Vectors, metric: Metric) -> Codes | None:
        """None without faiss."""
        module = faiss()
        if module is None:
            return None
        dim = vectors.shape[1]
        kind = module.METRIC_INNER_PRODUCT if metric == "cosine" else module.METRIC_L2
        codes = module.IndexRaBitQFastScan(dim, kind)
        index = module.IndexPreTransform(module.RandomRotationMatrix(dim, dim), codes)
        index.train(np.ascontiguousarray(vectors[:: max(1, len(vectors) // BLOCK)]))
        for start in range(0, len(vectors), BLOCK):
            index.add(np.ascontiguousarray(vectors[start : start + BLOCK]))
        return cls(index)

    def to_bytes(self) -> bytes:
        return bytes(faiss().serialize_index(self.whole))

    @classmethod
    def load(cls, path: Path, dim: int, count: int) -> Codes | None:
        """None without faiss, or for a file that this faiss cannot read."""
        module = faiss()
        if module is None:
            return None
        try:
            index = module.read_index(str(path))
        except RuntimeError:
            return None
        ours = isinstance(index, module.IndexPreTransform) and (index.d, index.ntotal) == (dim, count)
        return cls(index) if ours else None

    def candidates(self, queries: Vectors, count: int) -> Positions:
        """Positions (Q, count) of the nearest by estimate, best first."""
        # by numpy, whose product of one row is quicker than the transform of faiss
        return np.asarray(self.index.search(np.ascontiguousarray(queries @ self.rotation), count)[1])
