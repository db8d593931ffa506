"""Ranks of the matches, by counting the items that are closer.

Evaluation need not sort a gallery: a hit's rank is one more than the number of kept items closer
to the query than it is.  Items farther than the last hit never matter, so one comparison over the row leaves
a handful of numbers, and only those are sorted.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from resight.errors import EvaluationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from resight.evaluation.distances import Block, Source
    from resight.evaluation.labels import FloatArray, IntArray, Labels


@dataclass(frozen=True)
class ScoredBlock:
    """A few rows of distances, with what does not count marked.

    distance[i, j] is NaN where gallery item j does not count for the row's query (junk, or the same person in
    the same camera): a comparison with NaN is false, so such an item is never closer than anything.
    """

    rows: slice  # queries
    distance: Block  # (b, G)
    row: IntArray  # (M,) pairs of row - rows.start ...
    col: IntArray  # (M,) ... and gallery column that are matches, ordered by row, column

    def lines(self) -> Iterator[tuple[int, Block, IntArray]]:
        """(query, its distances (G,), its matching columns) one after another."""
        edges = np.searchsorted(self.row, np.arange(len(self.distance) + 1))
        for at in range(len(self.distance)):
            yield self.rows.start + at, self.distance[at], self.col[edges[at] : edges[at + 1]]


def scored_blocks(source: Source, labels: Labels) -> Iterator[ScoredBlock]:
    """All queries block by block, with what the protocol leaves out marked as NaN."""
    labels.check_shape(*source.shape)
    for rows, distance in source.blocks():
        row, col = labels.same_person(rows)
        same_camera = labels.same_camera(rows, row, col)
        distance[row[same_camera], col[same_camera]] = np.nan
        if len(labels.junk):
            distance[:, labels.junk] = np.nan
        if labels.protocol.separate_camera:
            for at in range(len(distance)):
                distance[at, labels.camera_columns(rows.start + at)] = np.nan
        yield ScoredBlock(rows, distance, row[~same_camera], col[~same_camera])


@dataclass(frozen=True)
class Standing:
    """Where every match stands.  One entry a match, ordered by query, then distance, then gallery column."""

    query: IntArray  # (M,)
    col: IntArray  # (M,) gallery column
    distance: FloatArray  # (M,)
    closer: IntArray  # (M,) kept items strictly closer
    level: IntArray  # (M,) kept items at the same distance, itself among them
    earlier: IntArray  # (M,) of those, how many stand earlier in the gallery


def standing(source: Source, labels: Labels) -> Standing:
    """Ranks of the matches of every query.  Memory: one block, and a few numbers a match."""
    parts = [placed for block in scored_blocks(source, labels) if len((placed := count_closer(block)).query)]
    if not parts:
        raise EvaluationError(
            "no query has a match in the gallery: nothing can be scored. Are these the right labels, do the "
            "cameras differ between query and gallery? If they are not known, did you mean camera_rule='any'?"
        )
    return Standing(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Standing)))


def count_closer(block: ScoredBlock) -> Standing:
    """The places of a block's matches."""
    limit = block.distance[block.row, block.col]
    order = np.lexsort((block.col, limit, block.row))
    row, col, limit = block.row[order], block.col[order], limit[order]
    closer, upto = np.zeros((2, len(row)), dtype=np.int64)
    edges = np.searchsorted(row, np.arange(len(block.distance) + 1))
    for at, line in enumerate(block.distance):
        hits = slice(edges[at], edges[at + 1])
        if hits.start < hits.stop:
            near = line[(line <= limit[hits.stop - 1]).nonzero()]  # nothing farther can be closer than a hit
            near.sort()
            closer[hits], upto[hits] = near.searchsorted(limit[hits]), near.searchsorted(limit[hits], "right")
    earlier = np.zeros_like(closer)
    for tied in np.flatnonzero(upto - closer > 1):
        earlier[tied] = np.count_nonzero(block.distance[row[tied], : col[tied]] == limit[tied])
    return Standing(row + block.rows.start, col, limit.astype(np.float64), closer, upto - closer, earlier)
