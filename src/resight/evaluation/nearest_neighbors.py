"""Exact k nearest neighbors, in chunks, in a fixed order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from resight.errors import EvaluationError
from resight.evaluation.distances import MEMORY, Block, FeatureSource, Matrix
from resight.evaluation.labels import BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    from resight.types import Metric

_GROUP = 16  # columns whose minimum is taken


def nearest(
    query: Matrix,
    gallery: Matrix,
    k: int,
    metric: Metric = "cosine",
    *,
    exclude: npt.ArrayLike | None = None,
    memory: int = MEMORY,
) -> tuple[FloatArray, IntArray]:
    """Exact k nearest gallery rows of each query.

    Args:
        query: (Q, D).
        gallery: (G, D).
        k: neighbors a query.
        metric: cosine or euclidean.
        exclude: mask (G,) or (Q, G), True for items not to return.
        memory: bytes to use beyond the features.

    Returns:
        Distances (Q, k), ascending, and indices (Q, k); equal distances in gallery order; inf and -1 where fewer than k
        items remain.

    Raises:
        EvaluationError: k is below 1, or features are not finite or of different widths.
    """
    if k < 1:
        raise EvaluationError(f"k={k}: ask for at least one neighbour.")
    source = FeatureSource(query, gallery, metric, "raise", memory)
    hidden = _mask(exclude, source.shape)
    found = min(k, source.shape[1])
    distance = np.full((source.shape[0], k), np.inf)
    index = np.full((source.shape[0], k), -1, dtype=np.int64)
    for rows, block in source.blocks():
        if hidden is not None:
            block[hidden[rows] if hidden.ndim == 2 else np.broadcast_to(hidden, block.shape)] = np.inf
        values, columns = smallest(block, found)
        distance[rows, :found] = source.outward(values.astype(np.float64))
        index[rows, :found] = np.where(np.isinf(values), -1, columns)
    return distance, index


def smallest(block: Block, k: int) -> tuple[Block, IntArray]:
    """The k smallest entries of each row (b, G) -> values and columns (b, k), by value, then column.

    The k-th smallest of the minima over groups of columns is no smaller than the k-th smallest entry, and not
    much larger; what lies under it is few, and is sorted.
    """
    rows, width = block.shape
    groups = max(width // _GROUP, min(k, width))
    minima = block[:, : width // groups * groups].reshape(rows, -1, groups).min(axis=1)
    bound = np.partition(minima, k - 1, axis=1)[:, k - 1 : k]
    row, column = np.divmod(np.flatnonzero(block <= bound), width)
    value = block[row, column]
    order = np.lexsort((column, value, row))
    first = np.searchsorted(row, np.arange(rows))
    chosen = order[first[:, None] + np.arange(k)]
    return value[chosen], column[chosen]


def _mask(exclude: npt.ArrayLike | None, shape: tuple[int, int]) -> BoolArray | None:
    if exclude is None:
        return None
    mask = np.asarray(exclude, dtype=bool)
    if mask.shape not in {shape, shape[1:]}:
        raise EvaluationError(
            f"exclude has shape {mask.shape}; expected one flag an item {shape[1:]} or a pair {shape}."
        )
    return mask
