"""Map of the feature space: two principal axes, by singular value decomposition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from resight.reporting.figure import COLORS, INK, MARKERS, Drawing, Figure, legend
from resight.reporting.run_comparison import same_pictures
from resight.reporting.text import percent, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from resight.inference import Result, Vectors


MOST = 600  # pictures on the map
NAMED = 8  # persons told apart on it


@dataclass(frozen=True)
class FeatureMap:
    """Places (N, 2) of N pictures; `named` are the persons to show in colour."""

    places: NDArray[np.float64]
    pids: NDArray[np.int64]
    camids: NDArray[np.int64]
    named: tuple[int, ...]
    explained: tuple[float, float]  # shares of the variance
    dimensions: int


def map_features(vectors: Vectors, seed: int, nobody: Sequence[int] = ()) -> FeatureMap | None:
    """Of a seeded sample; None where fewer than three pictures are there.

    `nobody` are identities that are no person: junk, distractors.  Some persons come with all their pictures,
    so that their clusters can be seen; the rest is drawn from everybody.
    """
    return next(iter(map_together([vectors], seed, nobody)), None)


def map_together(several: Sequence[Vectors], seed: int, nobody: Sequence[int] = ()) -> list[FeatureMap]:
    """The same pictures in each of several spaces, row by row one picture, each on its own two axes."""
    first = several[0]
    usable = np.flatnonzero(np.all([np.isfinite(each.vectors).all(axis=1) for each in several], axis=0))
    if len(usable) < 3:
        return []
    rng = np.random.default_rng(seed)
    named = _named(first.pids[usable], [*nobody, first.UNKNOWN_PID], rng)
    theirs = usable[np.isin(first.pids[usable], named)][:MOST]
    others = rng.permutation(np.setdiff1d(usable, theirs))[: MOST - len(theirs)]
    rows = np.sort(np.concatenate([theirs, others]))
    found = []
    for each in several:
        places, explained = principal_axes(each.vectors[rows].astype(np.float64))
        found.append(FeatureMap(places, first.pids[rows], first.camids[rows], named, explained, each.vectors.shape[1]))
    return found


def principal_axes(features: NDArray[np.float64]) -> tuple[NDArray[np.float64], tuple[float, float]]:
    """(N, D) -> places (N, 2) and the two shares of the variance.

    The sign of an axis is free: its largest component is made positive, so that maps do not flip.
    """
    centered = features - features.mean(axis=0)
    _, singular, axes = np.linalg.svd(centered, full_matrices=False)  # axes (min(N, D), D)
    axes = axes[:2] * np.sign(axes[np.arange(len(axes[:2])), np.abs(axes[:2]).argmax(axis=1)])[:, None]
    places = np.zeros((len(features), 2))
    places[:, : len(axes)] = centered @ axes.T
    share = np.zeros(2)
    share[: len(singular[:2])] = singular[:2] ** 2 / max(float((singular**2).sum()), 1e-30)
    return places, (float(share[0]), float(share[1]))


def _named(pids: NDArray[np.int64], nobody: Sequence[int], rng: np.random.Generator) -> tuple[int, ...]:
    """Persons drawn among those with at least three pictures, else among all."""
    found, images = np.unique(pids, return_counts=True)
    persons = ~np.isin(found, nobody)
    rich = persons & (images >= 3)
    pool = found[rich if rich.any() else persons]
    return tuple(sorted(int(pid) for pid in rng.permutation(pool)[:NAMED]))


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

    Raises EvaluationError where two runs were not evaluated on the same pictures.
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
            color=COLORS[number % len(COLORS)], edgecolors=INK, linewidths=0.4,
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
