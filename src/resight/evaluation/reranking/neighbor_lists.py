"""Neighbor lists of all items: each distance is computed once and used for both items.

Items are taken slab by slab.  A slab meets itself and all that come after it; its own lists are then complete, and
whoever comes later has met it.  An item that comes later looks only at distances no larger than the farthest
neighbour it has so far, which soon are few.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from resight.evaluation.distances import MEMORY, Single, spans
from resight.evaluation.nearest_neighbors import smallest

if TYPE_CHECKING:
    from resight.evaluation.labels import IntArray
    from resight.evaluation.reranking.joint_features import Index, Joint

_FIRST, _LARGEST = 64, 2048  # items in a slab: the first, while every list is still empty, and the largest
_BYTES = 64  # that one neighbour on offer takes, all temporary copies counted


@dataclass(frozen=True)
class Lists:
    """The K nearest items of every item, itself first, then by distance, then by number."""

    index: Index  # (N, K)
    distance: Single  # (N, K) squared; inf where there is no such neighbour
    farthest: Single  # (N,) the largest distance from the item
    queries: int
    separate: bool  # queries do not see one another, and no gallery item sees them
    kept: Single | None = None  # (Q, G) squared distances of queries to gallery

    @property
    def nbytes(self) -> int:
        kept = 0 if self.kept is None else self.kept.nbytes
        return self.index.nbytes + self.distance.nbytes + self.farthest.nbytes + kept


def neighbor_lists(
    joint: Joint, length: int, separate: bool = False, memory: int = MEMORY, *, keep: bool = False
) -> Lists:
    """Search everything against everything, exactly, with about `memory` bytes beside the result.

    separate: a query's context is itself and the gallery; a gallery item's is the gallery.
    keep: hold the distances of queries to gallery too.
    """
    kept = np.empty((joint.queries, joint.gallery), np.float32) if keep else None
    shape = (len(joint), min(length, len(joint)))
    empty = np.zeros(shape, np.int32), np.full(shape, np.inf, np.float32), np.zeros(len(joint), np.float32)
    lists = Lists(*empty, joint.queries, separate, kept)
    if separate:
        _ask(joint, lists, memory)
    start, size = joint.queries if separate else 0, _FIRST
    while start < len(joint):
        stop = min(start + size, len(joint))
        _meet(joint, lists, slice(start, stop), memory)
        start, size = stop, min(2 * size, _LARGEST)
    return lists


def _ask(joint: Joint, lists: Lists, memory: int) -> None:
    """The lists of queries that see only themselves and the gallery."""
    count = min(lists.index.shape[1], joint.gallery)
    for rows, block in joint.blocks(slice(0, joint.queries), slice(joint.queries, len(joint)), memory // 2):
        lists.farthest[rows] = block.max(axis=1)
        _keep(lists, rows, block)
        who = np.arange(rows.start, rows.stop)
        _merge(lists, who, np.zeros((len(who), 1), np.float32), who[:, None])
        values, columns = smallest(block, count)
        _merge(lists, who, values, columns + joint.queries)


def _meet(joint: Joint, lists: Lists, slab: slice, memory: int) -> None:
    """A slab against itself and everything after it; both sides learn."""
    later = slice(slab.stop, len(joint))
    met: list[tuple[IntArray, IntArray, Single]] = []  # later item, item of the slab, distance
    count = 0
    for rows, block in joint.blocks(slab, slice(slab.start, len(joint)), memory // 2):
        who = np.arange(rows.start, rows.stop)
        np.maximum(lists.farthest[rows], block.max(axis=1), out=lists.farthest[rows])
        if rows.start < joint.queries:
            _keep(lists, rows, block[:, joint.queries - slab.start :])
        if later.start < later.stop:
            beyond = block[:, slab.stop - slab.start :]
            np.maximum(lists.farthest[later], beyond.max(axis=0), out=lists.farthest[later])
            row, col = np.divmod(np.flatnonzero(beyond <= lists.distance[later, -1]), beyond.shape[1])
            met.append((col + later.start, row + rows.start, beyond[row, col]))
            count += len(row)
            if count * _BYTES > memory // 4:
                _learn(lists, met, memory // 4)
                met, count = [], 0
        block[np.arange(len(block)), who - slab.start] = -1  # before its own twins
        values, columns = smallest(block, min(lists.index.shape[1], block.shape[1]))
        _merge(lists, who, np.maximum(values, 0), columns + slab.start)
    _learn(lists, met, memory // 4)


def _learn(lists: Lists, met: list[tuple[IntArray, IntArray, Single]], memory: int) -> None:
    """New neighbours, given one by one as (item, neighbour, distance), side by side in one row an item."""
    if not met:
        return
    item, neighbor, distance = (np.concatenate(part) for part in zip(*met, strict=True))
    order = np.argsort(item, kind="stable")
    who, first, count = np.unique(item[order], return_index=True, return_counts=True)
    first = np.append(first, len(item))
    for part in spans(len(who), memory // (_BYTES * (lists.index.shape[1] + int(count.max(initial=0))))):
        chosen = order[first[part.start] : first[part.stop]]
        row = np.repeat(np.arange(part.stop - part.start), count[part])
        place = np.arange(len(chosen)) - (first[part] - first[part.start])[row]
        values = np.full((part.stop - part.start, count[part].max()), np.inf, dtype=np.float32)
        items = np.zeros(values.shape, dtype=np.int64)
        values[row, place], items[row, place] = distance[chosen], neighbor[chosen]
        _merge(lists, who[part], values, items)


def _merge(lists: Lists, who: IntArray, distance: Single, index: IntArray) -> None:
    """The best of what some items (m,) had and what they are offered, (m, n): itself, then by distance and number.

    Distances are not negative, so they sort like their bits; with the number behind, one integer holds both.
    """
    values = np.concatenate((lists.distance[who], distance), axis=1)
    items = np.concatenate((lists.index[who], index), axis=1)
    own = (items == who[:, None]) & (values < np.inf)
    key = np.abs(values).view(np.uint32).astype(np.uint64) << np.uint64(32)
    key |= np.where(own, 0, items + 1).astype(np.uint64)
    key[own] = 0
    key.sort(axis=1)
    key = key[:, : lists.index.shape[1]]
    number = (key & np.uint64(0xFFFFFFFF)).astype(np.int64)
    lists.distance[who] = (key >> np.uint64(32)).astype(np.uint32).view(np.float32)
    lists.index[who] = np.where(number == 0, who[:, None], number - 1)


def _keep(lists: Lists, rows: slice, block: Single) -> None:
    """Distances of those rows that are queries to the gallery (b, G)."""
    if lists.kept is not None:
        mine = slice(rows.start, min(rows.stop, lists.queries))
        lists.kept[mine] = block[: mine.stop - mine.start]
