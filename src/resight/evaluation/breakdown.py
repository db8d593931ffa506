"""Scores by pair of cameras and by person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from resight.errors import EvaluationError
from resight.evaluation.average_precision import Groups, fixed_scores
from resight.evaluation.ranks import ScoredBlock, count_closer, scored_blocks

if TYPE_CHECKING:
    from resight.evaluation.evaluate import EvaluationInput
    from resight.evaluation.labels import FloatArray, IntArray
    from resight.evaluation.report import Report


@dataclass(frozen=True, eq=False)
class CameraPairs:
    """Scores of queries of one camera against the gallery of one other.  NaN where there is nothing to score."""

    q_camids: IntArray  # (A,) in ascending order
    g_camids: IntArray  # (B,)
    mAP: FloatArray  # noqa: N815 - (A, B)
    rank1: FloatArray  # (A, B)
    queries: IntArray  # (A, B) queries with a match there

    def to_dicts(self) -> list[dict[str, Any]]:
        """A line a pair, by query camera, then gallery camera; a score there is none of is None."""
        return [
            {
                "query_camera": int(self.q_camids[a]),
                "gallery_camera": int(self.g_camids[b]),
                "queries": int(self.queries[a, b]),
                "mAP": float(self.mAP[a, b]) if self.queries[a, b] else None,
                "rank1": float(self.rank1[a, b]) if self.queries[a, b] else None,
            }
            for a, b in np.ndindex(self.queries.shape)
        ]


def camera_pairs(inputs: EvaluationInput) -> CameraPairs:
    """Each query evaluated against each gallery camera by itself; one without a match there does not count.

    Args:
        inputs: distances and labels.

    Returns:
        Scores and numbers of queries, (query cameras, gallery cameras); NaN where no query counts.

    Raises:
        EvaluationError: the protocol's ties are "expected", which names no order.
    """
    labels = inputs.labels
    if labels.protocol.ties == "expected":
        raise EvaluationError("camera pairs need an order of ties; choose another rule than ties='expected'.")
    q_camids, g_camids = np.unique(labels.q_camids), np.unique(labels.g_camids)
    ap, rank1, queries = np.zeros((3, len(q_camids), len(g_camids)))
    columns = [np.flatnonzero(labels.g_camids == camera) for camera in g_camids]
    of_query = np.searchsorted(q_camids, labels.q_camids)
    place = np.empty(len(labels.g_camids), dtype=np.int64)
    for those in columns:
        place[those] = np.arange(len(those))
    for block in scored_blocks(inputs.source, labels):
        for b, those in enumerate(columns):
            own = labels.g_camids[block.col] == g_camids[b]
            part = ScoredBlock(block.rows, block.distance[:, those], block.row[own], place[block.col[own]])
            found = count_closer(part)
            scores = fixed_scores(found, Groups.of(found, len(labels.q_pids)), len(labels.q_pids), labels.protocol)
            used = np.flatnonzero(scores.num_valid)
            np.add.at(ap[:, b], of_query[used], scores.ap[used])
            np.add.at(rank1[:, b], of_query[used], scores.found[used, 0])
            np.add.at(queries[:, b], of_query[used], 1)
    with np.errstate(invalid="ignore"):
        return CameraPairs(q_camids, g_camids, ap / queries, rank1 / queries, queries.astype(np.int64))


@dataclass(frozen=True, slots=True)
class PersonScore:
    """One line of the table by person."""

    pid: int
    queries: int
    used: int  # queries with a match
    mAP: float  # noqa: N815 - NaN where no query has one
    rank1: float
    worst: int  # the query with the lowest AP; the first of all where none has a match

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; a score there is none of is None."""
        scores = {"mAP": self.mAP, "rank1": self.rank1} if self.used else {"mAP": None, "rank1": None}
        return {"pid": self.pid, "queries": self.queries, "used": self.used, **scores, "worst_query": self.worst}


def by_person(report: Report) -> list[PersonScore]:
    """Every identity's own scores.

    Args:
        report: of an evaluation.

    Returns:
        The worst first; people without a match at the end.
    """
    lines = []
    for pid in np.unique(report.q_pids):
        rows = np.flatnonzero(report.q_pids == pid)
        used = rows[~np.isnan(report.ap[rows])]
        worst = used[np.argmin(report.ap[used])] if len(used) else rows[0]
        mean = (report.ap[used].mean(), report.found(1)[used].mean()) if len(used) else (np.nan, np.nan)
        lines.append(PersonScore(int(pid), len(rows), len(used), float(mean[0]), float(mean[1]), int(worst)))
    return sorted(lines, key=lambda line: (np.isnan(line.mAP), line.mAP, line.pid))
