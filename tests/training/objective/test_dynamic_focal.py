from __future__ import annotations

import math

import pytest

from resight.training.objective.weighting import (
    Mode,
    focal_weight,
    moving_average,
    next_mode,
    no_decrease,
    normalized_weights,
)


@pytest.mark.parametrize(
    ("exponent", "p", "weight"),
    [
        (2, 0.999, 1.0005e-9),
        (2, 0.99, 1.00503e-6),
        (2, 0.95, 1.28233e-4),
        (2, 0.9, 1.05361e-3),
        (2, 0.75, 0.0179801),
        (2, 0.5, 0.173287),
        (2, 0.25, 0.779791),
        (2, 0.1, 1.86509),
        (0, 0.5, 0.693147),
        (0, 0.9, 0.105361),
        (1, 0.5, 0.346574),
        (1, 0.9, 0.0105361),
    ],
)
def test_focal_weight(exponent: float, p: float, weight: float) -> None:
    assert focal_weight(p, exponent) == pytest.approx(weight, rel=1e-4)


def test_focal_weight_at_the_ends() -> None:
    assert math.copysign(1, focal_weight(1.0)) == 1  # +0, never -0
    assert focal_weight(1.0) == 0
    assert math.isfinite(focal_weight(1e-12))
    row = [focal_weight(p / 100) for p in range(1, 101)]
    assert row == sorted(row, reverse=True)


TRACE = [  # L_id, L_tp, k_id, k_tp, p_id, p_tp, FL_id, FL_tp, next mode
    (6.6, 1.40, 6.600000, 1.400000, 1, 1, 0, 0, "id"),
    (6.0, 1.41, 6.450000, 1.402500, 0.977273, 1, 1.187475e-5, 0, "id"),
    (5.2, 1.38, 6.137500, 1.396875, 0.951550, 0.995989, 1.165763e-4, 6.464446e-8, "id"),
    (4.6, 1.39, 5.753125, 1.395156, 0.937373, 0.998770, 2.536641e-4, 1.863944e-9, "id"),
    (4.7, 1.30, 5.489844, 1.371367, 0.954237, 0.982949, 9.810261e-5, 5.000260e-6, "id"),
    (4.2, 0.60, 5.167383, 1.178525, 0.941262, 0.859380, 2.088477e-4, 2.996637e-3, "joint"),
    (4.4, 0.62, 4.975537, 1.038894, 0.962874, 0.881520, 5.214753e-5, 1.770223e-3, "joint"),
]


def test_the_trace_of_a_run() -> None:
    mode: Mode = "id"
    k_id: float | None = None
    k_tp: float | None = None
    for L_id, L_tp, a_id, a_tp, p_id, p_tp, f_id, f_tp, then in TRACE:
        new_id, new_tp = moving_average(L_id, k_id), moving_average(L_tp, k_tp)
        chances = no_decrease(new_id, k_id), no_decrease(new_tp, k_tp)
        weights = focal_weight(chances[0]), focal_weight(chances[1])
        assert (new_id, new_tp) == pytest.approx((a_id, a_tp), abs=1e-6)
        assert chances == pytest.approx((p_id, p_tp), abs=1e-6)
        assert weights == pytest.approx((f_id, f_tp), rel=1e-5)
        mode, k_id, k_tp = next_mode(mode, *weights), new_id, new_tp
        assert mode == then


def test_degenerate_ratios() -> None:
    assert next_mode("id", 0, 0) == "id"
    assert next_mode("joint", 0, 0) == "joint"
    assert next_mode("id", 0, 1e-3) == "joint"
    assert next_mode("joint", 1e-3, 0) == "id"
    assert next_mode("id", 2.088477e-4, 3.097530e-5) == "id"  # 0.148316, just below 0.16
    assert next_mode("joint", 1.0, 0.0, delta=0) == "joint"
    assert next_mode("joint", 1e-3, 1e3, delta=math.inf) == "id"


def test_weights_that_keep_the_ratio() -> None:
    assert normalized_weights(9.810261e-5, 5.000260e-6) == pytest.approx((1.903004, 0.096996), abs=1e-6)
    assert normalized_weights(0, 0) == (1, 1)


def test_scale_of_a_loss_does_not_matter() -> None:
    assert no_decrease(moving_average(3.0, 4.0), 4.0) == pytest.approx(no_decrease(moving_average(30.0, 40.0), 40.0))
    assert no_decrease(moving_average(3.0, 4.0, alpha=1), 4.0) == 0.75
    assert no_decrease(moving_average(3.0, 4.0, alpha=0), 4.0) == 1
