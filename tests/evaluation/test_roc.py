"""TPR at FPR against all pairs, and open-set search against its definition."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from resight.errors import EvaluationError, UsageError
from resight.evaluation import EvaluationInput, Labels, Protocol, error_rates, open_set, roc
from tests.evaluation.examples import D1, LABELS1


def crowd(seed: int, levels: int = 1000) -> tuple[Any, tuple[Any, ...]]:
    rng = np.random.default_rng(seed)
    labels = (rng.integers(1, 9, 40), rng.integers(-1, 9, 120), rng.integers(-1, 3, 40), rng.integers(-1, 3, 120))
    D = rng.integers(0, levels, (40, 120)) / levels
    return D - 0.3 * (labels[0][:, None] == labels[1]) + 0.3, labels


def all_pairs(D: Any, q_pids: Any, g_pids: Any, q_camids: Any, g_camids: Any) -> tuple[Any, Any]:
    positive, negative = [], []
    for i, j in np.ndindex(D.shape):
        same_camera = q_camids[i] == g_camids[j] != -1
        if g_pids[j] != -1 and q_pids[i] != g_pids[j]:
            negative.append(D[i, j])
        elif g_pids[j] != -1 and not same_camera:
            positive.append(D[i, j])
    return np.array(positive), np.array(negative)


@pytest.mark.parametrize("levels", [20, 100_000])
@pytest.mark.parametrize("seed", range(3))
def test_tpr_at_fpr_equals_trying_every_threshold(seed: int, levels: int) -> None:
    D, labels = crowd(seed, levels)
    positive, negative = all_pairs(D, *labels)
    rates = (0.001, 0.01, 0.1, 0.5, 1.0)
    result = roc(EvaluationInput.of_distances(D, Labels.of(*labels)), rates)
    assert (result.positives, result.negatives) == (len(positive), len(negative))
    for at, rate in enumerate(rates):
        accepted = [t for t in np.unique(D) if (negative <= t).mean() <= rate]
        best = max(accepted, default=-np.inf)
        assert result.tpr[at] == pytest.approx((positive <= best).mean(), abs=1e-12)
        assert result.reached[at] == pytest.approx((negative <= best).mean(), abs=1e-12)
        assert (positive <= result.threshold[at]).mean() == pytest.approx(result.tpr[at], abs=1e-12)


def test_the_curve_rises() -> None:
    D, labels = crowd(0)
    fpr, tpr = roc(EvaluationInput.of_distances(D, Labels.of(*labels))).curve
    assert (np.diff(fpr) >= 0).all()
    assert (np.diff(tpr) >= 0).all()


def test_euclidean_thresholds_are_distances_not_squares() -> None:
    q, g = np.array([[0.0, 0], [8, 0]]), np.array([[3.0, 4], [10, 0]])
    result = roc(EvaluationInput.of_features(q, g, Labels.of([1, 2], [1, 2], [0, 0], [1, 1]), "euclidean"), (0.1,))
    assert result.threshold[0] == pytest.approx(5)
    assert result.tpr[0] == 1


@pytest.mark.parametrize("seed", range(3))
def test_error_rates_are_shares_of_all_pairs(seed: int) -> None:
    D, labels = crowd(seed, 20)
    positive, negative = all_pairs(D, *labels)
    bounds = (-1.0, 0.3, 0.5, 2.0)
    fmr, fnmr = error_rates(EvaluationInput.of_distances(D, Labels.of(*labels)), bounds)
    np.testing.assert_allclose(fmr, [(negative <= bound).mean() for bound in bounds], atol=1e-12)
    np.testing.assert_allclose(fnmr, [(positive > bound).mean() for bound in bounds], atol=1e-12)
    assert (fmr[0], fnmr[0], fmr[-1], fnmr[-1]) == (0, 1, 1, 0)


def test_error_rates_take_euclidean_distances_not_squares() -> None:
    q, g = np.array([[0.0, 0], [8, 0]]), np.array([[3.0, 4], [10, 0]])  # same: 5 and 2; different: 10 and 6.4
    fmr, fnmr = error_rates(
        EvaluationInput.of_features(q, g, Labels.of([1, 2], [1, 2], [0, 0], [1, 1]), "euclidean"), (4, 7)
    )
    np.testing.assert_array_equal(fmr, [0, 0.5])
    np.testing.assert_array_equal(fnmr, [0.5, 0])
    assert np.isnan(
        error_rates(EvaluationInput.of_distances(np.zeros((1, 1)), Labels.of([1], [1], [0], [1])), (1,))[0]
    ).all()


def test_wrong_use_of_roc() -> None:
    D, labels = crowd(0)
    for rates in ((), (0.0,), (2.0,)):
        with pytest.raises(UsageError):
            roc(EvaluationInput.of_distances(D, Labels.of(*labels)), rates)
    with pytest.raises(EvaluationError, match="missing"):
        roc(EvaluationInput.of_distances(np.zeros((1, 1)), Labels.of([1], [1], [0], [1])))


@pytest.mark.parametrize("seed", range(3))
def test_open_set_by_its_definition(seed: int) -> None:
    D, (q_pids, g_pids, q_camids, g_camids) = crowd(seed)
    q_pids = q_pids.copy()
    q_pids[:15] = 99  # nobody there
    case = EvaluationInput.of_distances(D, Labels.of(q_pids, g_pids, q_camids, g_camids))
    result = open_set(case, far=(0, 0.2, 1), ranks=(1, 5))
    kept = np.where(
        (g_pids != -1) & ~((q_pids[:, None] == g_pids) & (q_camids[:, None] == g_camids) & (g_camids != -1)), D, 9
    )
    right = (q_pids[:, None] == g_pids) & (kept < 9)
    known = right.any(axis=1)
    assert (result.known, result.unknown) == (known.sum(), (~known).sum())
    for at in range(3):
        limit = result.threshold[at]
        assert (kept[~known].min(axis=1) < limit).mean() == pytest.approx(result.reached[at])
        assert result.reached[at] <= result.far[at]
        for column, k in enumerate(result.ranks):
            good = 0
            for line, flags in zip(kept[known], right[known], strict=True):
                order = np.argsort(line, kind="stable")[:k]
                good += bool((flags[order] & (line[order] < limit)).any())
            assert result.dir[at, column] == pytest.approx(good / known.sum())


def test_open_set_needs_both_kinds() -> None:
    with pytest.raises(EvaluationError, match="with and without"):
        open_set(EvaluationInput.of_distances(np.zeros((1, 1)), Labels.of([1], [1], [0], [1])))
    assert open_set(EvaluationInput.of_distances(D1, Labels.of(*LABELS1, protocol=Protocol()))).unknown == 1
    with pytest.raises(UsageError):
        open_set(EvaluationInput.of_distances(D1, Labels.of(*LABELS1)), far=(-1,))
