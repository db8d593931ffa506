"""A walking body keeps its bones, its balance and its feet on the ground."""

from __future__ import annotations

import numpy as np
import pytest

from resight.synth.body.body import Body, Limb, Pose, stand

PHASES = np.linspace(0, 1, 9)[:-1]


def lengths(limb: Limb) -> tuple[float, float]:
    far, middle, near = limb.joints
    return float(np.linalg.norm(far - middle)), float(np.linalg.norm(middle - near))


@pytest.mark.parametrize("phase", PHASES)
def test_bones_keep_their_length(phase: float) -> None:
    body = Body(0, 1.80)
    stance = stand(body, Pose(phase=float(phase), raised=(0.5, 0.0), bent=(1.5, 0.2)))
    for limb in stance.legs:
        assert lengths(limb) == pytest.approx((0.236 * 1.80, 0.245 * 1.80))
    for limb in stance.arms:
        assert lengths(limb) == pytest.approx((0.146 * 1.80, 0.180 * 1.80))


@pytest.mark.parametrize("phase", PHASES)
def test_half_a_cycle_later_left_and_right_have_changed_places(phase: float) -> None:
    body = Body(1, 1.65)
    now, later = stand(body, Pose(phase=float(phase))), stand(body, Pose(phase=float(phase) + 0.5))
    mirror = np.array([-1.0, 1.0, 1.0])
    np.testing.assert_allclose(now.legs[0].joints, later.legs[1].joints * mirror, atol=1e-9)
    np.testing.assert_allclose(now.arms[0].joints, later.arms[1].joints * mirror, atol=1e-9)


def test_legs_and_opposite_arms_swing_together() -> None:
    stance = stand(Body(0, 1.75), Pose(phase=0.0))  # the right heel strikes: right leg ahead, left arm ahead
    assert stance.legs[0].joints[0, 1] > stance.legs[1].joints[0, 1] + 0.4
    assert stance.arms[1].joints[0, 1] > stance.arms[0].joints[0, 1] + 0.2


@pytest.mark.parametrize("sex", [0, 1])
def test_a_standing_body_is_as_tall_as_it_is(sex: int) -> None:
    body = Body(sex, 1.70)
    stance = stand(body, Pose(stride=0.0, lean=0.0))
    neck = stance.spine(np.array([0.862 * 1.70]))[0][0]
    assert neck[2] == pytest.approx(0.862 * 1.70, abs=0.02)
    ankles = [leg.joints[0, 2] for leg in stance.legs]
    assert ankles == pytest.approx([0.039 * 1.70] * 2, abs=0.01)


def test_a_belly_shows_in_front_only() -> None:
    z = np.array([1.05])
    slim, round_ = Body(0, 1.75).torso(z)[0], Body(0, 1.75, belly=0.1).torso(z)[0]
    assert round_[1] > slim[1] + 0.08
    assert (round_[0], round_[2]) == pytest.approx((slim[0], slim[2]))
