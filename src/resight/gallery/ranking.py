"""From neighbors to an answer: several queries of one person, the same-camera rule, re-ranking, grouping by person."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from resight.errors import UsageError
from resight.gallery.records import Filter, Hit, Person, Record, column, text

if TYPE_CHECKING:
    from resight.evaluation import Reranking
    from resight.gallery.backend import Found, Neighbors, Vectors
    from resight.types import Metric

Fuse = Literal["mean", "max"]
SameCamera = Literal["keep", "exclude", "exclude_same_pid"]
SHORT_LIST = 200  # records that are re-ranked, at least


def search(
    backend: Neighbors, metric: Metric, queries: Vectors, k: int, filters: Sequence[Filter], *, exact: bool,
    fuse: Fuse | None, rerank: bool | Reranking,
) -> list[Found]:  # fmt: skip
    """Records and similarities for each query (Q, D), or for all as one where they are fused."""
    if fuse not in (None, *get_args(Fuse)):
        raise UsageError(f"fuse={fuse!r}; choose mean or max.")
    depth = max(k, SHORT_LIST) if rerank else k
    if fuse is not None and len(queries):
        mean = _mean(queries, metric)
        if fuse == "mean":
            queries, filters = mean, [_common(filters)]
        found = _by_filter(backend, queries, depth, filters, exact)
        answers, queries = ([_best_of(found, depth)], mean) if fuse == "max" else (found, mean)
    else:
        answers = _by_filter(backend, queries, depth, filters, exact)
    if rerank:
        answers = [_reranked(backend, metric, q, a, rerank) for q, a in zip(queries, answers, strict=True)]
    return [answer[:k] for answer in answers]


def check_k(k: int) -> None:
    """Raises UsageError for less than one hit."""
    if k < 1:
        raise UsageError(f"k={k}; give at least 1.")


def same_camera(
    where: Filter, queries: int, rule: SameCamera, cameras: Sequence[Any] | None, pids: Sequence[Any] | None
) -> list[Filter]:
    """The filter of each query.  A query of unknown camera (or person, where the rule asks) excludes nothing."""
    if rule not in get_args(SameCamera):
        raise UsageError(f"same_camera={rule!r}; choose {', '.join(get_args(SameCamera))}.")
    if rule == "keep":
        return [where] * queries
    if cameras is None or (rule == "exclude_same_pid" and pids is None):
        needed = "query_cameras=" if rule == "exclude" else "query_cameras= and query_pids="
        raise UsageError(f"same_camera={rule!r} needs {needed}, one entry a query.")
    seen = [text(camera, "cameras") for camera in column(cameras, queries, "query_cameras")]
    if rule == "exclude":
        return [
            where if camera is None else replace(where, exclude_cameras=(*where.exclude_cameras, camera))
            for camera in seen
        ]
    shown = [text(pid, "pids") for pid in column(pids, queries, "query_pids")]
    pairs = zip(seen, shown, strict=True)
    return [
        where if camera is None or pid is None else replace(where, exclude_pair=(pid, camera)) for camera, pid in pairs
    ]


def people(search: Callable[[int], list[list[Hit]]], k: int) -> list[list[Person]]:
    """k persons for each query: hits are asked for until there are so many persons, or no more hits."""
    check_k(k)
    wide, before = 4 * k, -1
    while True:
        found = search(wide)
        grouped = [group(hits) for hits in found]
        count = sum(map(len, found))
        if count == before or all(len(g) >= k or len(hits) < wide for g, hits in zip(grouped, found, strict=True)):
            return [persons[:k] for persons in grouped]
        wide, before = 4 * wide, count


def group(hits: Sequence[Hit]) -> list[Person]:
    """Hits by person, in the order of each person's best hit."""
    of: dict[tuple[str | None, str], list[Hit]] = {}
    for hit in hits:
        of.setdefault((hit.pid, "" if hit.pid is not None else hit.id), []).append(hit)
    return [Person(pid, tuple(theirs)) for (pid, _), theirs in of.items()]


def _by_filter(backend: Neighbors, queries: Vectors, k: int, filters: Sequence[Filter], exact: bool) -> list[Found]:
    """Queries with equal filters are asked together."""
    answers: list[Found] = [[] for _ in queries]
    for where in dict.fromkeys(filters):
        rows = [row for row, other in enumerate(filters) if other == where]
        for row, found in zip(rows, backend.nearest(queries[rows], k, where, exact), strict=True):
            answers[row] = found
    return answers


def _mean(queries: Vectors, metric: Metric) -> Vectors:
    pooled = queries.mean(axis=0, keepdims=True, dtype=np.float64)
    length = np.linalg.norm(pooled)
    if metric == "cosine":
        if length < 1e-12:
            raise UsageError("the queries cancel out: their mean is zero. Use fuse='max', or pictures of one person.")
        pooled = pooled / length
    return np.asarray(pooled, np.float32)


def _common(filters: Sequence[Filter]) -> Filter:
    """What all queries of one person exclude together."""
    cameras = dict.fromkeys(camera for where in filters for camera in where.exclude_cameras)
    pairs = {where.exclude_pair for where in filters if where.exclude_pair}
    if len(pairs) > 1:
        raise UsageError(
            "fused queries show one person in one camera under same_camera='exclude_same_pid'; use 'exclude'."
        )
    return replace(filters[0], exclude_cameras=tuple(cameras), exclude_pair=next(iter(pairs), None))


def _best_of(found: Sequence[Found], k: int) -> Found:
    """Each record with the largest of its similarities, best first."""
    best: dict[str, tuple[Record, float]] = {}
    for record, similarity in (pair for hits in found for pair in hits):
        if record.id not in best or similarity > best[record.id][1]:
            best[record.id] = (record, similarity)
    return sorted(best.values(), key=lambda pair: -pair[1])[:k]


def _reranked(backend: Neighbors, metric: Metric, query: Vectors, found: Found, how: bool | Reranking) -> Found:
    """The short list by k-reciprocal distance among its own members; similarities stay."""
    from resight import evaluation

    setting = evaluation.Reranking() if isinstance(how, bool) else how
    vectors = backend.vectors([record.id for record, _ in found])
    kept = [pair for pair in found if pair[0].id in vectors]  # the others have just been deleted
    if len(kept) < 2:
        return kept
    gallery = np.stack([vectors[record.id] for record, _ in kept])
    distances = evaluation.rerank(
        query[None], gallery, setting.k1, setting.k2, setting.lam, setting.variant, metric=metric,
        context=setting.context,
    )[0]  # fmt: skip
    return [kept[at] for at in np.argsort(distances, kind="stable")]
