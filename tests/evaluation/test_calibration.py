"""Thresholds and probabilities where the right ones are known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resight.errors import EvaluationError, UsageError
from resight.evaluation import Calibration, calibrate, labeled_pairs
from resight.evaluation.calibration.pairs import Pairs
from resight.evaluation.calibration.regression import isotonic, logistic


def crowd(people: int = 60, pictures: int = 6, noise: float = 0.7, seed: int = 0) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(seed)
    pids = np.repeat(np.arange(1, people + 1), pictures)
    features = rng.normal(size=(people + 1, 12))[pids] + noise * rng.normal(size=(len(pids), 12))
    return features, pids, np.tile(np.arange(pictures) % 3, people)


def gaussian_pairs(count: int = 40_000, seed: int = 0) -> Pairs:
    """Same-person similarities N(1, 1), others N(0, 1): the log-odds are x - 1/2, FNMR at FMR is known."""
    rng = np.random.default_rng(seed)
    same = np.arange(count) < count // 2
    pids = np.where(same[:, None], rng.integers(1, 200, count)[:, None], rng.integers(1, 200, (count, 2)))
    camids = np.zeros((count, 2), np.int64)
    return Pairs(rng.normal(size=count) + same, same, pids, camids, np.ones(count), "cosine")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 8), st.floats(0, 1), st.floats(0.1, 3)), min_size=1, max_size=15))
def test_isotonic_is_the_min_max_formula(points: list[tuple[int, float, float]]) -> None:
    """f(x_i) = max over a <= i of min over b >= i of the mean of y_a..y_b: Robertson et al. 1988, th. 1.4.4."""
    x, y, w = (np.array(column, dtype=float) for column in zip(*points, strict=True))
    levels = np.unique(x)
    mass = np.array([w[x == level].sum() for level in levels])
    mean = np.array([np.average(y[x == level], weights=w[x == level]) for level in levels])
    n = len(levels)
    expected = [
        max(min(np.average(mean[a : b + 1], weights=mass[a : b + 1]) for b in range(i, n)) for a in range(i + 1))
        for i in range(n)
    ]
    np.testing.assert_allclose(np.interp(levels, *isotonic(x, y, w)), expected, atol=1e-9)


def test_logistic_finds_the_curve_the_data_came_from() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=50_000) * 2
    y = (rng.random(50_000) < 1 / (1 + np.exp(-(1.5 * x - 0.7)))).astype(float)
    slope, intercept = logistic(x, y, np.ones(50_000))
    assert slope == pytest.approx(1.5, abs=0.05)
    assert intercept == pytest.approx(-0.7, abs=0.05)


def test_logistic_stays_finite_where_classes_do_not_overlap() -> None:
    slope, intercept = logistic(np.array([0.0, 0.1, 0.9, 1.0]), np.array([0.0, 0, 1, 1]), np.ones(4))
    assert np.isfinite([slope, intercept]).all()
    assert slope > 0
    assert np.isfinite(logistic(np.ones(3), np.array([0.0, 1, 1]), np.ones(3))).all()


@pytest.mark.parametrize("method", ["isotonic", "logistic"])
def test_probability_and_threshold_where_the_truth_is_known(method: Any) -> None:
    calibration = calibrate(gaussian_pairs(), method, fmr=(0.01, 0.1))
    x = np.array([-1.0, 0, 0.5, 1, 2])
    np.testing.assert_allclose(calibration.probability(x), 1 / (1 + np.exp(0.5 - x)), atol=0.05)
    prior = calibration.probability(0.5, prior=0.01)
    assert float(prior) == pytest.approx(0.01, abs=0.003)
    one, ten = calibration.operating
    assert one.threshold == pytest.approx(2.326, abs=0.05)  # the 99% point of N(0, 1)
    assert one.fmr_found == pytest.approx(0.01, abs=0.006)
    assert one.fnmr == pytest.approx(0.9076, abs=0.03)  # Phi(2.326 - 1)
    assert ten.fnmr == pytest.approx(0.6107, abs=0.04)
    assert one.fnmr_low <= one.fnmr <= one.fnmr_high
    assert calibration.threshold(0.01) == one.threshold


@pytest.mark.parametrize("method", ["isotonic", "logistic"])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_from_features(method: Any, metric: Any) -> None:
    pairs = labeled_pairs(*crowd(), metric)
    calibration = calibrate(pairs, method, fmr=(0.001, 0.01))
    assert calibration.log_loss < 0.4  # 0.693 knows nothing
    p = calibration.probability(np.sort(pairs.similarity))
    assert (np.diff(p) >= -1e-12).all()
    assert 0 <= p.min() <= p.max() <= 1
    assert calibration.operating[0].threshold >= calibration.operating[1].threshold
    for point in calibration.reliability:
        assert 0 <= point.stated <= 1
        assert abs(point.stated - point.found) < 0.25
    assert sum(line.same for line in calibration.cameras) > 0
    assert {line.cameras for line in calibration.cameras if line.same} == {(0, 1), (0, 2), (1, 2)}


def test_a_threshold_keeps_its_rate_on_the_pairs_it_came_from() -> None:
    pairs = labeled_pairs(*crowd())
    for point in calibrate(pairs, fmr=(0.001, 0.01, 0.2)).operating:
        accepted = pairs.similarity[~pairs.same] >= point.threshold
        assert accepted.mean() <= point.fmr
        assert accepted.mean() > point.fmr - 2 / len(accepted)


def test_which_pairs() -> None:
    features = np.eye(6)
    pids, camids = [1, 1, 1, 2, 0, -1], [1, 1, 2, 1, 1, 1]
    pairs = labeled_pairs(features, pids, camids)
    assert pairs.same.sum() == 2  # (0, 2) and (1, 2); (0, 1) is one camera
    assert (~pairs.same).sum() == 3  # 3 pictures of person 1 with one of person 2
    assert labeled_pairs(features, pids).same.sum() == 3
    assert labeled_pairs(features, pids, [-1] * 6).same.sum() == 3
    np.testing.assert_allclose(labeled_pairs(features, pids, metric="euclidean").similarity, -(2**0.5))


def test_identities_may_be_any_whole_numbers() -> None:
    features, pids, camids = crowd(people=12)
    few, many = (labeled_pairs(features, numbers, camids) for numbers in (pids, np.asarray(pids) * 10**12))
    np.testing.assert_array_equal(few.weight, many.weight)
    assert calibrate(few).operating == calibrate(many).operating


def test_a_sample_of_pairs_stands_for_all() -> None:
    features, pids, camids = crowd()
    some = labeled_pairs(features, pids, camids, limit=5000)
    whole = labeled_pairs(features, pids, camids)
    assert (~some.same).sum() <= 5000
    assert some.weight[~some.same].sum() == pytest.approx(whole.weight[~whole.same].sum())
    assert some.similarity[~some.same].mean() == pytest.approx(whole.similarity[~whole.same].mean(), abs=0.02)


def test_a_calibration_survives_json(tmp_path: Path) -> None:
    calibration = calibrate(labeled_pairs(*crowd()), model="abc")
    calibration.save(tmp_path / "c.json")
    again = Calibration.load(tmp_path / "c.json")
    x = np.linspace(-1, 1, 50)
    np.testing.assert_array_equal(again.probability(x), calibration.probability(x))
    assert again.operating == calibration.operating
    assert again.model == "abc"
    json.dumps(calibration.to_dict(), allow_nan=False)
    (tmp_path / "bad.json").write_text('{"method": 1}')
    for name in ("bad.json", "missing.json"):
        with pytest.raises(EvaluationError):
            Calibration.load(tmp_path / name)


def test_wrong_use() -> None:
    pairs = labeled_pairs(*crowd())
    wrong: tuple[dict[str, Any], ...] = ({"method": "magic"}, {"fmr": ()}, {"fmr": (1.0,)}, {"folds": 1})
    for parameters in wrong:
        with pytest.raises(UsageError):
            calibrate(pairs, **parameters)
    calibration = calibrate(pairs)
    with pytest.raises(EvaluationError, match="there are 0.0001, 0.001, 0.01"):
        calibration.threshold(0.5)
    with pytest.raises(UsageError):
        calibration.probability(0.5, prior=1)
    with pytest.raises(EvaluationError, match="pairs of one person"):
        labeled_pairs(np.eye(3), [1, 2, 3])
    with pytest.raises(EvaluationError):
        labeled_pairs(np.eye(3), [1, 2])
    features, pids, camids = crowd(people=2)
    with pytest.raises(EvaluationError, match="fewer folds or more people"):
        calibrate(labeled_pairs(features, pids, camids), folds=5)
