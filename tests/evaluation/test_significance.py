"""Intervals and paired tests: limits that must hold, and coverage where the truth is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from resight.errors import EvaluationError, UsageError
from resight.evaluation import Protocol, Report, compare, confidence, evaluate_distances


def crowd(strength: float, seed: int = 0, people: int = 30) -> Report:
    """The same people and pictures whatever the strength; a stronger model puts right answers nearer."""
    rng = np.random.default_rng(seed)
    labels = (np.repeat(np.arange(1, people + 1), 4), rng.integers(1, people + 1, 10 * people))
    camids = (np.zeros(4 * people, int), np.ones(10 * people, int))
    D = rng.random((4 * people, 10 * people)) - strength * (labels[0][:, None] == labels[1])
    return evaluate_distances(D, *labels, *camids)


def test_an_interval_holds_its_value() -> None:
    report = crowd(0.25)
    intervals = confidence(report)
    for score, value in (("mAP", report.mAP), ("rank1", report.rank(1)), ("mINP", report.mINP)):
        interval = intervals[score]  # type: ignore[index]
        assert interval.value == pytest.approx(value)
        assert interval.low < value < interval.high
    assert confidence(report)["mAP"] == intervals["mAP"]  # same seed, same interval
    narrow = confidence(report, level=0.5)["mAP"]
    assert narrow.high - narrow.low < intervals["mAP"].high - intervals["mAP"].low


def test_more_people_make_it_narrower() -> None:
    def width(people: int) -> float:
        interval = confidence(crowd(0.25, people=people))["rank1"]
        return interval.high - interval.low

    assert width(120) < 0.75 * width(30)


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    """People with their own success rates: the mean rate is known, queries of a person are not independent."""
    rng = np.random.default_rng(0)
    base, inside = crowd(0.5, people=60), 0
    for trial in range(60):
        rate = np.repeat(rng.beta(2, 2, 60), 4)
        first = np.where(rng.random(240) < rate, 1.0, 2.0)
        report = replace(base, first_match=first, ap=1 / first, inp=1 / first)
        interval = confidence(report, level=0.9, draws=400, seed=trial)["rank1"]
        inside += interval.low <= 0.5 <= interval.high
    assert 0.75 <= inside / 60 <= 1


@pytest.mark.parametrize("unit", ["person", "query"])
def test_a_run_against_itself_and_a_better_one(unit: Any) -> None:
    weak, strong = crowd(0.3), crowd(0.6)
    same = compare(weak, weak, unit)
    assert same.difference["mAP"].value == 0
    assert same.p_value["mAP"] == 1
    assert len(same.gained) == len(same.lost) == 0
    change = compare(weak, strong, unit)
    assert change.difference["mAP"].value == pytest.approx(strong.mAP - weak.mAP)
    assert change.difference["mAP"].low > 0
    assert change.p_value["mAP"] < 0.001
    back = compare(strong, weak, unit)
    np.testing.assert_array_equal(back.lost, change.gained)
    assert back.difference["rank1"].value == -change.difference["rank1"].value


def test_flips_by_hand() -> None:
    labels = ([1, 2, 3], [1, 2, 3], [0, 0, 0], [1, 1, 1])
    a = evaluate_distances(np.array([[0, 1, 1], [1, 0, 1], [0, 1, 1]]), *labels)
    b = evaluate_distances(np.array([[1, 0, 1], [1, 0, 1], [1, 1, 0]]), *labels)
    change = compare(a, b)
    np.testing.assert_array_equal(change.gained, [2])
    np.testing.assert_array_equal(change.lost, [0])
    assert change.better[0] == 2
    assert change.better[-1] == 0
    assert "gained 1, lost 1 (3 queries, by person)" in str(change)


def test_no_difference_gives_p_values_that_are_not_small() -> None:
    """Which of the two runs a person's scores come from is decided by a coin: there is no difference to find."""
    values = []
    for seed in range(40):
        weak, strong = crowd(0.2, seed), crowd(0.3, seed)
        coin = np.random.default_rng(seed).random(31)[weak.q_pids] < 0.5
        first, second = (
            replace(
                weak, ap=np.where(c, weak.ap, strong.ap), first_match=np.where(c, weak.first_match, strong.first_match)
            )
            for c in (coin, ~coin)
        )
        values.append(compare(first, second, draws=500, seed=seed).p_value["mAP"])
    assert np.mean(np.array(values) < 0.1) <= 0.25
    assert 0.3 < np.mean(values) < 0.7


def test_what_cannot_be_compared() -> None:
    a = crowd(0.4)
    with pytest.raises(EvaluationError, match="same queries"):
        compare(a, replace(a, q_pids=a.q_pids[::-1]))
    with pytest.raises(EvaluationError, match="different rules"):
        compare(a, replace(a, protocol=Protocol(ap_mode="trapezoid")))
    for level, draws in ((0, 10), (1, 10), (0.9, 0)):
        with pytest.raises(UsageError):
            confidence(a, level, draws)
    with pytest.raises(UsageError):
        compare(a, a, unit="camera")  # type: ignore[arg-type]
