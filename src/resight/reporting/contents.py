"""Contents of a report: what is gathered before the page is written."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from resight import evaluation
from resight.reporting import plots
from resight.reporting.cluster_plots import cluster_figures
from resight.reporting.dataset_statistics import DataStatistics, data_statistics, nobody_of
from resight.reporting.feature_map import feature_map, map_features, side_by_side
from resight.reporting.ranked_lists import RankedRow, ranked_rows, sample_queries, worst_queries
from resight.reporting.run_comparison import Against, against
from resight.reporting.schedule_plots import steering_figures
from resight.reporting.thresholds import Thresholds, thresholds
from resight.reporting.training_log import Curves

if TYPE_CHECKING:
    from collections.abc import Sequence

    from resight.data import Dataset
    from resight.inference import Result
    from resight.reporting.figure import Figure

DEPTH = 10  # evaluated pictures in a list
WORST = 8  # queries of lowest average precision


@dataclass(frozen=True)
class Gathered:
    """Everything the page shows.  `training` names the figures of the section of that name, in order."""

    result: Result | None
    dataset: Dataset | None
    curves: Curves
    figures: dict[str, Figure]
    training: list[str]
    lists: list[RankedRow]
    worst: list[RankedRow]
    cameras: evaluation.CameraPairs | None
    people: list[evaluation.PersonScore]
    thresholds: Thresholds | None
    against: Against | None
    data: DataStatistics | None
    recipe: str | None

    def pictures(self) -> int:
        """That the page will hold."""
        flipped = self.against.rows if self.against else []
        return sum(1 + len(row.hits) for row in (*self.lists, *self.worst, *flipped))


def gather(
    result: Result | None,
    journal: Sequence[dict[str, Any]],
    recipe: str | None,
    dataset: Dataset | None,
    calibration: evaluation.Calibration | None,
    other: tuple[str, Result] | None,
    beside: Sequence[tuple[str, Result]],
    queries: int,
    seed: int,
) -> Gathered:
    """The evaluation's distances are made once and serve the lists, the table of cameras and the thresholds."""
    curves, data = Curves.of(journal), data_statistics(dataset, result, seed)
    training = plots.training_figures(curves) + cluster_figures(journal) + steering_figures(journal, recipe)
    figures, lists, worst = list(training), [], []
    cameras = found = compared = None
    if result is not None:
        inputs = result.evaluation_input()
        drawn = sample_queries(result.report, queries, seed)
        rows = ranked_rows(result, drawn + worst_queries(result.report, min(queries, WORST)), DEPTH, inputs)
        lists, worst = rows[: len(drawn)], rows[len(drawn) :]
        cameras, found = camera_pairs(inputs), thresholds(result, inputs, calibration)
        points = map_features(result.gallery, seed, nobody_of(result)) if result.distances is None else None
        figures += plots.result_figures(result.report) + found.figures()
        figures += [feature_map(points)] if points is not None else []
        together = side_by_side(beside, seed, nobody_of(result)) if beside else None
        figures += [together] if together is not None else []
        compared = against(result, *other, inputs=inputs) if other else None
    if data is not None:
        histogram = plots.images_per_identity({split.split: split.per_identity for split in data.splits})
        figures += [histogram] if histogram is not None else []
    return Gathered(
        result, dataset, curves, {figure.name: figure for figure in figures},
        [figure.name for figure in training], lists, worst, cameras,
        evaluation.by_person(result.report) if result is not None else [], found, compared, data, recipe,
    )  # fmt: skip


def camera_pairs(inputs: evaluation.EvaluationInput) -> evaluation.CameraPairs | None:
    """All queries in each gallery camera by itself; None where there are not two cameras."""
    labels = inputs.labels
    if len(np.unique(labels.g_camids)) < 2:
        return None
    if labels.protocol.ties == "expected":
        labels = replace(labels, protocol=replace(labels.protocol, ties="stable"))
    return evaluation.camera_pairs(evaluation.EvaluationInput(inputs.source, labels))
