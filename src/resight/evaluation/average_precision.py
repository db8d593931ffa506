"""Average precision, CMC and INP from the ranks of the matches: `docs/methods/evaluation.md`, sections 3 to 5.

A match is the k-th right answer and stands at rank r.  Without ties both are whole numbers; with ties the
protocol says which of the equally near items comes first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from resight.evaluation.labels import FloatArray, IntArray
    from resight.evaluation.protocol import Protocol
    from resight.evaluation.ranks import Standing


@dataclass(frozen=True)
class Scores:
    """One row a query; NaN where the query has no match."""

    ap: FloatArray  # (Q,)
    inp: FloatArray  # (Q,)
    first_match: FloatArray  # (Q,) rank of the first right answer, from 1
    found: FloatArray  # (Q, R) chance that a right answer is among the first k; rows of zeros without a match
    num_valid: IntArray  # (Q,) right answers there are


def fixed_scores(standing: Standing, groups: Groups, queries: int, protocol: Protocol) -> Scores:
    """Scores of all queries at once, under a rule that gives every match one place."""
    hit, rank = placed(standing, groups, protocol)
    total = groups.total
    last = np.cumsum(total)[total > 0] - 1
    first = last - total[total > 0] + 1
    ap, inp, first_match = (np.full(queries, np.nan) for _ in range(3))
    gain = np.bincount(standing.query, precision(hit, rank, protocol.ap_mode), minlength=queries)
    ap[total > 0] = gain[total > 0] / total[total > 0]
    inp[total > 0] = total[total > 0] / rank[last]
    first_match[total > 0] = rank[first]
    found = first_match[:, None] <= np.arange(1, protocol.max_rank + 1)  # NaN: never
    return Scores(ap, inp, first_match, found.astype(np.float64), total)


@dataclass(frozen=True)
class Groups:
    """Matches of one query at one distance stand together; per match, what is needed to order them."""

    total: IntArray  # (Q,) matches of a query
    number: IntArray  # (M,) position of the match among its query's matches, from 0
    before: IntArray  # (M,) matches of the query strictly closer
    size: IntArray  # (M,) matches of the query at the same distance, itself among them

    @classmethod
    def of(cls, standing: Standing, queries: int) -> Groups:
        total = np.bincount(standing.query, minlength=queries)
        number = np.arange(len(standing.query)) - (np.cumsum(total) - total)[standing.query]
        change = np.diff(standing.query, prepend=-1).astype(bool) | np.diff(standing.closer, prepend=-1).astype(bool)
        start = np.flatnonzero(change)
        size = np.diff(start, append=len(change))
        group = np.cumsum(change) - 1
        return cls(total, number, number[start][group], size[group])


def placed(standing: Standing, groups: Groups, protocol: Protocol) -> tuple[IntArray, IntArray]:
    """(k, r) of every match, both from 1, under a rule that fixes the order of ties."""
    if protocol.ties == "stable":
        return groups.number + 1, standing.closer + standing.earlier + 1
    if protocol.ties == "pessimistic":
        wrong = standing.level - groups.size
        return groups.number + 1, standing.closer + wrong + groups.number - groups.before + 1
    return groups.before + groups.size, standing.closer + standing.level  # merged: all at the group's end


def precision(hit: FloatArray | IntArray, rank: FloatArray | IntArray, mode: str) -> FloatArray:
    """What the k-th match, at rank r, adds to G * AP.

    Rectangle: k / r.  Trapezoid: the mean of k / r and the precision just before the match,
    (k - 1) / (r - 1), which is 1 at r = 1.
    """
    here = hit / rank
    if mode == "rectangle":
        return np.asarray(here)
    before = np.where(rank > 1, (hit - 1) / np.maximum(rank - 1, 1), 1.0)
    return np.asarray((here + before) / 2)


def expected_scores(standing: Standing, groups: Groups, queries: int, protocol: Protocol) -> Scores:
    """Scores averaged over the orders of ties; first_match is the mean rank of the first match."""
    gain, total = np.zeros(queries), groups.total
    inp, first_match = np.full(queries, np.nan), np.full(queries, np.nan)
    found = np.zeros((queries, protocol.max_rank))
    for start in np.flatnonzero(groups.number == groups.before):
        query, size = standing.query[start], groups.size[start]
        closer, level, before = standing.closer[start], standing.level[start], groups.before[start]
        gain[query] += _group_gain(closer, level, before, size, protocol.ap_mode)
        if before == 0:
            chance = _first(level, size)  # of standing first in the group, position by position
            rank = closer + np.arange(1, level + 1)
            first_match[query] = chance @ rank
            within = rank <= protocol.max_rank
            found[query] = np.bincount(rank[within] - 1, chance[within], minlength=protocol.max_rank).cumsum()
        if before + size == total[query]:
            last = _first(level, size)[::-1]
            inp[query] = last @ (total[query] / (closer + np.arange(1, level + 1)))
    ap = np.divide(gain, total, out=np.full(queries, np.nan), where=total > 0)
    return Scores(ap, inp, first_match, found, total)


def _group_gain(closer: int, level: int, before: int, size: int, mode: str) -> float:
    position = np.arange(1, level + 1)
    among = (position - 1) * (size - 1) / max(level - 1, 1)
    return float(size / level * precision(before + 1 + among, closer + position, mode).sum())


def _first(level: int, size: int) -> FloatArray:
    """P(the first of `size` matches among `level` shuffled items is at position p), p = 1..level."""
    position = np.arange(1, level + 1)
    remaining = level - position + 1
    none_here = np.clip(1 - size / remaining, 0, 1)  # the next is no match, given that none was so far
    none_before = np.concatenate(([1.0], np.cumprod(none_here)[:-1]))
    return np.asarray(none_before * (1 - none_here))
