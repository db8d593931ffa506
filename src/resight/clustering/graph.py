"""Sparse neighbor graphs: which items lie within a distance of one another.

Clustering needs only distances up to a radius, `reach`; what is farther is not stored, so 100,000 items take some
hundred megabytes where the N x N matrix would take 40 GB.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from resight.errors import EvaluationError, UsageError
from resight.evaluation.distances import Features, FeatureSource
from resight.evaluation.reranking.jaccard import averaged, encode
from resight.evaluation.reranking.joint_features import Joint
from resight.evaluation.reranking.k_reciprocal import RERANK_MEMORY, Columns, Reranking, lists_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from resight.types import Metric

    Progress = Callable[[int, int], None]

REACH = 0.9  # Jaccard distance up to which pairs are kept: beyond every radius anybody clusters at
_EDGE = 8  # bytes an edge takes: a column and a distance
_ROWS = 1024


@dataclass(frozen=True)
class NeighborGraph:
    """Distances of at most `reach` among N items, row after row (CSR), symmetric, without the items themselves."""

    start: NDArray[np.int64]  # (N + 1,)
    index: NDArray[np.int32]  # (E,)
    distance: NDArray[np.float32]  # (E,)
    reach: float

    def __len__(self) -> int:
        return len(self.start) - 1

    @property
    def rows(self) -> NDArray[np.int64]:
        """(E,) the item each edge starts from."""
        return np.repeat(np.arange(len(self)), np.diff(self.start))

    def within(self, radius: float) -> NeighborGraph:
        """The edges no longer than `radius`."""
        return self.keep(self.distance <= np.float32(radius), min(radius, self.reach))

    def keep(self, edges: NDArray[np.bool_], reach: float | None = None) -> NeighborGraph:
        """The edges of a mask (E,)."""
        length = np.bincount(self.rows[edges], minlength=len(self))
        start = np.concatenate(([0], np.cumsum(length)))
        return NeighborGraph(start, self.index[edges], self.distance[edges], self.reach if reach is None else reach)

    def among(self, members: NDArray[np.int64]) -> NeighborGraph:
        """The edges among some items, which are renumbered in the order given."""
        place = np.full(len(self), -1, np.int64)
        place[members] = np.arange(len(members))
        length = np.diff(self.start)[members]
        row = np.repeat(np.arange(len(members)), length)
        spot = np.arange(len(row)) + np.repeat(self.start[members] - (np.cumsum(length) - length), length)
        column = place[self.index[spot]]
        kept = column >= 0
        start = np.concatenate(([0], np.cumsum(np.bincount(row[kept], minlength=len(members)))))
        return NeighborGraph(start, column[kept].astype(np.int32), self.distance[spot[kept]], self.reach)


def jaccard_graph(
    features: NDArray[np.float32],
    k1: int = 20,
    k2: int = 6,
    *,
    metric: Metric = "cosine",
    reach: float = REACH,
    memory: int = RERANK_MEMORY,
    progress: Progress | None = None,
) -> NeighborGraph:
    """k-reciprocal Jaccard distances of one set against itself.  Zhong et al., CVPR 2017, eq. 10.

        d(i, j) = 1 - m / (2 - m),   m = sum over l of min(V_il, V_jl)

    V are the encodings of re-ranking, here without queries: every item is gallery to all others.

    Args:
        features: (N, D).
        k1: length of the rank lists that are compared.
        k2: length of the lists whose encodings are averaged.
        metric: of the features.
        reach: longer distances are not kept; below 1, the distance of items that share nothing.
        memory: bytes used beyond features and result, about.
        progress: hears (items done, of how many).
    """
    _check(features, reach, 1.0)
    setting = Reranking(min(k1, len(features) - 1), min(k2, len(features)), 0.0, "fastreid")
    joint = Joint(features[:1], features[1:], metric, memory)  # one set: which items are called queries has no effect
    lists = lists_for(joint, [setting], memory)
    weights = averaged(encode(joint, lists, setting.k1, setting.variant, memory // 4), lists, setting.k2)
    columns = Columns(weights, 0)
    least = np.float32(2 * (1 - reach) / (2 - reach))  # of m, for a distance of `reach`

    def rows() -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        for item in range(len(joint)):
            shared = columns.overlap(weights, item)
            shared[item] = 0
            near = np.flatnonzero(shared >= least)
            m = shared[near]
            yield near, np.maximum(1 - m / (2 - m), 0).astype(np.float32)
            if progress is not None and (item + 1) % _ROWS == 0:
                progress(item + 1, len(joint))

    return _assemble(rows(), len(joint), reach, memory)


def distance_graph(
    features: NDArray[np.float32], *, metric: Metric = "cosine", reach: float, memory: int = RERANK_MEMORY
) -> NeighborGraph:
    """Plain distances, 1 - cosine or Euclidean, of one set against itself.

    Args:
        features: (N, D).
        metric: of the features.
        reach: longer distances are not kept.
        memory: bytes used beyond features and result, about.

    Raises:
        EvaluationError: features that are not finite or too few, or pairs that outgrow `memory`.
        UsageError: `reach` is no distance of this metric.
    """
    _check(features, reach, 2.0 if metric == "cosine" else np.inf)
    source = FeatureSource(features, features, metric, "raise", memory)

    def rows() -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        for block_rows, block in source.blocks():
            limit = np.float32(reach if metric == "cosine" else reach**2)
            for at, item in enumerate(range(block_rows.start, block_rows.stop)):
                line = block[at]
                line[item] = np.inf
                near = np.flatnonzero(line <= limit)
                yield near, source.outward(line[near].astype(np.float64)).astype(np.float32)

    return _assemble(rows(), len(features), reach, memory)


def _check(features: NDArray[np.float32], reach: float, longest: float) -> None:
    if features.ndim != 2 or len(features) < 2:
        raise EvaluationError(f"features of shape {features.shape}: clustering needs a matrix of at least two vectors.")
    if not 0 < reach < longest:
        raise UsageError(f"reach is {reach}; expected a distance above 0 and below {longest:g}.")
    Features("descriptors", features)  # names the rows that are not finite


def _assemble(
    rows: Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]], count: int, reach: float, memory: int
) -> NeighborGraph:
    """Rows to one graph.  Raises EvaluationError where the edges outgrow `memory`."""
    length, index, distance, edges = np.zeros(count, np.int64), [], [], 0
    for item, (near, values) in enumerate(rows):
        length[item] = len(near)
        edges += len(near)
        if edges * _EDGE > memory:
            raise EvaluationError(
                f"{edges:,} pairs lie within {reach:g} of one another, {item + 1} of {count} items looked at: "
                f"the graph does not fit {memory / 2**20:.0f} MiB. Choose a smaller radius, or allow more memory."
            )
        index.append(near.astype(np.int32))
        distance.append(values)
    start = np.concatenate(([0], np.cumsum(length)))
    return NeighborGraph(start, np.concatenate(index), np.concatenate(distance), reach)
