"""Ties taken as they are: the mean score over all orders of the items that are equally near.

A group of E items at one distance holds m matches; L kept items and k0 matches are strictly closer.
In a random order position p = 1..E of the group holds a match with probability m / E, and given that it does,
(p - 1)(m - 1) / (E - 1) of the earlier positions do on average.  AP is linear in these, so its mean is exact.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from resight.evaluation.scores import Groups, Scores, precision

if TYPE_CHECKING:
    from resight.evaluation.labels import FloatArray
    from resight.evaluation.protocol import Protocol
    from resight.evaluation.ranking import Standing


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
