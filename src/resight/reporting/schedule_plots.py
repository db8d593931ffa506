"""Plots of training schedules: Pyramid's controller by step, the curriculum of Mancs by epoch.

Drawn only for runs that have such a thing: the controller from the journal, the curriculum from the recipe.
"""

from __future__ import annotations

import math
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from resight import losses
from resight.errors import RecipeError
from resight.recipe import Recipe
from resight.reporting.figure import COLORS, INK, Drawing, Figure, legend, styles
from resight.reporting.text import printable
from resight.reporting.training_log import thin

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from resight.training.objective.terms import TermConfig

TOGETHER = "joint"  # the mode that learns both tasks
MEASURES = (
    ("k", "Moving averages of the losses", "k, each by its first"),
    ("p", "Chance that a loss does not fall", "p"),
    ("FL", "Focal weights", "FL, as a power of ten"),
)


def steering_figures(journal: Sequence[Mapping[str, Any]], recipe_toml: str | None) -> list[Figure]:
    """Those there is something to draw for."""
    figures = controller_figures(journal)
    recipe = _readable(recipe_toml)
    if recipe is None:
        return figures
    return figures + [curriculum(recipe, term) for term in recipe.objective.terms if term.loss == "curriculum_triplet"]


def _readable(recipe_toml: str | None) -> Recipe | None:
    """None where there is no recipe, or one of another version that cannot be read any more."""
    try:
        return None if recipe_toml is None else Recipe.from_toml(recipe_toml)
    except RecipeError:
        return None


def controller_figures(journal: Sequence[Mapping[str, Any]]) -> list[Figure]:
    """k, p and FL of each task, step by step; shaded where both tasks are learnt."""
    lines = [line for line in journal if line.get("event") == "train" and isinstance(line.get("steps"), dict)]
    if not lines:
        return []
    trace = [line["steps"] for line in lines]
    columns: dict[str, list[Any]] = {
        "step": [n for line in lines for n in range(line["step"] - len(line["steps"]["mode"]), line["step"])],
        "mode": [mode for steps in trace for mode in steps["mode"]],
        "source": [source for steps in trace for source in steps["source"]],
    }
    said, figures = _modes(columns["mode"], columns["source"]), []
    for measure, title, label in MEASURES:
        series = {
            task: [value for steps in trace for value in steps["tasks"][task][measure]] for task in trace[0]["tasks"]
        }
        drawing = Drawing()
        with drawing as axes:
            _shade(axes, columns["step"], columns["mode"])
            for values, style in zip(series.values(), styles(), strict=False):
                mark = "." if measure == "FL" else None  # zeros leave single points between gaps
                axes.plot(*thin(columns["step"], _drawn(values, measure)), marker=mark, markersize=4, **style)
            axes.set(xlabel="step", ylabel=label)
            legend(axes, list(series))
        numbers = {f"{measure} of {task}": values for task, values in series.items()}
        alt = f"{title} of {', '.join(series)} over {len(columns['step'])} steps. {said}"
        caption = said if measure == "k" else ""
        name = f"controller-{measure.lower()}"
        figures.append(Figure(name, title, alt, columns | numbers, drawing.canvas, caption))
    return figures


def curriculum(recipe: Recipe, term: TermConfig) -> Figure:
    """Where on the list of negatives the draws fall, epoch by epoch: rank 0 is the nearest, the hardest."""
    loss = losses.build(term.loss, **term.options)
    assert isinstance(loss, losses.CurriculumTriplet)
    schedule, source = loss.curriculum, next(iter(recipe.feed.values()))
    others = (source.ids - 1) * source.images
    count = torch.tensor([float(min(others, schedule.pool or others))])
    epochs = list(range(recipe.train.epochs))
    mean = np.array([float(schedule.mean(t, count)) for t in epochs])
    spread = np.array([schedule.spread(t) * (float(count) if schedule.relative else 1.0) for t in epochs])
    chances = [schedule.probabilities(t, count)[0].numpy() for t in epochs]
    expected = np.array([float(chance @ np.arange(len(chance))) for chance in chances])
    drawing = Drawing()
    with drawing as axes:
        axes.plot(epochs, mean, color=COLORS[0])
        axes.plot(epochs, expected, color=COLORS[1], linestyle="--")
        axes.fill_between(epochs, mean - spread, mean + spread, color=COLORS[0], alpha=0.18, linewidth=0)
        axes.set(xlabel="epoch", ylabel="rank of the negative, 0 the hardest", ylim=(-0.02 * others, float(count)))
        legend(axes, ["mean of the Gaussian", "rank expected of a draw", "one spread either way"])
    return Figure(
        f"curriculum-{_plain(term.name)}", "Curriculum",
        f"Mean from {mean[0]:.3g} to {mean[-1]:.3g} and spread from {spread[0]:.3g} to {spread[-1]:.3g} ranks over "
        f"{len(epochs)} epochs, among {int(count)} negatives.",
        {"epoch": epochs, "mean": mean.tolist(), "spread": spread.tolist(), "expected": expected.tolist()},
        drawing.canvas, f"Among the {int(count)} negatives of an anchor in a batch of {source.ids} x {source.images}.",
    )  # fmt: skip


def _modes(modes: Sequence[str], sources: Sequence[str]) -> str:
    """How many steps learn what, on which batches."""
    named = dict(zip(modes, map(printable, sources), strict=True))
    both = f" (batches of {named[TOGETHER]!r})" if TOGETHER in named else ""
    alone = "".join(f"; the others one, on {source!r}" for mode, source in named.items() if mode != TOGETHER)
    return f"Shaded: the {modes.count(TOGETHER)} of {len(modes)} steps that learn both tasks{both}{alone}."


def _shade(axes: Axes, steps: Sequence[int], modes: Sequence[str]) -> None:
    """One band for each run of steps that learn both."""
    for together, run in groupby(zip(steps, modes, strict=True), key=lambda pair: pair[1] == TOGETHER):
        if together:
            band = [step for step, _ in run]
            axes.axvspan(band[0] - 0.5, band[-1] + 0.5, color=INK, alpha=0.1, linewidth=0)


def _drawn(values: Sequence[float | None], measure: str) -> NDArray[np.float64]:
    """k as a share of its first value, so that two losses fit one picture; the exponent of FL, which spans many.

    NaN where a task has not been measured yet, and for FL = 0, which has no exponent.
    """
    found = np.array([math.nan if value is None else value for value in values])
    if measure == "FL":
        return np.log10(np.where(found > 0, found, np.nan))
    known = found[np.isfinite(found)]
    return found / known[0] if measure == "k" and len(known) and known[0] else found


def _plain(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name)
