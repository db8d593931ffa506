"""k-reciprocal encoding of every item as a sparse vector.  Zhong et al., CVPR 2017, sections 3.2 to 3.4.

An item is described by how strongly it belongs together with a few others: weights over its expanded
k-reciprocal set, zero elsewhere.  Nothing here is larger than (N, k1) times a small number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from resight.evaluation.distances import MEMORY, spans

if TYPE_CHECKING:
    from resight.evaluation.distances import Single
    from resight.evaluation.labels import BoolArray, IntArray
    from resight.evaluation.reranking.joint_features import Index, Joint
    from resight.evaluation.reranking.neighbor_lists import Lists

Variant = Literal["paper", "torchreid", "fastreid"]

_ROWS = 128  # items worked on at a time, at most


@dataclass(frozen=True)
class SparseRows:
    """N sparse vectors of length N, row after row; the entries of a row are in order of their column."""

    start: IntArray  # (N + 1,)
    index: Index  # (nnz,)
    value: Single  # (nnz,)

    def of(self, rows: IntArray | Index) -> tuple[IntArray, Index, Single]:
        """(which of `rows`, column, value) of all entries of some rows, one row after another."""
        length = np.diff(self.start)[rows]
        which = np.repeat(np.arange(len(rows)), length)
        at = np.arange(len(which)) + np.repeat(self.start[:-1][rows] - (np.cumsum(length) - length), length)
        return which, self.index[at], self.value[at]

    @property
    def nbytes(self) -> int:
        return self.start.nbytes + self.index.nbytes + self.value.nbytes


def windows(k1: int, variant: Variant) -> tuple[int, int]:
    """Entries of a rank list, the item itself included, that count as near, and as half as near.

    The paper's code takes k1 + 1 and round(k1 / 2) + 1, halves to even.  fast-reid asks for k1 + 1 likewise, but of
    lists that are k1 long, the item itself included.
    """
    near, half = k1 + 1, round(k1 / 2) + 1
    return (k1, min(half, k1)) if variant == "fastreid" else (near, half)


def normalized(distance: npt.NDArray[np.float32], farthest: Single, variant: Variant) -> Single:
    """The distance entering the weights and the final mix: d / max d, its square, or d as it is.

    torchreid's engine squares once more what is squared already; fast-reid does not divide.  farthest broadcasts.
    """
    if variant == "fastreid":
        return distance
    scaled = distance / np.where(farthest > 0, farthest, np.float32(1))  # all items equal: d~ = 0
    return np.asarray(scaled**2 if variant == "torchreid" else scaled)


def reciprocal(lists: Lists, window: int) -> BoolArray:
    """(N, window) whether the c-th neighbour of item i counts i among its own: eq. 2."""
    near, distance = lists.index[:, :window], lists.distance[:, :window]
    mutual = np.empty(near.shape, dtype=bool)
    for rows in spans(len(near), _ROWS):
        own = np.arange(rows.start, rows.stop)[:, None, None]
        mutual[rows] = (near[near[rows]] == own).any(axis=2)
    if lists.separate:  # no list names a query: it would be in a list if it were no farther than the last there
        some = slice(0, lists.queries)
        mutual[some, 1:] = distance[some, 1:] <= distance[near[some, 1:], -1]
        mutual[some, 0] = True
    return mutual & np.isfinite(distance)


def encode(joint: Joint, lists: Lists, k1: int, variant: Variant, memory: int = MEMORY) -> SparseRows:
    """V of eq. 7: weights exp(-d~) over the expanded reciprocal set R*, each row summing to 1."""
    near, half = windows(k1, variant)
    step = max(1, min(_ROWS, memory // (16 * len(joint))))
    sets = _Sets(lists, near, half, step)
    known = np.full((step, len(joint)), np.nan, dtype=np.float32)  # distances met in the search
    length, index, value = np.zeros(len(joint) + 1, np.int64), [], []
    for rows in spans(len(joint), step):
        row, col = sets.expanded(rows)
        here, place = np.isfinite(lists.distance[rows]).nonzero()
        met = lists.index[rows][here, place]
        known[here, met] = lists.distance[rows][here, place]
        distance = known[row, col]
        known[here, met] = np.nan
        new = np.isnan(distance)
        distance[new] = joint.pairs(row[new] + rows.start, col[new])
        weight = np.exp(-normalized(distance, lists.farthest[rows][row], variant))
        first = np.searchsorted(row, np.arange(rows.stop - rows.start))
        value.append(weight / np.add.reduceat(weight, first)[row])
        index.append(col.astype(np.int32))
        length[rows.start + 1 : rows.stop + 1] = np.diff(first, append=len(row))
    return SparseRows(np.cumsum(length), np.concatenate(index), np.concatenate(value))


class _Sets:
    """Reciprocal sets R(i, k1), R(i, k1 / 2) and their expansion, eq. 3."""

    def __init__(self, lists: Lists, near: int, half: int, rows: int) -> None:
        self.near, self.half = lists.index[:, :near], lists.index[:, :half]
        self.in_near, self.in_half = reciprocal(lists, near), reciprocal(lists, half)
        self.half_size = self.in_half.sum(axis=1)
        self.member = np.zeros((rows, len(lists.index)), dtype=bool)

    def expanded(self, rows: slice) -> tuple[IntArray, IntArray]:
        """(row - rows.start, column) of R* of some rows, ordered; every row holds itself.

        A member j of R(i, k1) brings its own R(j, k1 / 2) if more than two thirds of that are in R(i, k1).
        """
        row, at = self.in_near[rows].nonzero()
        member = self.near[rows][row, at]
        self.member[row, member] = True
        theirs, counted = self.half[member], self.in_half[member]  # (m, half)
        shared = (self.member[row[:, None], theirs] & counted).sum(axis=1)
        self.member[row, member] = False
        bring = (3 * shared > 2 * self.half_size[member])[:, None] & counted
        which, place = bring.nonzero()
        width = len(self.near)
        keys = np.concatenate((row * width + member, row[which] * width + theirs[which, place]))
        both = np.divmod(np.unique(keys), width)
        return both[0], both[1]


def averaged(rows: SparseRows, lists: Lists, k2: int) -> SparseRows:
    """Local query expansion, section 3.5: each vector becomes the mean over the first k2 of its rank list."""
    if k2 <= 1:
        return rows
    count = len(lists.index)
    length, index, value = np.zeros(count + 1, np.int64), [], []
    for span in spans(count, _ROWS):
        near = lists.index[span, :k2]
        use = np.isfinite(lists.distance[span, :k2])
        which, col, weight = rows.of(near[use])
        row = use.nonzero()[0][which]
        key = row * count + col
        order = np.argsort(key)
        key, first = np.unique(key[order], return_index=True)
        row, col = np.divmod(key, count)
        total = np.add.reduceat(weight[order], first)
        value.append(total / use.sum(axis=1, dtype=np.float32)[row])
        index.append(col.astype(np.int32))
        length[span.start + 1 : span.stop + 1] = np.bincount(row, minlength=len(near))
    return SparseRows(np.cumsum(length), np.concatenate(index), np.concatenate(value))
