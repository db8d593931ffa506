"""Confidence intervals and paired tests of scores, by resampling people.

Queries of one person are not independent: the same clothes, the same gallery pictures.  So people are drawn, with
all their queries, as the clusters of a bootstrap (Efron & Tibshirani 1993, ch. 6 and 8).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from resight.errors import EvaluationError, UsageError
from resight.evaluation.distances import spans

if TYPE_CHECKING:
    from collections.abc import Callable

    from resight.evaluation.labels import BoolArray, FloatArray, IntArray
    from resight.evaluation.report import Report


Score = Literal["mAP", "rank1", "mINP"]
Unit = Literal["person", "query"]
_WEIGHTS = 2**18  # drawn at a time
SCORES: tuple[Score, ...] = ("mAP", "rank1", "mINP")


@dataclass(frozen=True, slots=True)
class Interval:
    """A score with the range that `level` of the resampled scores fall into."""

    value: float
    low: float
    high: float
    level: float

    @classmethod
    def of(cls, value: float, drawn: FloatArray, level: float) -> Interval:
        """A score with the quantiles of its bootstrap samples."""
        low, high = np.nanquantile(drawn, [(1 - level) / 2, (1 + level) / 2])
        return cls(float(value), float(low), float(high), level)

    def __str__(self) -> str:
        return f"{self.value:.2%} [{self.low:.2%}, {self.high:.2%}]"


def confidence(report: Report, level: float = 0.95, draws: int = 2000, seed: int = 0) -> dict[Score, Interval]:
    """Bootstrap intervals of mAP, rank-1 and mINP, by resampling identities.

    Args:
        report: of `evaluate_features` or `evaluate_distances`.
        level: of the percentile intervals, in (0, 1).
        draws: bootstrap samples.
        seed: of the samples.

    Returns:
        An interval for each of mAP, rank1 and mINP.
    """
    _check(level, draws)
    sums, counts = _by_unit(report, _groups(report, "person"), report.used)
    everything = _resampled(np.column_stack([sums, counts]), draws, seed)
    intervals: dict[Score, Interval] = {}
    for column, score in enumerate(SCORES):
        drawn = _ratio(everything[:, column], everything[:, -1])
        intervals[score] = Interval.of(sums[:, column].sum() / counts.sum(), drawn, level)
    return intervals


@dataclass(frozen=True, eq=False)
class Comparison:
    """Run b against run a on the same queries.  Differences are b minus a."""

    difference: dict[Score, Interval]
    p_value: dict[Score, float]  # two-sided, from random changes of sign by unit
    gained: IntArray  # queries right at rank 1 in b only
    lost: IntArray  # ... in a only
    better: IntArray  # queries in order of their gain in AP, the largest first
    unit: Unit
    used: int  # queries evaluated in both

    def __str__(self) -> str:
        parts = [f"{score} {self.difference[score]} p={self.p_value[score]:.3g}" for score in SCORES]
        flips = f"rank-1 gained {len(self.gained)}, lost {len(self.lost)}"
        return f"{'; '.join(parts)}; {flips} ({self.used} queries, by {self.unit})"


def compare(
    a: Report, b: Report, unit: Unit = "person", level: float = 0.95, draws: int = 5000, seed: int = 0
) -> Comparison:
    """Paired comparison of two reports on the same queries.

    Args:
        a: the first report.
        b: the second; differences are b minus a.
        unit: what is resampled: person or query.
        level: of the bootstrap intervals, in (0, 1).
        draws: bootstrap samples and random sign flips.
        seed: of both.

    Returns:
        Differences with intervals, p-values of the sign-flip test, and the queries that changed at rank 1.

    Raises:
        EvaluationError: the reports are not of the same queries and protocol.
    """
    _check(level, draws)
    check_comparable(a, b)
    used = a.used & b.used
    groups = _groups(a, unit)
    (sums_a, counts), (sums_b, _) = _by_unit(a, groups, used), _by_unit(b, groups, used)
    change = sums_b - sums_a  # (units, scores)
    everything, flipped = _resampled(np.column_stack([change, counts]), draws, seed), _flipped(change, draws, seed + 1)
    difference: dict[Score, Interval] = {}
    p_value: dict[Score, float] = {}
    for column, score in enumerate(SCORES):
        drawn = _ratio(everything[:, column], everything[:, -1])
        total = change[:, column].sum()
        difference[score] = Interval.of(total / counts.sum(), drawn, level)
        as_far = np.abs(flipped[:, column]) >= abs(total) * (1 - 1e-12)
        p_value[score] = float((as_far.sum() + 1) / (draws + 1))
    first_a, first_b = a.found(1) > 0, b.found(1) > 0
    gain = np.where(used, np.nan_to_num(b.ap) - np.nan_to_num(a.ap), 0)
    return Comparison(
        difference=difference,
        p_value=p_value,
        gained=np.flatnonzero(first_b & ~first_a & used),
        lost=np.flatnonzero(first_a & ~first_b & used),
        better=np.argsort(-gain, kind="stable"),
        unit=unit,
        used=int(used.sum()),
    )


def _check(level: float, draws: int) -> None:
    if not 0 < level < 1 or draws < 1:
        raise UsageError(f"level={level}, draws={draws}: level lies between 0 and 1, draws is at least 1.")


def check_comparable(a: Report, b: Report) -> None:
    """Raises EvaluationError unless both answer the same queries under the same rules."""
    if not (np.array_equal(a.q_pids, b.q_pids) and np.array_equal(a.q_camids, b.q_camids)):
        raise EvaluationError("the two reports are not about the same queries in the same order.")
    if a.protocol != b.protocol or a.counts.gallery != b.counts.gallery:
        raise EvaluationError(
            f"the two reports follow different rules or galleries ({a.protocol} with {a.counts.gallery} items, "
            f"{b.protocol} with {b.counts.gallery}): their difference would mean nothing."
        )


def _groups(report: Report, unit: Unit) -> IntArray:
    if unit not in ("person", "query"):
        raise UsageError(f"unit={unit!r}; choose person or query.")
    if unit == "query":
        return np.arange(len(report.q_pids))
    return np.unique(report.q_pids, return_inverse=True)[1]


def _by_unit(report: Report, groups: IntArray, used: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Sums of (ap, rank-1, inp) and numbers of queries that count, by unit: (U, 3) and (U,)."""
    values = np.stack([np.nan_to_num(report.ap), report.found(1), np.nan_to_num(report.inp)], axis=1)
    count = int(groups.max()) + 1
    sums: FloatArray = np.zeros((count, values.shape[1]))
    np.add.at(sums, groups[used], values[used])
    return sums, np.bincount(groups[used], minlength=count).astype(np.float64)


def _resampled(values: FloatArray, draws: int, seed: int) -> FloatArray:
    """Sums of the columns of (U, C) over units drawn with replacement, (draws, C)."""
    rng, units = np.random.default_rng(seed), len(values)
    return _in_parts(lambda n: rng.multinomial(units, np.full(units, 1 / units), size=n), values, draws)


def _flipped(values: FloatArray, draws: int, seed: int) -> FloatArray:
    """Sums of the columns of (U, C), each unit's sign changed by the toss of a coin, (draws, C)."""
    rng = np.random.default_rng(seed)
    return _in_parts(lambda n: rng.choice([-1, 1], size=(n, len(values))), values, draws)


def _in_parts(weights: Callable[[int], IntArray], values: FloatArray, draws: int) -> FloatArray:
    """weights(n) (n, U) times values (U, C), a few draws at a time."""
    sizes = [part.stop - part.start for part in spans(draws, _WEIGHTS // len(values))]
    return np.concatenate([weights(size) @ values for size in sizes])


def _ratio(sums: FloatArray, counts: FloatArray) -> FloatArray:
    return np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)


def compare_changes(
    a: tuple[Report, Report], b: tuple[Report, Report], level: float = 0.95, draws: int = 5000, seed: int = 0
) -> Interval:
    """Difference of two changes: (mAP of b on the second set - on the first) - (the same of a).

    Args:
        a: reports of one run on a first and a second data set.
        b: those of another run.
        level: of the bootstrap interval, in (0, 1).
        draws: bootstrap samples of people, each with all queries of both sets.
        seed: of the samples.

    Raises:
        EvaluationError: the runs were not evaluated on the same queries.
    """
    _check(level, draws)
    for one, two in zip(a, b, strict=True):
        check_comparable(one, two)
    people = np.unique(np.concatenate([report.q_pids for report in a]))
    (before, asked_before), (after, asked_after) = (_gains(*pair, people) for pair in zip(a, b, strict=True))
    value = after.sum() / asked_after.sum() - before.sum() / asked_before.sum()
    weights = np.random.default_rng(seed).multinomial(len(people), np.full(len(people), 1 / len(people)), size=draws)
    with np.errstate(invalid="ignore"):  # a draw without anybody who was asked for
        drawn = weights @ after / (weights @ asked_after) - weights @ before / (weights @ asked_before)
    return Interval.of(value, drawn, level)


def _gains(a: Report, b: Report, people: IntArray) -> tuple[FloatArray, FloatArray]:
    """By person: the sum of b's AP minus a's, and the number of queries evaluated in both."""
    used = a.used & b.used
    owner = np.searchsorted(people, a.q_pids[used])
    gain: FloatArray = np.zeros(len(people))
    np.add.at(gain, owner, (b.ap - a.ap)[used])
    return gain, np.bincount(owner, minlength=len(people)).astype(np.float64)
