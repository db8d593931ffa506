"""The nearest items and the lists people look at: exact, in chunks, in a fixed order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
import torch

from resight.errors import EvaluationError
from resight.evaluation.blocks import MEMORY, Block, FeatureSource, Matrix, MatrixSource
from resight.evaluation.labels import BoolArray, FloatArray, IntArray, Labels
from resight.evaluation.protocol import MARKET, Protocol

if TYPE_CHECKING:
    from resight.types import Metric

_GROUP = 16  # columns whose minimum is taken

Flag = Literal["right", "wrong", "junk"]


def nearest(
    query: Matrix,
    gallery: Matrix,
    k: int,
    metric: Metric = "cosine",
    *,
    exclude: npt.ArrayLike | None = None,
    memory: int = MEMORY,
) -> tuple[FloatArray, IntArray]:
    """The k nearest gallery rows of each query: distances (Q, k) ascending and indices (Q, k).

    Exact; equal distances in gallery order.  exclude is a mask (G,) or (Q, G), True for items not to return.
    Where fewer than k items remain, distances are inf and indices -1.
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


@dataclass(frozen=True, slots=True)
class RankedItem:
    """One picture of a ranked list.  rank counts kept items from 1; junk stands in its place with rank 0."""

    index: int  # gallery row
    distance: float
    flag: Flag
    rank: int


def ranked_list(
    query: Matrix,
    gallery: Matrix,
    q_pids: npt.ArrayLike,
    g_pids: npt.ArrayLike,
    q_cams: npt.ArrayLike | None = None,
    g_cams: npt.ArrayLike | None = None,
    metric: Metric = "cosine",
    *,
    k: int = 10,
    rows: npt.ArrayLike | None = None,
    protocol: Protocol = MARKET,
) -> list[list[RankedItem]]:
    """For the chosen queries (all where rows is None) the list down to the k-th kept item, junk shown.

    The kept items are those the verdict judges, in the same order under ties='stable'.
    """
    labels = Labels.of(q_pids, g_pids, q_cams, g_cams, protocol)
    labels.check_shape(len(query), len(gallery))  # type: ignore[arg-type]
    chosen = np.arange(len(labels.q_pids)) if rows is None else np.asarray(rows, dtype=np.int64)
    picked = query[chosen] if isinstance(query, torch.Tensor) else np.asarray(query)[chosen]
    source = FeatureSource(picked, gallery, metric, protocol.on_nan)
    lists: list[list[RankedItem]] = []
    for span, block in source.blocks():
        for at, line in zip(range(span.start, span.stop), block, strict=True):
            lists.append(_list(line, int(chosen[at]), labels, k, source))
    return lists


def ranked_rows(
    distances: Matrix, labels: Labels, k: int = 10, rows: npt.ArrayLike | None = None
) -> list[list[RankedItem]]:
    """`ranked_list` for a given matrix (Q, G), re-ranked distances for instance."""
    source = MatrixSource(distances, labels.protocol.on_nan)
    labels.check_shape(*source.shape)
    chosen = range(source.shape[0]) if rows is None else np.asarray(rows, dtype=np.int64).tolist()
    return [_list(np.array(source.matrix[row], dtype=np.float64), row, labels, k, source) for row in chosen]


def _list(line: Block, query: int, labels: Labels, k: int, source: FeatureSource | MatrixSource) -> list[RankedItem]:
    right, junk = flags(query, labels)
    kept = 0
    items: list[RankedItem] = []
    order = np.argsort(line, kind="stable")
    outward = source.outward(line.astype(np.float64))
    for index in order:
        kept += not junk[index]
        flag: Flag = "junk" if junk[index] else "right" if right[index] else "wrong"
        items.append(RankedItem(int(index), float(outward[index]), flag, 0 if junk[index] else kept))
        if kept == k:
            break
    return items


def flags(query: int, labels: Labels) -> tuple[BoolArray, BoolArray]:
    """(right, left out) for every gallery item of one query, each (G,)."""
    rows = slice(query, query + 1)
    row, col = labels.same_person(rows)
    same_camera = labels.same_camera(rows, row, col)
    right, out = np.zeros((2, len(labels.g_pids)), dtype=bool)
    right[col[~same_camera]] = True
    out[col[same_camera]] = True
    out[labels.junk] = True
    if labels.protocol.separate_camera:
        out[labels.camera_columns(query)] = True
    return right & ~out, out


def _mask(exclude: npt.ArrayLike | None, shape: tuple[int, int]) -> BoolArray | None:
    if exclude is None:
        return None
    mask = np.asarray(exclude, dtype=bool)
    if mask.shape not in {shape, shape[1:]}:
        raise EvaluationError(
            f"exclude has shape {mask.shape}; expected one flag an item {shape[1:]} or a pair {shape}."
        )
    return mask
