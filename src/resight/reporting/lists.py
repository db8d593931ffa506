"""Ranked lists as people look at them: a query, and what was found for it, each with a flag.

The flags of judged lists are the evaluation's own; nothing here decides what is right.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from resight.embedding.vectors import Vectors
from resight.evaluation import ranked_list
from resight.evaluation.blocks import FeatureSource
from resight.evaluation.labels import Labels
from resight.evaluation.ranking import standing
from resight.types import UNKNOWN_CAMERA

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from resight.embedding import Result
    from resight.evaluation import Protocol, RankedItem, Report
    from resight.types import Metric

Flag = Literal["right", "wrong", "junk", "unknown"]
JUNK_SHOWN = 3  # pictures nobody is judged on can crowd out the ones that count


@dataclass(frozen=True)
class Picture:
    """One picture and what is known of it; pid None where nobody said."""

    path: Path | None
    pid: int | None
    camid: int
    name: str  # as its owner calls it


@dataclass(frozen=True)
class Hit:
    """One place of a list.  rank counts judged pictures from 1; junk stands in its place with rank 0."""

    picture: Picture
    distance: float
    flag: Flag
    rank: int


@dataclass(frozen=True)
class RankedRow:
    """A query with its list.  The last four are there where the query was judged."""

    query: Picture
    hits: tuple[Hit, ...]
    metric: Metric
    hidden_junk: int = 0  # junk inside the list beyond the JUNK_SHOWN shown
    index: int | None = None  # row of the query
    ap: float | None = None
    match_ranks: tuple[int, ...] = ()  # where all right answers stand: AP and INP can be checked by hand


def judged_rows(result: Result, queries: Sequence[int], k: int = 10) -> list[RankedRow]:
    """The lists of some queries down to the k-th judged picture, flagged as the verdict flags them.

    The order is that of the features; a verdict after re-ranking has its own.
    """
    if not len(queries):
        return []
    labels = _labels(result)
    metric = result.query.metric
    lists = ranked_list(
        result.query.vectors, result.gallery.vectors, *labels,
        metric, k=k, rows=list(queries), protocol=result.report.protocol,
    )  # fmt: skip
    ranks = _match_ranks(result, queries)
    return [
        _judged(result, query, items, ranks[at]) for at, (query, items) in enumerate(zip(queries, lists, strict=True))
    ]


def answered_rows(answers: Sequence[Mapping[str, Any]]) -> list[RankedRow]:
    """The answers of a search as rows; right or wrong only where its own "pid" says who was looked for.

    An answer is {"query": path, "hits": [hit, ...]}, a hit {"rank", "path", "similarity" or "distance"} and,
    where they are known, "pid" and "camera".
    """
    return [_answered(answer) for answer in answers]


def sample_queries(report: Report, count: int, seed: int) -> list[int]:
    """Some of the judged queries, drawn with a seed, in the order of the queries."""
    judged = np.flatnonzero(~np.isnan(report.ap))
    drawn = np.random.default_rng(seed).permutation(judged)[:count]
    return [int(query) for query in np.sort(drawn)]


def worst_queries(report: Report, count: int) -> list[int]:
    """The judged queries of lowest AP, worst first; equals in the order of the queries."""
    judged = np.flatnonzero(~np.isnan(report.ap))
    order = np.argsort(report.ap[judged], kind="stable")
    return [int(query) for query in judged[order[:count]]]


def picture(vectors: Vectors, row: int) -> Picture:
    pid = int(vectors.pids[row])
    return Picture(
        vectors.path(row),
        None if pid == Vectors.UNKNOWN_PID else pid,
        int(vectors.camids[row]),
        vectors.paths[row],
    )


def _judged(result: Result, query: int, items: list[RankedItem], ranks: tuple[int, ...]) -> RankedRow:
    hits = [Hit(picture(result.gallery, item.index), item.distance, item.flag, item.rank) for item in items]
    junk = [hit for hit in hits if hit.flag == "junk"]
    surplus = {id(hit) for hit in junk[JUNK_SHOWN:]}
    return RankedRow(
        query=picture(result.query, query),
        hits=tuple(hit for hit in hits if id(hit) not in surplus),
        metric=result.query.metric,
        hidden_junk=len(surplus),
        index=query,
        ap=float(result.report.ap[query]),
        match_ranks=ranks,
    )


def _match_ranks(result: Result, queries: Sequence[int]) -> list[tuple[int, ...]]:
    """The ranks of all right answers of some queries, in gallery order where distances are equal."""
    rows = np.asarray(queries, dtype=np.int64)
    q_pids, g_pids, q_cams, g_cams = _labels(result)
    protocol: Protocol = result.report.protocol
    labels = Labels.of(q_pids[rows], g_pids, q_cams[rows], g_cams, protocol)
    source = FeatureSource(result.query.vectors[rows], result.gallery.vectors, result.query.metric, protocol.on_nan)
    places = standing(source, labels)
    ranks = places.closer + places.earlier + 1
    return [tuple(int(rank) for rank in ranks[places.query == at]) for at in range(len(rows))]


def _labels(result: Result) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    return result.query.pids, result.gallery.pids, result.query.camids, result.gallery.camids


def _answered(answer: Mapping[str, Any]) -> RankedRow:
    hits = answer["hits"]
    metric: Metric = "euclidean" if any("distance" in hit for hit in hits) else "cosine"
    query = _named(answer["query"], answer)
    found = [
        Hit(
            picture=(shown := _named(hit["path"], hit)),
            distance=float(hit["distance"] if metric == "euclidean" else 1 - hit["similarity"]),
            flag=_same(query, shown),
            rank=int(hit["rank"]),
        )
        for hit in hits
    ]
    return RankedRow(query, tuple(found), metric)


def _named(path: str, known: Mapping[str, Any]) -> Picture:
    return Picture(Path(path), known.get("pid"), known.get("camera", UNKNOWN_CAMERA), Path(path).name)


def _same(query: Picture, found: Picture) -> Flag:
    if query.pid is None or found.pid is None:
        return "unknown"
    return "right" if query.pid == found.pid else "wrong"
