"""Ranked lists with pictures and labels: a query and its hits, each with a flag.

The flags of ranked lists are the evaluation's own; nothing here decides what is right.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from resight.evaluation import ranked_lists
from resight.inference.embeddings import Vectors
from resight.types import UNKNOWN_CAMERA

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from resight.evaluation import EvaluationInput, RankedList, Report
    from resight.inference import Result
    from resight.reporting.text import Measure

Flag = Literal["right", "wrong", "junk", "unknown"]
JUNK_SHOWN = 3  # pictures left out of the evaluation can crowd out the ones that count


@dataclass(frozen=True)
class Picture:
    """One picture and what is known of it; pid None where unknown."""

    path: Path | None
    pid: int | None
    camid: int
    name: str  # as its owner calls it


@dataclass(frozen=True)
class Hit:
    """One place of a list.  rank counts evaluated pictures from 1; junk stands in its place with rank 0."""

    picture: Picture
    distance: float
    flag: Flag
    rank: int


@dataclass(frozen=True)
class RankedRow:
    """A query with its list.  The last four are there where the query was evaluated."""

    query: Picture
    hits: tuple[Hit, ...]
    measure: Measure  # what the distances are
    hidden_junk: int = 0  # junk inside the list beyond the JUNK_SHOWN shown
    index: int | None = None  # row of the query
    ap: float | None = None
    match_ranks: tuple[int, ...] = ()  # where all right answers stand: AP and INP can be checked by hand

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, enough to write the query's scores by hand."""
        hits = [{"rank": h.rank, "flag": h.flag, "distance": h.distance, **_plain(h.picture)} for h in self.hits]
        query = {"index": self.index, "ap": self.ap, **_plain(self.query)}
        return {
            "query": query,
            "measure": self.measure,
            "hits": hits,
            "junk_not_shown": self.hidden_junk,
            "ranks_of_right_answers": list(self.match_ranks),
        }


def ranked_rows(
    result: Result, queries: Sequence[int], k: int = 10, inputs: EvaluationInput | None = None
) -> list[RankedRow]:
    """Ranked lists of some queries, in the evaluation's order and with its flags.

    Args:
        result: an evaluation.
        queries: rows of the queries.
        k: the lists go down to the k-th picture that counts.
        inputs: the result's own, where the caller has it already; after re-ranking it is dear to make.

    Returns:
        A row a query.
    """
    if not len(queries):
        return []
    lists = ranked_lists(inputs or result.evaluation_input(), k, list(queries))
    return [_row(result, found) for found in lists]


def measure_of(result: Result) -> Measure:
    """What the distances of a result are."""
    if result.distances is not None:
        return "given"
    if result.rerank is not None:
        return "re-ranked"
    return "euclidean" if result.query.metric == "euclidean" and result.expansion is None else "cosine"


def answered_rows(answers: Sequence[Mapping[str, Any]]) -> list[RankedRow]:
    """The answers of a search as rows; right or wrong only where its own "pid" says who was looked for.

    Args:
        answers: each {"query": path, "hits": [hit, ...]}, a hit {"rank", "path", "similarity" or "distance"} and, where
            they are known, "pid" and "camera"; "picture" is the file to show where it is not the path's.

    Returns:
        A row an answer.
    """
    return [_answered(answer) for answer in answers]


def sample_queries(report: Report, count: int, seed: int) -> list[int]:
    """Some of the evaluated queries, drawn with a seed, in the order of the queries."""
    evaluated = np.flatnonzero(~np.isnan(report.ap))
    drawn = np.random.default_rng(seed).permutation(evaluated)[:count]
    return [int(query) for query in np.sort(drawn)]


def worst_queries(report: Report, count: int) -> list[int]:
    """The evaluated queries of lowest AP, worst first; equals in the order of the queries."""
    evaluated = np.flatnonzero(~np.isnan(report.ap))
    order = np.argsort(report.ap[evaluated], kind="stable")
    return [int(query) for query in evaluated[order[:count]]]


def picture(vectors: Vectors, row: int) -> Picture:
    pid = int(vectors.pids[row])
    return Picture(
        vectors.path(row),
        None if pid == Vectors.UNKNOWN_PID else pid,
        int(vectors.camids[row]),
        vectors.paths[row],
    )


def _row(result: Result, found: RankedList) -> RankedRow:
    hits = [Hit(picture(result.gallery, item.index), item.distance, item.flag, item.rank) for item in found.items]
    junk = [hit for hit in hits if hit.flag == "junk"]
    surplus = {id(hit) for hit in junk[JUNK_SHOWN:]}
    return RankedRow(
        query=picture(result.query, found.query),
        hits=tuple(hit for hit in hits if id(hit) not in surplus),
        measure=measure_of(result),
        hidden_junk=len(surplus),
        index=found.query,
        ap=float(result.report.ap[found.query]),
        match_ranks=found.right,
    )


def _plain(shown: Picture) -> dict[str, Any]:
    return {"picture": shown.name, "pid": shown.pid, "camera": None if shown.camid == UNKNOWN_CAMERA else shown.camid}


def _answered(answer: Mapping[str, Any]) -> RankedRow:
    hits = answer["hits"]
    measure: Measure = "euclidean" if any("distance" in hit for hit in hits) else "cosine"
    query = _named(answer["query"], answer)
    found = [
        Hit(
            picture=(shown := _named(hit["path"], hit)),
            distance=float(hit["distance"] if measure == "euclidean" else 1 - hit["similarity"]),
            flag=_same(query, shown),
            rank=int(hit["rank"]),
        )
        for hit in hits
    ]
    return RankedRow(query, tuple(found), measure)


def _named(path: str, known: Mapping[str, Any]) -> Picture:
    return Picture(
        Path(known.get("picture", path)), known.get("pid"), known.get("camera", UNKNOWN_CAMERA), Path(path).name
    )


def _same(query: Picture, found: Picture) -> Flag:
    if query.pid is None or found.pid is None:
        return "unknown"
    return "right" if query.pid == found.pid else "wrong"
