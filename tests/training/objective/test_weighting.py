"""Pyramid's controller against the trace worked out by hand, and its ways out of a dead-lock."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from resight.errors import RecipeError
from resight.recipe import Recipe
from resight.training.objective.loss_report import LossReport
from resight.training.objective.weighting import DynamicFocal, WeightingConfig, build_weighting

WEIGHTS = {"identity": 1.0, "triplet": 1.0}

# L_id, L_tp, k_id, k_tp, p_id, p_tp, FL_id, FL_tp, mode of the next step, equation 6
TRACE = (
    (6.6, 1.40, 6.600000, 1.400000, 1.0, 1.0, 0.0, 0.0, "id", 0.0),
    (6.0, 1.41, 6.450000, 1.402500, 0.977273, 1.0, 1.187475e-5, 0.0, "id", 7.124851e-5),
    (5.2, 1.38, 6.137500, 1.396875, 0.951550, 0.995989, 1.165763e-4, 6.464446e-8, "id", 6.062861e-4),
    (4.6, 1.39, 5.753125, 1.395156, 0.937373, 0.998770, 2.536641e-4, 1.863944e-9, "id", 1.166858e-3),
    (4.7, 1.30, 5.489844, 1.371367, 0.954237, 0.982949, 9.810261e-5, 5.000260e-6, "id", 4.675826e-4),
    (4.2, 0.60, 5.167383, 1.178525, 0.941262, 0.859380, 2.088477e-4, 2.996637e-3, "joint", 2.675143e-3),
    (4.4, 0.62, 4.975537, 1.038894, 0.962874, 0.881520, 5.214753e-5, 1.770223e-3, "joint", 1.326988e-3),
)  # fmt: skip


def controller(**options: object) -> DynamicFocal:
    config = WeightingConfig("dynamic_focal", **options)  # type: ignore[arg-type]
    built = build_weighting(config, WEIGHTS, ("random", "balanced"))
    assert isinstance(built, DynamicFocal)
    return built


def measured(identity: float, triplet: float, anchors: int = 8) -> LossReport:
    parts = {
        "identity": torch.tensor(identity, dtype=torch.float64),
        "triplet": torch.tensor(triplet, dtype=torch.float64),
    }
    return LossReport(torch.zeros(()), parts, dict(WEIGHTS), torch.tensor(anchors), torch.ones(()))


@pytest.mark.parametrize("resumed_at", [None, 0, 1, 2, 3, 4, 5])
def test_the_trace_from_the_start_and_from_any_row_resumed(resumed_at: int | None) -> None:
    weighting = controller()
    for row, (l_id, l_tp, k_id, k_tp, p_id, p_tp, fl_id, fl_tp, mode, literal) in enumerate(TRACE):
        weighting.advance(measured(l_id, l_tp))
        identity, triplet = weighting.tasks["identity"], weighting.tasks["triplet"]
        assert identity.average == pytest.approx(k_id, abs=1e-6)
        assert triplet.average == pytest.approx(k_tp, abs=1e-6)
        assert (identity.chance, triplet.chance) == pytest.approx((p_id, p_tp), abs=1e-6)
        assert (identity.focal, triplet.focal) == pytest.approx((fl_id, fl_tp), rel=1e-5)
        assert identity.focal * l_id + triplet.focal * l_tp == pytest.approx(literal, rel=1e-5)
        assert weighting.mode == mode
        if row == resumed_at:
            state = weighting.get_extra_state()
            weighting = controller()
            weighting.set_extra_state(state)


def test_the_ratio_that_is_held_against_delta() -> None:
    weighting = controller()
    ratios = []
    for l_id, l_tp, *_ in TRACE:
        weighting.advance(measured(l_id, l_tp))
        identity, triplet = (weighting.tasks[name].focal for name in ("identity", "triplet"))
        ratios.append(triplet / identity if identity else math.nan)
    assert math.isnan(ratios[0])
    assert ratios[1:] == pytest.approx([0, 5.545e-4, 7.348e-6, 0.050970, 14.34843, 33.94645], rel=1e-4)


def test_just_below_delta_stays_with_the_identity_task() -> None:
    weighting = controller()
    for l_id, l_tp, *_ in TRACE[:5]:
        weighting.advance(measured(l_id, l_tp))
    weighting.advance(measured(4.2, 1.20))
    average, chance, focal = weighting.tasks["triplet"].numbers
    assert (average, chance) == pytest.approx((1.328525, 0.968760), abs=1e-6)
    assert focal == pytest.approx(3.097530e-5, rel=1e-5)
    assert weighting.tasks["triplet"].focal / weighting.tasks["identity"].focal == pytest.approx(0.148316, rel=1e-5)
    assert weighting.mode == "id"


def test_each_mode_has_its_source_and_weights() -> None:
    weighting = controller()
    parts = {name: torch.ones(()) for name in WEIGHTS}
    assert weighting.sampling == "random"
    assert weighting.weights(parts) == {"identity": 1.0, "triplet": 0.0}
    for l_id, l_tp, *_ in TRACE[:6]:
        weighting.advance(measured(l_id, l_tp))
    assert weighting.sampling == "balanced"
    assert weighting.weights(parts) == {"identity": 1.0, "triplet": 1.0}


def test_literal_and_normalised_weights() -> None:
    for combine, expected in (("literal", (5.214753e-5, 1.770223e-3)), ("normalized", None)):
        weighting = controller(combine=combine)
        for l_id, l_tp, *_ in TRACE:
            weighting.advance(measured(l_id, l_tp))
        weights = weighting.weights({name: torch.ones(()) for name in WEIGHTS})
        if expected is None:
            assert sum(weights.values()) == pytest.approx(2.0)
        else:
            assert (weights["identity"], weights["triplet"]) == pytest.approx(expected, rel=1e-5)


def test_the_released_controller_decides_as_the_authors_code_does() -> None:
    """Numbers of PersonReID-YouReID, its `compute_loss` run on these losses: the first sixty steps, and how many of
    3,000 train both.  Taken up in the middle, it goes on alike."""
    draws, steps = np.random.default_rng(0), np.arange(3000)
    identity = 139 * np.exp(-steps / 700) * np.exp(draws.normal(0, 0.03, 3000))
    triplet = 29 * np.exp(-steps / 900) * np.exp(draws.normal(0, 0.05, 3000))
    options = {"decide": "after", "start": "zero", "alone": "balanced"}
    weighting, modes = controller(**options), ""
    for step, losses in enumerate(zip(identity, triplet, strict=True)):
        parts = dict(zip(WEIGHTS, torch.tensor(losses, dtype=torch.float32), strict=True))
        modes += "j" if weighting.weights(parts)["triplet"] else "i"
        weighting.advance(measured(float(parts["identity"]), float(parts["triplet"])))
        if step == 1500:
            state = weighting.get_extra_state()
            weighting = controller(**options)
            weighting.set_extra_state(state)
    assert modes[:60] == "jjjjjjjjjjjjiiiiiiijjjiiijiiiiijjijiijjiijjjjiiiiiiijjijiiij"
    assert modes.count("j") == 1326
    averages = [task.average for task in weighting.tasks.values()]
    assert averages == pytest.approx([1.8808176707031914, 1.045761114505485], rel=1e-12)


def test_the_released_preset_has_the_later_codes_values() -> None:
    recipe = Recipe.load("pyramid_youreid_market1501")
    assert recipe.model.options["interpolation"] == "bilinear"
    assert (recipe.augment.erase, recipe.augment.erase_fill) == (0.5, "strong_baseline")
    assert (recipe.objective.weighting.decide, recipe.objective.weighting.start) == ("after", "zero")


def test_a_task_never_measured_is_forced_after_fifty_steps() -> None:
    weighting = controller()
    weighting.advance(measured(6.6, 1.4))
    modes = []
    for step in range(60):
        weighting.advance(measured(6.0 - 0.01 * step, 0.0, anchors=0))
        modes.append(weighting.mode)
    assert modes.index("joint") == 49
    assert modes[50] == "id"  # one step together; nothing was measured, so alone again


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_the_mode_does_not_depend_on_a_loss_scale(scale: float) -> None:
    weighting, scaled = controller(), controller()
    for l_id, l_tp, *_ in TRACE:
        weighting.advance(measured(l_id, l_tp))
        scaled.advance(measured(scale * l_id, l_tp))
        assert scaled.mode == weighting.mode
        assert scaled.tasks["identity"].chance == pytest.approx(weighting.tasks["identity"].chance)


@pytest.mark.parametrize(("delta", "mode"), [(0.0, "joint"), (math.inf, "id")])
def test_the_limits_of_delta(delta: float, mode: str) -> None:
    weighting = controller(delta=delta)
    for l_id, l_tp, *_ in TRACE:
        weighting.advance(measured(l_id, l_tp))
    assert weighting.mode == mode


def test_averages_that_begin_at_zero_begin_with_both_tasks() -> None:
    """The authors' later code: p = 1/2 at first; then both averages climb, no focal weight says otherwise."""
    weighting = controller(start="zero")
    weighting.advance(measured(6.6, 1.4))
    identity, triplet = weighting.tasks["identity"], weighting.tasks["triplet"]
    assert (identity.average, triplet.average) == pytest.approx((1.65, 0.35))
    assert (identity.focal, triplet.focal) == pytest.approx((0.173287, 0.173287), abs=1e-6)
    assert weighting.mode == "joint"
    for _ in range(5):
        weighting.advance(measured(6.6, 1.4))
        assert weighting.mode == "joint"
        assert identity.focal == triplet.focal == 0.0


def test_alpha_zero_never_moves() -> None:
    weighting = controller(alpha=0.0)
    for l_id, l_tp, *_ in TRACE:
        weighting.advance(measured(l_id, l_tp))
    assert weighting.mode == "id"
    assert weighting.tasks["identity"].focal == 0.0


def test_dwelling_stops_chatter() -> None:
    weighting = controller(min_dwell=4)
    modes = []
    for number in range(24):
        weighting.advance(measured(5.0 - 0.01 * number, 1.0 - 0.04 * number if number % 2 else 1.2))
        modes.append(weighting.mode)
    runs = [len(list(group)) for _, group in itertools.groupby(modes)]
    assert all(length >= 4 for length in runs[1:-1])


def test_a_missing_term_or_source_is_named() -> None:
    with pytest.raises(RecipeError, match=r"weighting.metric: no term 'triplet'; there are identity"):
        build_weighting(WeightingConfig("dynamic_focal"), {"identity": 1.0}, ("random", "balanced"))
    with pytest.raises(RecipeError, match=r"weighting.together: no source feed.balanced; there are random"):
        build_weighting(WeightingConfig("dynamic_focal"), WEIGHTS, ("random",))
