"""Does one run lose more than another where it gets hard?  A difference of differences.

Both runs are judged on two sets of pictures.  What each score loses from the first to the second depends on the sets;
whether the one run loses more than the other does not, and is the question.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from resight.evaluation.resampling import Interval, check_comparable

if TYPE_CHECKING:
    from resight.evaluation.labels import FloatArray, IntArray
    from resight.evaluation.report import Report


def compare_changes(
    a: tuple[Report, Report], b: tuple[Report, Report], level: float = 0.95, draws: int = 5000, seed: int = 0
) -> Interval:
    """(mAP of b on the second set - on the first) - (the same of a), with its bootstrap interval.

    People are drawn, each with all queries of both sets; the sets may ask for the same people or for others.
    Raises EvaluationError where the two runs were not asked the same on either set.
    """
    for one, two in zip(a, b, strict=True):
        check_comparable(one, two)
    people = np.unique(np.concatenate([report.q_pids for report in a]))
    (before, asked_before), (after, asked_after) = (_gains(*pair, people) for pair in zip(a, b, strict=True))
    value = after.sum() / asked_after.sum() - before.sum() / asked_before.sum()
    weights = np.random.default_rng(seed).multinomial(len(people), np.full(len(people), 1 / len(people)), size=draws)
    with np.errstate(invalid="ignore"):  # a draw without anybody who was asked for
        drawn = weights @ after / (weights @ asked_after) - weights @ before / (weights @ asked_before)
    low, high = np.nanquantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(value), float(low), float(high), level)


def _gains(a: Report, b: Report, people: IntArray) -> tuple[FloatArray, FloatArray]:
    """By person: the sum of b's AP minus a's, and the number of queries judged in both."""
    used = a.used & b.used
    owner = np.searchsorted(people, a.q_pids[used])
    gain: FloatArray = np.zeros(len(people))
    np.add.at(gain, owner, (b.ap - a.ap)[used])
    return gain, np.bincount(owner, minlength=len(people)).astype(np.float64)
