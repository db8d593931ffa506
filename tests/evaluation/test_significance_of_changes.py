"""Whether one run loses more than another: a difference of differences, by people."""

from __future__ import annotations

import numpy as np
import pytest

from resight.errors import EvaluationError, UsageError
from resight.evaluation import Report, compare, compare_changes, evaluate_features


def evaluated(noise: float, seed: int, people: int = 20, first: int = 1) -> Report:
    """People as points, two queries each; `noise` makes them hard to tell, `seed` is the run."""
    pids = np.repeat(np.arange(first, first + people), 2)
    centers = np.random.default_rng(5).normal(size=(200, 8))
    rng = np.random.default_rng(seed)
    query, gallery = (centers[pids] + noise * rng.normal(size=(len(pids), 8)) for _ in range(2))
    return evaluate_features(query, gallery, pids, pids, np.zeros_like(pids), np.ones_like(pids))


def test_it_is_the_difference_of_the_two_runs_losses() -> None:
    a, b = (evaluated(0.5, 1), evaluated(2.0, 2)), (evaluated(0.5, 3), evaluated(0.9, 4))
    found = compare_changes(a, b)
    expected = (b[1].mAP - b[0].mAP) - (a[1].mAP - a[0].mAP)
    assert found.value == pytest.approx(expected)
    assert 0 < found.low < found.value < found.high  # b loses far less
    back = compare_changes(b, a)
    assert (back.value, back.low, back.high) == pytest.approx((-found.value, -found.high, -found.low))
    assert compare_changes(a, a).low == compare_changes(a, a).high == 0


def test_where_the_easy_set_says_nothing_it_is_the_plain_comparison() -> None:
    easy, one, two = evaluated(0.5, 1), evaluated(1.0, 2), evaluated(1.5, 3)
    plain = compare(one, two).difference["mAP"]
    found = compare_changes((easy, one), (easy, two))
    assert found.value == pytest.approx(plain.value)
    assert (found.low, found.high) == pytest.approx((plain.low, plain.high), abs=0.02)


def test_the_sets_may_ask_for_other_people_but_both_runs_for_the_same() -> None:
    others = evaluated(1.0, 2, people=12, first=60)
    found = compare_changes((evaluated(0.5, 1), others), (evaluated(0.6, 5), evaluated(1.2, 6, people=12, first=60)))
    assert np.isfinite([found.value, found.low, found.high]).all()
    with pytest.raises(EvaluationError, match="not about the same queries"):
        compare_changes((evaluated(0.5, 1), others), (evaluated(0.5, 1), evaluated(1.0, 2)))


def test_wrong_numbers_are_refused() -> None:
    pair = (evaluated(0.5, 1), evaluated(2.0, 2))
    for numbers in ({"draws": 0}, {"level": 1.0}):
        with pytest.raises(UsageError, match="level lies between 0 and 1, draws is at least 1"):
            compare_changes(pair, pair, **numbers)


def test_the_same_seed_draws_the_same_people() -> None:
    a, b = (evaluated(0.5, 1), evaluated(2.0, 2)), (evaluated(0.5, 3), evaluated(0.9, 4))
    assert compare_changes(a, b, seed=1) == compare_changes(a, b, seed=1) != compare_changes(a, b, seed=2)
