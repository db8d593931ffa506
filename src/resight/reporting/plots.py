"""The figures of a report, each from the numbers it shows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from resight.reporting.figure import COLORS, INK, Drawing, Figure, legend, styles
from resight.reporting.text import percent, printable
from resight.reporting.training_log import thin

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from resight.evaluation import Report
    from resight.reporting.training_log import Column, Curves

AP_BINS = 20


def result_figures(report: Report) -> list[Figure]:
    return [cmc(report), ap_histogram(report)]


def training_figures(curves: Curves) -> list[Figure]:
    """Those there are numbers for."""
    losses = {"total": curves.total, **curves.parts} if len(curves.parts) != 1 else {"total": curves.total}
    speed = {"images/s": curves.images_per_s}
    return [
        figure
        for figure in (
            _lines("losses", "Loss", "loss", curves.epoch, losses),
            _lines("validation", "Validation", "score in %", curves.validation_epoch, curves.scores,
                   scale=100, points=True),
            _lines("learning-rate", "Learning rate", "learning rate", curves.epoch, {"lr": curves.rate}),
            _lines("throughput", "Throughput", "images a second", curves.epoch, speed, from_zero=True),
            _lines("waiting", "Time spent waiting for pictures", "share in %", curves.epoch,
                   {"waiting": curves.waiting}, scale=100, from_zero=True),
            _lines("spread", "Spread of the descriptors", "spread", curves.epoch, {"spread": curves.spread},
                   from_zero=True),
        )
        if figure is not None
    ]  # fmt: skip


def cmc(report: Report) -> Figure:
    """The share of queries answered within the first k."""
    ranks = np.arange(1, len(report.cmc) + 1)
    drawing = Drawing()
    with drawing as axes:
        axes.plot(ranks, 100 * report.cmc, color=COLORS[0], marker="o", markersize=3)
        axes.set(xlabel="rank k", ylabel="answered within k, in %", xlim=(0.5, len(ranks) + 0.5))
        axes.set_ylim(bottom=_floor(100 * report.cmc.min()), top=100.5)
    return Figure(
        "cmc", "Cumulative match curve", _cmc_alt(report),
        {"rank": ranks.tolist(), "cmc": report.cmc.tolist()},
        drawing.canvas, "The share of queries with a right answer among the first k.",
    )  # fmt: skip


def ap_histogram(report: Report) -> Figure:
    """How many queries went how well."""
    ap = report.ap[~np.isnan(report.ap)]
    queries, edges = np.histogram(ap, bins=AP_BINS, range=(0.0, 1.0))
    drawing = Drawing()
    with drawing as axes:
        axes.bar(
            100 * edges[:-1],
            queries,
            100 / AP_BINS,
            align="edge",
            color=COLORS[0],
            edgecolor=INK,
            linewidth=0.4,
        )
        axes.axvline(100 * report.mAP, color=COLORS[1], linestyle="--")
        axes.set(xlabel="average precision of a query, in %", ylabel="queries", xlim=(0, 100))
        legend(axes, [f"mAP {percent(report.mAP)}"])
    low, high = int((ap < 0.1).sum()), int((ap >= 0.9).sum())
    return Figure(
        "ap-histogram", "Average precision of the queries",
        f"Histogram of the average precision of {len(ap)} queries: {low} below 10 %, {high} at 90 % or more.",
        {"from": edges[:-1].tolist(), "to": edges[1:].tolist(), "queries": queries.tolist()}, drawing.canvas,
        "A mean hides whether all queries are middling or some perfect and others lost.",
    )  # fmt: skip


def images_per_identity(counts: Mapping[str, NDArray[np.int64]]) -> Figure | None:
    """How many pictures a person has, split by split."""
    counts = {split: values for split, values in counts.items() if len(values)}
    if not counts:
        return None
    most = max(int(values.max()) for values in counts.values())
    edges = np.unique(np.linspace(1, most + 1, min(most, 30) + 1).astype(int))
    columns: dict[str, list[int]] = {"from": edges[:-1].tolist(), "to": (edges[1:] - 1).tolist()}
    drawing = Drawing()
    with drawing as axes:
        for (split, values), style in zip(counts.items(), styles(), strict=False):
            columns[split] = np.histogram(values, edges)[0].tolist()
            axes.stairs(columns[split], edges - 0.5, linewidth=1.6, **style)
        axes.set(xlabel="pictures of a person", ylabel="persons")
        axes.legend(axes.patches, list(counts), frameon=False, fontsize=8)
    alt = "; ".join(f"{s}: median {np.median(v):g}, from {v.min()} to {v.max()}" for s, v in counts.items())
    return Figure(
        "images-per-identity",
        "Pictures of a person",
        f"Pictures of a person. {alt}.",
        columns,
        drawing.canvas,
    )


def _lines(
    name: str, title: str, label: str, epoch: Column, series: Mapping[str, Column], *,
    scale: float = 1.0, from_zero: bool = False, points: bool = False,
) -> Figure | None:  # fmt: skip
    """Curves over the epochs, or None where there is no number to draw."""
    series = {key: values for key, values in series.items() if any(map(math.isfinite, values))}
    if not series:
        return None
    drawing = Drawing()
    with drawing as axes:
        for values, style in zip(series.values(), styles(), strict=False):
            x, y = thin(epoch, values)
            axes.plot(x, scale * y, marker="o" if points or len(x) == 1 else None, markersize=3.5, **style)
        axes.set(xlabel="epoch", ylabel=label)
        if from_zero:
            axes.set_ylim(0, 1.1 * axes.get_ylim()[1] or 1)
        if len(series) > 1:
            legend(axes, list(series))
    thinned = "Each point is the mean of several logged lines." if len(epoch) > 400 else ""
    return Figure(name, title, _lines_alt(title, series, scale), {"epoch": epoch, **series}, drawing.canvas, thinned)


def _lines_alt(title: str, series: Mapping[str, Column], scale: float) -> str:
    """First and last value of each curve, in words."""
    said = []
    for key, values in series.items():
        known = [scale * value for value in values if math.isfinite(value)]
        said.append(f"{printable(key, 40)} from {known[0]:.3g} to {known[-1]:.3g}")
    return f"{title} over the epochs: {', '.join(said)}."


def _cmc_alt(report: Report) -> str:
    ranks = [k for k in (1, 5, 10, 20) if k <= len(report.cmc)]
    return "Cumulative match curve: " + ", ".join(f"rank {k} {percent(report.rank(k))} %" for k in ranks) + "."


def _floor(lowest: float) -> float:
    """A round number below the curve, so that a good curve is not a line along the top."""
    return max(0.0, 10 * math.floor((lowest - 5) / 10)) if math.isfinite(lowest) else 0.0
