"""What a sweep found, as one table: cost, scores with their spread over seeds, and whether rows really differ.

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
from resight.evaluation import Interval, Report, compare
from resight.models import profile
from resight.reporting.sweeping import results_of, seconds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from resight.reporting.sweep import Sweep, Variant

SAME = "not distinguishable"


@dataclass(frozen=True)
class Score:
    """Mean and standard deviation over seeds, shares in [0, 1]; no deviation of a single seed."""

    mean: float
    spread: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> Score:
        return cls(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None)

    def __str__(self) -> str:
        return f"{100 * self.mean:.1f}" + ("" if self.spread is None else f" ± {100 * self.spread:.1f}")


@dataclass(frozen=True)
class Difference:
    """A variant's mAP against the first one's: b minus a, with its 95 % interval."""

    interval: Interval
    seeds: int  # that both have

    @property
    def verdict(self) -> str:
        """In words: an interval that holds 0 decides nothing."""
        if self.interval.low <= 0 <= self.interval.high:
            return SAME
        return "better" if self.interval.value > 0 else "worse"

    def __str__(self) -> str:
        value, low, high = (100 * v for v in (self.interval.value, self.interval.low, self.interval.high))
        return f"{value:+.1f} [{low:+.1f}, {high:+.1f}] {self.verdict}"


@dataclass(frozen=True)
class Line:
    """One variant.  `scores` and `differences` by data set; what is not known yet is missing or None."""

    name: str
    about: str
    seeds: int
    parameters: int | None
    macs: int | None
    seconds: float | None  # of training, mean over seeds
    scores: Mapping[str, Mapping[str, Score]]
    differences: Mapping[str, Difference]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        scores = {
            label: {name: {"mean": s.mean, "spread": s.spread} for name, s in named.items()}
            for label, named in self.scores.items()
        }
        differences = {
            label: {
                "mAP": d.interval.value, "low": d.interval.low, "high": d.interval.high, "level": d.interval.level,
                "seeds": d.seeds, "verdict": d.verdict,
            }
            for label, d in self.differences.items()
        }  # fmt: skip
        plain = {key: getattr(self, key) for key in ("name", "about", "seeds", "parameters", "macs", "seconds")}
        return plain | {"scores": scores, "differences": differences}


@dataclass(frozen=True)
class Comparison:
    """All lines, in the order of the sweep."""

    sweep: Sweep
    lines: tuple[Line, ...]
    asked: int  # runs the sweep asks for
    done: int  # of these, finished

    @property
    def labels(self) -> list[str]:
        """The data sets judged on."""
        return list(dict.fromkeys(label for line in self.lines for label in line.scores))


def compare_runs(sweep: Sweep, out: Path, labels: Sequence[str] | None = None) -> Comparison:
    """Read the finished runs under `out`; those that are missing leave their place empty.

    labels: the evaluations a run must have to count.  None: any.
    """
    found = {v.name: {s: results_of(out, v, s, labels) for s in sweep.seeds} for v in sweep.variants}
    first = found[sweep.variants[0].name]
    lines = [_line(sweep, variant, out, found[variant.name], first) for variant in sweep.variants]
    done = sum(bool(reports) for seeds in found.values() for reports in seeds.values())
    return Comparison(sweep, tuple(lines), len(sweep.trials()), done)


def pooled(reports: Sequence[Report]) -> Report:
    """The queries of several seeds as one report: its scores are the means over seeds."""
    first = reports[0]
    changes: dict[str, Any] = {name: np.concatenate([getattr(r, name) for r in reports]) for name in _PER_QUERY}
    changes |= {name: statistics.fmean(getattr(r, name) for r in reports) for name in ("mAP", "mINP")}
    changes["cmc"] = np.mean([r.cmc for r in reports], axis=0)
    return replace(first, **changes)


_PER_QUERY = ("ap", "inp", "first_match", "num_valid", "q_pids", "q_cams")


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
    trained = variant
    while trained.weights_of is not None:
        trained = sweep.variant(trained.weights_of)
    took = [t for seed in held if (t := seconds(out / trained.slug / f"seed-{seed}")) is not None]
    cost = _cost(out / variant.slug / f"seed-{next(iter(held))}") if held else None
    return Line(
        variant.name, variant.about, len(held), cost[0] if cost else None, cost[1] if cost else None,
        statistics.fmean(took) if took else None, scores, differences,
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
        verdict = compare(pooled([first[s][label] for s in both]), pooled([mine[s][label] for s in both]))
    except EvaluationError:
        return None
    return Difference(verdict.difference["mAP"], len(both))


def _cost(folder: Path) -> tuple[int, int] | None:
    """Parameters without classifiers and multiply-adds of one descriptor, counted on the meta device."""
    import torch

    from resight import models
    from resight.errors import ResightError
    from resight.recipe import Recipe

    recipe = Recipe.load(folder / "recipe.toml")
    options = {k: v for k, v in recipe.model.options.items() if k != "attributes"}
    try:
        with torch.device("meta"):
            counted = profile(models.build(recipe.model.name, 0, **options).eval())
    except ResightError:
        return None
    return counted.parameters, counted.macs
