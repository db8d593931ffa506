"""The pictures of what steered a run show its own numbers, and only where there are any."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from resight.recipe import Recipe
from resight.reporting import write_report
from resight.reporting.schedule_plots import controller_figures, steering_figures
from tests.reporting.people import make_journal
from tests.training.objective.test_weighting import TRACE, controller, measured

if TYPE_CHECKING:
    from pathlib import Path


def journal_of(every: int = 3) -> list[dict[str, Any]]:
    """The trace worked out by hand, logged every few steps, as JSON gives it back."""
    weighting, lines = controller(), []
    for step, (identity, triplet, *_) in enumerate(TRACE, start=1):
        weighting.advance(measured(identity, triplet))
        if step % every == 0 or step == len(TRACE):
            lines.append({"event": "train", "step": step, **weighting.facts()})
    parsed: list[dict[str, Any]] = json.loads(json.dumps(lines))
    return parsed


@pytest.mark.parametrize("every", [1, 3, 10])
def test_every_step_of_the_controller_is_drawn_however_rarely_it_was_logged(every: int) -> None:
    figures = {figure.name: figure for figure in controller_figures(journal_of(every))}
    assert list(figures) == ["controller-k", "controller-p", "controller-fl"]
    expected = np.array([row[2:8] for row in TRACE])  # k, p, FL, each of identity and triplet
    for column, name in enumerate(("k", "p", "FL")):
        columns = figures[f"controller-{name.lower()}"].columns
        assert columns["step"] == list(range(len(TRACE)))
        assert columns["mode"] == ["id"] * 6 + ["joint"]
        assert columns["source"] == ["random"] * 6 + ["balanced"]
        for task, offset in (("identity", 0), ("triplet", 1)):
            np.testing.assert_allclose(
                columns[f"{name} of {task}"], expected[:, 2 * column + offset], rtol=1e-5, atol=1e-6
            )


def test_the_drawing_is_of_shares_and_exponents_with_the_joint_steps_shaded() -> None:
    k, _, focal = controller_figures(journal_of())
    shares = np.asarray(k.canvas.axes[0].lines[0].get_ydata(), np.float64)
    np.testing.assert_allclose(shares, np.array([row[2] for row in TRACE]) / 6.6, rtol=1e-6)
    drawn = np.asarray(focal.canvas.axes[0].lines[0].get_ydata(), np.float64)
    assert np.isnan(drawn[0])  # FL = 0 has no exponent
    np.testing.assert_allclose(drawn[1:], np.log10([row[6] for row in TRACE[1:]]), rtol=1e-5)
    (band,) = k.canvas.axes[0].patches
    assert (band.get_x(), band.get_x() + band.get_width()) == (5.5, 6.5)  # type: ignore[attr-defined]
    assert "the 1 of 7 steps that learn both tasks (batches of 'balanced'); the others one, on 'random'" in k.caption


def test_the_journal_is_told_each_step_once() -> None:
    weighting = controller()
    weighting.advance(measured(6.6, 1.4))
    resumed = controller()
    resumed.set_extra_state(weighting.get_extra_state())
    assert weighting.facts() == resumed.facts()
    assert weighting.facts()["steps"]["mode"] == []


def test_the_curriculum_is_the_recipes() -> None:
    """Mancs on Market-1501: 240 negatives, mu = 240 - 8 t until epoch 30, then sigma falls from 15 to 0.015 at 60."""
    (figure,) = steering_figures((), Recipe.load("mancs_market1501").to_toml())
    columns = {name: np.array(values) for name, values in figure.columns.items()}
    assert figure.name == "curriculum-rank" and len(columns["epoch"]) == 150
    np.testing.assert_allclose(columns["mean"][[0, 15, 30, 60]], [240, 120, 0, 0])
    np.testing.assert_allclose(columns["spread"][[0, 30, 45, 60]], [15, 15, 0.474342, 0.015], rtol=1e-5)
    assert (np.diff(columns["expected"]) <= 1e-9).all() and columns["expected"][-1] < 1e-3
    assert "240 negatives of an anchor in a batch of 16 x 16" in figure.caption


def test_the_release_considers_the_nearest_80_and_small_batches_count_in_shares() -> None:
    (release,) = steering_figures((), Recipe.load("mancs_release_market1501").to_toml())
    assert release.columns["expected"][0] == pytest.approx(67.6339, abs=1e-3)
    assert [release.columns["mean"][t] for t in (0, 10, 30)] == [80, 50, 0]
    (small,) = steering_figures((), Recipe.load("mancs_sample").to_toml())
    assert small.columns["spread"][0] == pytest.approx(0.1875 * 60)


def test_runs_without_such_facts_have_no_such_picture(tmp_path: Path) -> None:
    assert steering_figures(make_journal(), Recipe.load("strong_baseline_sample").to_toml()) == []
    assert steering_figures((), None) == []
    page = write_report(tmp_path, None, journal=make_journal()).read_text(encoding="utf-8")
    assert "Moving averages" not in page and "Curriculum" not in page


def test_the_page_shows_them_beside_the_losses(tmp_path: Path) -> None:
    recipe = Recipe.load("mancs_sample").to_toml()
    write_report(tmp_path, None, journal=journal_of(), recipe_toml=recipe, assets=True)
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "Moving averages of the losses" in text and "Curriculum" in text
    assert {"controller-k.png", "controller-fl.csv", "curriculum-rank.svg"} <= {
        file.name for file in (tmp_path / "figures").iterdir()
    }
