"""Results of a sweep as one table: cost, scores with their spread over seeds, and differences with intervals.

Differences to the first variant come with a paired interval: identities are resampled, and the queries of all
seeds that both variants have go in together, so a value is the mean over seeds.  The interval says how much
depends on who was asked for; the spread beside the scores says how much depends on the seed.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from resight.errors import EvaluationError
from resight.evaluation import Report, compare, compare_changes
from resight.experiments.differences import Change, Difference, Score
from resight.experiments.runner import results_of, seconds
from resight.models import complexity_of
from resight.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from resight.experiments.sweep import Sweep, Variant


@dataclass(frozen=True)
class Line:
    """One variant.  `scores` and `differences` by data set, `change` between the sweep's two; what is not known yet is
    missing or None."""

    name: str
    about: str
    seeds: int
    parameters: int | None
    macs: int | None
    seconds: float | None  # of training, mean over seeds
    scores: Mapping[str, Mapping[str, Score]]
    differences: Mapping[str, Difference]
    change: Change | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        scores = {label: {n: score.to_dict() for n, score in named.items()} for label, named in self.scores.items()}
        differences = {label: difference.to_dict() for label, difference in self.differences.items()}
        plain = {key: getattr(self, key) for key in ("name", "about", "seeds", "parameters", "macs", "seconds")}
        change = self.change.to_dict() if self.change else None
        return plain | {"scores": scores, "differences": differences, "change": change}


@dataclass(frozen=True)
class SweepResults:
    """All lines, in the order of the sweep."""

    sweep: Sweep
    lines: tuple[Line, ...]
    asked: int  # runs the sweep asks for
    done: int  # of these, finished

    @property
    def labels(self) -> list[str]:
        """The data sets evaluated on."""
        return list(dict.fromkeys(label for line in self.lines for label in line.scores))


def compare_runs(sweep: Sweep, out: Path, labels: Sequence[str] | None = None) -> SweepResults:
    """Read the finished runs under `out`; those that are missing leave their place empty.

    labels: the evaluations a run must have to count.  None: any.
    """
    results = {str(trial): results_of(trial.folder(out), labels) for trial in sweep.trials()}
    found = {variant.name: _by_seed(sweep, variant, results) for variant in sweep.variants}
    first = found[sweep.variants[0].name]
    lines = [_line(sweep, variant, out, found[variant.name], first) for variant in sweep.variants]
    return SweepResults(sweep, tuple(lines), len(results), sum(map(bool, results.values())))


def _by_seed(sweep: Sweep, variant: Variant, results: Mapping[str, dict[str, Report]]) -> dict[int, dict[str, Report]]:
    """seed -> data set -> report, whatever a variant was trained on."""
    found: dict[int, dict[str, Report]] = {seed: {} for seed in sweep.seeds}
    for trial in sweep.trials_of(variant):
        found[trial.seed] |= results[str(trial)]
    return found


def pooled(reports: Sequence[Report]) -> Report:
    """The queries of several seeds as one report: its scores are the means over seeds."""
    first = reports[0]
    changes: dict[str, Any] = {name: np.concatenate([getattr(r, name) for r in reports]) for name in _PER_QUERY}
    changes |= {name: statistics.fmean(getattr(r, name) for r in reports) for name in ("mAP", "mINP")}
    changes["cmc"] = np.mean([r.cmc for r in reports], axis=0)
    return replace(first, **changes)


_PER_QUERY = ("ap", "inp", "first_match", "num_valid", "q_pids", "q_camids")


def _line(
    sweep: Sweep,
    variant: Variant,
    out: Path,
    found: dict[int, dict[str, Report]],
    first: dict[int, dict[str, Report]],
) -> Line:
    held = {seed: reports for seed, reports in found.items() if reports}
    labels = list(dict.fromkeys(label for reports in held.values() for label in reports))
    scores = {label: _scores([r[label] for r in held.values() if label in r]) for label in labels}
    differences: dict[str, Difference] = {}
    if variant is not sweep.variants[0]:
        for label in labels:
            difference = _difference(label, first, held)
            differences |= {label: difference} if difference else {}
    change = _change(sweep, variant, first, held) if sweep.change else None
    trained = variant
    while trained.weights_of is not None:
        trained = sweep.variant(trained.weights_of)
    ended = [trial.folder(out) for trial in sweep.trials_of(trained) if results_of(trial.folder(out))]
    took = [t for folder in ended if (t := seconds(folder)) is not None]
    kept = [run for trial in sweep.trials_of(variant) if ((run := trial.folder(out)) / "recipe.toml").is_file()]
    cost = _cost(Recipe.of_run(kept[0])) if held else None
    return Line(
        variant.name, variant.about, len(held), cost[0] if cost else None, cost[1] if cost else None,
        statistics.fmean(took) if took else None, scores, differences, change,
    )  # fmt: skip


def _scores(reports: Sequence[Report]) -> dict[str, Score]:
    return {"mAP": Score.of([r.mAP for r in reports]), "rank1": Score.of([r.rank(1) for r in reports])}


def _difference(
    label: str, first: dict[int, dict[str, Report]], mine: dict[int, dict[str, Report]]
) -> Difference | None:
    """Over the seeds both have; None where there is none or the two were asked different things."""
    both = [seed for seed in mine if label in mine[seed] and label in first.get(seed, {})]
    if not both:
        return None
    try:
        compared = compare(pooled([first[s][label] for s in both]), pooled([mine[s][label] for s in both]))
    except EvaluationError:
        return None
    return Difference(compared.difference["mAP"], len(both))


def _change(
    sweep: Sweep, variant: Variant, first: dict[int, dict[str, Report]], mine: dict[int, dict[str, Report]]
) -> Change | None:
    """Over the seeds that were evaluated on both sets."""
    easy, hard = sweep.change
    whole = {seed: reports for seed, reports in mine.items() if {easy, hard} <= reports.keys()}
    if not whole:
        return None
    score = Score.of([reports[hard].mAP - reports[easy].mAP for reports in whole.values()])
    both = [seed for seed in whole if {easy, hard} <= first.get(seed, {}).keys()]
    if variant is sweep.variants[0] or not both:
        return Change(score, None)
    a, b = (tuple(pooled([found[seed][label] for seed in both]) for label in (easy, hard)) for found in (first, whole))
    try:
        interval = compare_changes((a[0], a[1]), (b[0], b[1]))
    except EvaluationError:
        return Change(score, None)
    return Change(score, Difference(interval, len(both), ("loses less", "loses more")))


def _cost(recipe: Recipe) -> tuple[int, int] | None:
    """Parameters without classifiers and multiply-adds of one descriptor, counted on the meta device."""
    import torch

    from resight import models
    from resight.errors import ResightError

    options = {k: v for k, v in recipe.model.options.items() if k != "attributes"}
    try:
        with torch.device("meta"):
            counted = complexity_of(models.build(recipe.model.name, 0, **options).eval())
    except ResightError:
        return None
    return counted.parameters, counted.macs
