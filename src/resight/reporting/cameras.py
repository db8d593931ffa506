"""From camera to camera: which pairs of views a model bridges, and which it does not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from resight import evaluation
from resight.reporting.words import camera

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from resight.embedding import Result

QUERIES = 200  # a query camera is judged on at most so many, drawn with the seed


@dataclass(frozen=True)
class Pair:
    """Queries of one camera against the gallery of one camera, under the rules of the whole verdict."""

    query_camera: int
    gallery_camera: int
    queries: int  # with a right answer there; 0: the pair cannot be judged, and the scores are NaN
    mAP: float  # noqa: N815 - as everybody writes it
    first: float  # share answered at rank 1

    def to_dict(self) -> dict[str, Any]:
        scores = {"mAP": self.mAP, "rank-1": self.first} if self.queries else {"mAP": None, "rank-1": None}
        return {
            "query_camera": self.query_camera,
            "gallery_camera": self.gallery_camera,
            "queries": self.queries,
            **scores,
        }


def camera_pairs(result: Result, seed: int = 0) -> list[Pair]:
    """Every pair, by query camera, then gallery camera; empty where there are not two cameras.

    The gallery is one camera's pictures, so that a figure does not depend on how many others there are.
    """
    query, gallery, protocol = result.query, result.gallery, result.report.protocol
    if len(np.unique(gallery.camids)) < 2:
        return []
    rows = _some_of_each(query.camids, seed)
    case = evaluation.Case.of_features(
        query.vectors[rows], gallery.vectors, query.pids[rows], gallery.pids, query.camids[rows], gallery.camids,
        gallery.metric, protocol=replace(protocol, ties="stable") if protocol.ties == "expected" else protocol,
    )  # fmt: skip
    table = evaluation.camera_pairs(case)
    return [
        Pair(int(ours), int(theirs), int(table.queries[a, b]), float(table.mAP[a, b]), float(table.rank1[a, b]))
        for a, ours in enumerate(table.q_cams)
        for b, theirs in enumerate(table.g_cams)
    ]


@dataclass(frozen=True)
class CameraTable:
    """The pairs as rows and columns of a table."""

    columns: list[str]
    rows: list[tuple[str, list[Pair]]]

    @classmethod
    def of(cls, pairs: list[Pair]) -> CameraTable | None:
        if not pairs:
            return None
        columns = sorted({pair.gallery_camera for pair in pairs})
        rows = [
            (camera(ours), [pair for pair in pairs if pair.query_camera == ours])
            for ours in sorted({pair.query_camera for pair in pairs})
        ]
        return cls([camera(theirs) for theirs in columns], rows)


def _some_of_each(camids: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """At most QUERIES rows of each camera, in order."""
    rng = np.random.default_rng(seed)
    drawn = [rng.permutation(np.flatnonzero(camids == camera))[:QUERIES] for camera in np.unique(camids)]
    return np.sort(np.concatenate(drawn))
