"""Thresholds in the report: the ROC of the evaluated pairs, and the calibration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from resight import evaluation
from resight.errors import EvaluationError
from resight.reporting.figure import COLORS, INK, Drawing, Figure, legend
from resight.reporting.ranked_lists import measure_of
from resight.reporting.text import percent, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from resight.evaluation import Calibration, EvaluationInput, OpenSet, Roc
    from resight.inference import Result
    from resight.reporting.text import Measure


@dataclass(frozen=True)
class Point:
    """An operating point of the calibration and its error rates on these people; None if not comparable."""

    chosen: evaluation.Operating
    fmr_here: float | None
    fnmr_here: float | None


@dataclass(frozen=True)
class Thresholds:
    """What can be said; None where there is nothing to say it from.  `refused`: why a calibration is not shown."""

    measure: Measure
    roc: Roc | None
    open_set: OpenSet | None
    calibration: Calibration | None
    points: list[Point]
    refused: str | None

    def figures(self) -> list[Figure]:
        drawn = [roc_figure(self.roc)] if self.roc is not None else []
        if self.calibration is not None:
            drawn += [reliability(self.calibration), probability(self.calibration)]
        return drawn

    def shown(self, distance: float) -> str:
        """A distance as people read it here: the similarity where there is one."""
        if not np.isfinite(distance):
            return "none"
        return f"{1 - distance:.4f}" if self.measure == "cosine" else f"d {distance:.4f}"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        roc, strangers = self.roc, self.open_set
        here = [{"fmr": p.chosen.fmr, "fmr_here": p.fmr_here, "fnmr_here": p.fnmr_here} for p in self.points]
        return {
            "roc": None if roc is None else {
                "fpr": roc.fpr.tolist(), "fpr_reached": roc.reached.tolist(), "tpr": roc.tpr.tolist(),
                "threshold": _finite(roc.threshold), "positives": roc.positives, "negatives": roc.negatives,
            },
            "open_set": None if strangers is None else {
                "far": strangers.far.tolist(), "far_reached": strangers.reached.tolist(),
                "threshold": _finite(strangers.threshold), "ranks": list(strangers.ranks),
                "dir": strangers.dir.tolist(), "known": strangers.known, "unknown": strangers.unknown,
            },
            "calibration": None if self.calibration is None else self.calibration.to_dict() | {"measured_here": here},
        }  # fmt: skip


def thresholds(result: Result, inputs: EvaluationInput, calibration: Calibration | None) -> Thresholds:
    """Everything about thresholds that these distances and this calibration allow."""
    measure = measure_of(result)
    refused = None
    if calibration is not None and calibration.model not in ("", result.query.fingerprint):
        refused = "The calibration kept with the model was made for other weights than the evaluated ones: not shown."
        calibration = None
    points = _points(inputs, measure, calibration) if calibration is not None else []
    return Thresholds(
        measure, _or_none(evaluation.roc, inputs), _strangers(inputs, result), calibration, points, refused
    )


def _points(inputs: EvaluationInput, measure: Measure, calibration: Calibration) -> list[Point]:
    if measure != calibration.metric:  # re-ranked or given distances have thresholds of their own
        return [Point(chosen, None, None) for chosen in calibration.operating]
    similarities = np.array([chosen.threshold for chosen in calibration.operating])
    distances = 1 - similarities if measure == "cosine" else -similarities
    rates = evaluation.error_rates(inputs, distances.tolist())
    return [
        Point(chosen, *(float(rate[at]) if np.isfinite(rate[at]) else None for rate in rates))
        for at, chosen in enumerate(calibration.operating)
    ]


def _strangers(inputs: EvaluationInput, result: Result) -> OpenSet | None:
    """Queries without a match are people who are not there."""
    return _or_none(evaluation.open_set, inputs) if result.report.counts.skipped else None


def _or_none(score: Any, inputs: EvaluationInput) -> Any:
    try:
        return score(inputs)
    except EvaluationError:
        return None


def roc_figure(found: Roc) -> Figure:
    """True positives at small false-positive rates, over all evaluated pairs."""
    fpr, tpr = found.curve
    drawing = Drawing()
    with drawing as axes:
        seen = fpr > 0
        axes.plot(fpr[seen], 100 * tpr[seen], color=COLORS[0])
        axes.plot(found.fpr, 100 * found.tpr, "o", color=COLORS[1], markersize=5)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda rate, _: f"{rate:g}")
        axes.set(xlabel="false-positive rate", ylabel="true positives, in %", ylim=(0, _top(100 * tpr.max())))
    said = ", ".join(f"{percent(tpr)} % at {fpr:g}" for fpr, tpr in zip(found.fpr, found.tpr, strict=True))
    return Figure(
        "roc", "Receiver operating characteristic", f"True positives at a false-positive rate: {said}.",
        {"fpr": fpr.tolist(), "tpr": tpr.tolist()}, drawing.canvas,
        f"Every evaluated pair is one decision: {found.positives:,} of one person, {found.negatives:,} of two.",
    )  # fmt: skip


def reliability(calibration: Calibration) -> Figure:
    """Does a stated probability happen as often as it says?  A large point stands for many pairs."""
    stated = np.array([point.stated for point in calibration.reliability])
    found = np.array([point.found for point in calibration.reliability])
    weight = np.array([point.weight for point in calibration.reliability])
    drawing = Drawing(square=True, height=3.4)
    with drawing as axes:
        axes.plot([0, 100], [0, 100], color=INK, linestyle=":", linewidth=1)
        axes.plot(100 * stated, 100 * found, color=COLORS[0], linewidth=1)
        size = 20 + 180 * weight / weight.sum()
        axes.scatter(100 * stated, 100 * found, s=size, color=COLORS[0], edgecolors=INK, linewidths=0.5)
        axes.set(xlabel="stated probability, in %", ylabel="same person, in %", xlim=(-4, 104), ylim=(-4, 104))
    pairs = zip(stated, found, strict=True)
    said = "; ".join(f"stated {percent(told)} %, found {percent(true)} %" for told, true in pairs)
    return Figure(
        "reliability", "Reliability of the probability", f"Reliability plot. {said}.",
        {"stated": stated.tolist(), "found": found.tolist(), "weight": weight.tolist()}, drawing.canvas,
        "On people left out of the fit, same and different pairs weighing alike; the dotted line is a perfect one.",
    )  # fmt: skip


def probability(calibration: Calibration) -> Figure:
    """The fitted curve from similarity to probability, and where the thresholds lie."""
    marks = [point.threshold for point in calibration.operating]
    low, high = _range(calibration, marks)
    x = np.linspace(low, high, 201)
    drawing = Drawing()
    with drawing as axes:
        axes.plot(x, 100 * calibration.probability(x), color=COLORS[0])
        for number, mark in enumerate(marks, start=1):
            axes.axvline(mark, color=COLORS[number % len(COLORS)], linestyle="--", linewidth=1)
        rates = [f"false-match rate {point.fmr:g}" for point in calibration.operating]
        legend(axes, ["probability", *rates])
        word = "cosine similarity" if calibration.metric == "cosine" else "minus the Euclidean distance"
        axes.set(xlabel=word, ylabel="same person, in %", ylim=(-2, 102), xlim=(low, high))
    said = ", ".join(f"{point.threshold:.4f} at {point.fmr:g}" for point in calibration.operating)
    return Figure(
        "probability", "From similarity to probability",
        f"Probability of the same person over the similarity, {calibration.method}. Thresholds: {said}.",
        {"similarity": x.tolist(), "probability": calibration.probability(x).tolist()}, drawing.canvas,
        f"{printable(calibration.method.capitalize())} fit, for an even chance beforehand.",
    )  # fmt: skip


def _range(calibration: Calibration, marks: Sequence[float]) -> tuple[float, float]:
    """The similarities worth drawing: the fitted ones, all thresholds among them."""
    ends = [*calibration.knots, *marks]
    if not calibration.knots:  # logistic: from 1 % to 99 %
        slope, intercept = calibration.values
        ends += [(np.log(odds) - intercept) / slope for odds in (1 / 99, 99)] if slope > 0 else [-1.0, 1.0]
    low, high = min(ends), max(ends)
    margin = 0.05 * (high - low or 1.0)
    return float(low - margin), float(high + margin)


def _top(highest: float) -> float:
    """Room above a curve of shares in per cent, all of it where the curve comes near."""
    return min(100.5, max(5.0, 1.2 * highest))


def _finite(values: Any) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]
