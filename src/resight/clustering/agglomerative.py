"""Average-linkage agglomeration on a neighbor graph, with pairs that must and pairs that must not be together.

Clusters merge while the mean distance over all pairs between them is at most a threshold; a pair that is not in the
graph counts as distance 1.  A merge that would bring together two items of a forbidden pair is not made.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from resight.clustering.graph import NeighborGraph

    Pairs = Iterable[tuple[int, int]]


def agglomerate(
    graph: NeighborGraph, threshold: float, *, apart: Pairs = (), together: Pairs = ()
) -> NDArray[np.int64]:
    """Labels (N,), numbered by their first member; an item that joins nobody is a cluster of one.

    Args:
        graph: among N items.
        threshold: the largest mean distance at which two clusters merge.
        apart: pairs of items never in one cluster.
        together: pairs of items in one cluster from the start; where `apart` says otherwise, that holds.
    """
    groups = _Groups(graph, apart)
    for one, other in together:
        groups.join(groups.of(one), groups.of(other))
    groups.merge(threshold)
    return groups.labels()


def renumbered(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same clusters, numbered from 0 by their first member; labels below 0 stay."""
    kept = labels >= 0
    _, first, inverse = np.unique(labels[kept], return_index=True, return_inverse=True)
    new = labels.copy()
    new[kept] = np.argsort(np.argsort(first))[inverse]
    return new


class _Groups:
    """Clusters in the making: members, similarity to the others, and whom each must not meet."""

    def __init__(self, graph: NeighborGraph, apart: Pairs) -> None:
        count = len(graph)
        self.members: dict[int, list[int]] = {item: [item] for item in range(count)}
        self.place = list(range(count))  # item -> its group
        edges = (graph.index[a:b] for a, b in zip(graph.start[:-1], graph.start[1:], strict=True))
        values = (graph.distance[a:b] for a, b in zip(graph.start[:-1], graph.start[1:], strict=True))
        self.similar: dict[int, dict[int, float]] = {  # sums over pairs of 1 - d
            item: dict(zip(near.tolist(), (1 - distance.astype(np.float64)).tolist(), strict=True))
            for item, (near, distance) in enumerate(zip(edges, values, strict=True))
        }
        self.never: dict[int, set[int]] = {}
        for one, other in apart:
            self.never.setdefault(one, set()).add(other)
            self.never.setdefault(other, set()).add(one)
        self.next = count  # a group that changes gets a new number, so that old entries of the queue are known

    def of(self, item: int) -> int:
        return self.place[item]

    def merge(self, threshold: float) -> None:
        """The closest two, again and again."""
        queue = [self._entry(a, b) for a, near in self.similar.items() for b in near if a < b]
        heapq.heapify(queue)
        while queue and queue[0][0] <= threshold:
            _, one, other = heapq.heappop(queue)
            if one not in self.members or other not in self.members:
                continue
            new = self.join(one, other)
            if new is not None:
                for near in self.similar[new]:
                    heapq.heappush(queue, self._entry(near, new))

    def join(self, one: int, other: int) -> int | None:
        """The number of the union; None where the two are one already, or must stay apart."""
        if one == other or other in self.never.get(one, ()):
            return None
        new, self.next = self.next, self.next + 1
        self.members[new] = self.members.pop(one) + self.members.pop(other)
        for item in self.members[new]:
            self.place[item] = new
        near = self.similar.pop(one)
        for group, value in self.similar.pop(other).items():
            near[group] = near.get(group, 0.0) + value
        near.pop(one, None)
        near.pop(other, None)
        for group, value in near.items():
            theirs = self.similar[group]
            theirs.pop(one, None)
            theirs.pop(other, None)
            theirs[new] = value
        self.similar[new] = near
        self._inherit(new, one, other)
        return new

    def labels(self) -> NDArray[np.int64]:
        return renumbered(np.array(self.place, np.int64))

    def _inherit(self, new: int, one: int, other: int) -> None:
        """Whom either must not meet, the union must not meet."""
        never = self.never.pop(one, set()) | self.never.pop(other, set())
        if not never:
            return
        self.never[new] = never
        for group in never:
            theirs = self.never[group]
            theirs -= {one, other}
            theirs.add(new)

    def _entry(self, one: int, other: int) -> tuple[float, int, int]:
        pairs = len(self.members[one]) * len(self.members[other])
        return 1 - self.similar[one][other] / pairs, one, other
