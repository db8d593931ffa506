from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resight.training.optimization.lr_schedule import ScheduleConfig


def test_linear_warmup_begins_at_its_factor_and_ends_at_one() -> None:
    schedule = ScheduleConfig(warmup=10, warmup_factor=0.01)
    assert schedule.factor(0, 120) == pytest.approx(0.01)
    assert schedule.factor(5, 120) == pytest.approx(0.505)
    assert schedule.factor(10, 120) == 1.0


def test_held_warmup_is_constant() -> None:
    schedule = ScheduleConfig(warmup=2, warmup_factor=0.1, warmup_shape="constant")
    assert [schedule.factor(t, 9) for t in (0, 1.99, 2)] == [0.1, 0.1, 1.0]


def test_milestones_multiply() -> None:
    schedule = ScheduleConfig("step", milestones=(60, 70, 80, 90), gamma=0.5)
    factors = [schedule.factor(t, 120) for t in (59.9, 60, 75, 85, 90, 119)]
    assert factors == [1, 0.5, 0.25, 0.125, 0.0625, 0.0625]


def test_cosine_is_one_then_half_then_floor() -> None:
    schedule = ScheduleConfig("cosine", warmup=10, floor=0.02)
    assert schedule.factor(10, 110) == pytest.approx(1.0)
    assert schedule.factor(60, 110) == pytest.approx(0.51)
    assert schedule.factor(110, 110) == pytest.approx(0.02)


def test_exponential_is_equation_10_of_hermans() -> None:
    """eps(t) = eps0 * 0.001^((t - t0) / (t1 - t0)) from t0 = 15000 of t1 = 25000."""
    schedule = ScheduleConfig("exponential", start=15)
    assert schedule.factor(14, 25) == 1.0
    assert schedule.factor(20, 25) == pytest.approx(math.sqrt(0.001))
    assert schedule.factor(25, 25) == pytest.approx(0.001)


def test_per_epoch_holds_between_epochs() -> None:
    schedule = ScheduleConfig("cosine", per="epoch")
    assert schedule.factor(3.0, 10) == schedule.factor(3.99, 10) != schedule.factor(4.0, 10)


@pytest.mark.parametrize(
    ("warmup", "epochs", "rates"),
    [  # MDPR: a warm-up of 2000 steps of 64 an epoch, 200 of 33, 2000 of 202; learning rates of 3.5e-4
        (2000 / 64, 60, {0: 3.5e-5, 20: 2.366e-4, 32: 3.489e-4, 45: 1.7505e-4, 59: 1.0e-7}),
        (200 / 33, 40, {0: 3.5e-5, 6: 3.4685e-4, 20: 2.163e-4, 39: 1.0e-7}),
        (2000 / 202, 60, {0: 3.5e-5, 10: 3.4965e-4, 30: 2.1856e-4, 59: 1.0e-7}),
    ],
)
def test_mixed_warms_up_by_steps_and_cools_by_epochs(warmup: float, epochs: int, rates: dict[int, float]) -> None:
    schedule = ScheduleConfig("cosine", warmup=warmup, floor=1e-7 / 3.5e-4, per="mixed")
    for epoch, rate in rates.items():
        assert 3.5e-4 * schedule.factor(epoch, epochs) == pytest.approx(rate, rel=3e-4)
    assert schedule.factor(1.0, epochs) < schedule.factor(1.5, epochs)
    assert schedule.factor(35.0, epochs) == schedule.factor(35.9, epochs) > schedule.factor(36.0, epochs)


@given(
    name=st.sampled_from(["constant", "step", "cosine", "exponential"]),
    per=st.sampled_from(["step", "epoch", "mixed"]),
    progress=st.floats(0, 200),
    warmup=st.floats(0, 50),
)
def test_every_factor_is_in_the_unit_interval(name: str, per: str, progress: float, warmup: float) -> None:
    schedule = ScheduleConfig(name, per=per, warmup=warmup, milestones=(40, 70))  # type: ignore[arg-type]
    assert 0.0 <= schedule.factor(progress, 120) <= 1.0 + 1e-12
