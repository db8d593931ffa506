"""Feature spaces drawn: of one run, and of several side by side on the same pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from resight.reporting.against import same_pictures
from resight.reporting.drawing import COLOURS, INK, MARKERS, Drawing, Figure, legend
from resight.reporting.space import FeatureMap, map_together
from resight.reporting.words import percent, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from resight.embedding import Result


def feature_map(points: FeatureMap) -> Figure:
    """The plane in which the descriptors vary most; a few persons stand out, the others are grey."""
    drawing = Drawing(square=True, height=4.6)
    with drawing as axes:
        _scatter(axes, points)
        legend(axes, _names(points), below=True)
    return Figure(
        "feature-map", "Map of the feature space",
        f"{len(points.pids)} gallery pictures on two principal axes, {len(points.named)} persons marked.",
        _places(points) | _labels(points), drawing.canvas,
        f"{len(points.pids)} gallery pictures on two principal axes, with {percent(sum(points.explained))} % of the "
        f"variance: what is close here need not be close in all {points.dimensions} dimensions.",
    )  # fmt: skip


def side_by_side(named: Sequence[tuple[str, Result]], seed: int, nobody: Sequence[int] = ()) -> Figure | None:
    """The same gallery pictures in each run's space; None where fewer than three can be shown.

    Raises EvaluationError where two runs were not judged on the same pictures.
    """
    for name, result in named[1:]:
        same_pictures(*named[0], name, result)
    maps = map_together([result.gallery for _, result in named], seed, nobody)
    if not maps:
        return None
    drawing = Drawing(square=True, height=3.8, panels=len(maps))
    with drawing:
        for axes, (name, result), points in zip(drawing.panels, named, maps, strict=True):
            _scatter(axes, points)
            axes.set_title(f"{printable(name, 40)}: mAP {percent(result.report.mAP)} %")
        drawing.canvas.legend(
            drawing.panels[0].collections, _names(maps[0]), loc="outside lower center", ncols=9, frameon=False,
        )  # fmt: skip
    columns = _labels(maps[0])
    for (name, _), points in zip(named, maps, strict=True):
        columns |= {f"{key} {name}": values for key, values in _places(points).items()}
    shown = [f"{name} {percent(sum(points.explained))} %" for (name, _), points in zip(named, maps, strict=True)]
    return Figure(
        "feature-spaces", "Feature spaces side by side",
        f"{len(maps[0].pids)} gallery pictures on two principal axes of {len(maps)} spaces, "
        f"{len(maps[0].named)} persons marked.",
        columns, drawing.canvas,
        f"The same {len(maps[0].pids)} gallery pictures, each space on two principal axes of its own, which hold "
        f"of its variance: {', '.join(shown)}.",
    )  # fmt: skip


def _scatter(axes: Axes, points: FeatureMap) -> None:
    others = ~np.isin(points.pids, points.named)
    axes.scatter(points.places[others, 0], points.places[others, 1], s=7, color=INK, alpha=0.22, linewidths=0)
    for number, pid in enumerate(points.named):
        mine = points.pids == pid
        axes.scatter(
            points.places[mine, 0], points.places[mine, 1], s=26, marker=MARKERS[number % len(MARKERS)],
            color=COLOURS[number % len(COLOURS)], edgecolors=INK, linewidths=0.4,
        )  # fmt: skip
    first, second = points.explained
    axes.set(xlabel=f"first axis ({percent(first)} % of the variance)",
             ylabel=f"second axis ({percent(second)} %)", xticks=[], yticks=[])  # fmt: skip


def _names(points: FeatureMap) -> list[str]:
    return ["others", *(f"id {pid}" for pid in points.named)]


def _places(points: FeatureMap) -> dict[str, list[float]]:
    return {"x": points.places[:, 0].tolist(), "y": points.places[:, 1].tolist()}


def _labels(points: FeatureMap) -> dict[str, list[float]]:
    return {"pid": points.pids.tolist(), "camera": points.camids.tolist()}
