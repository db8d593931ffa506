"""How much of the exact answer quick searches give, measured on a gallery's own records."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from resight.gallery.records import Filter, Hit

if TYPE_CHECKING:
    from resight.gallery.backend import Vectors
    from resight.gallery.store import Store

Search = Callable[..., list[list[Hit]]]


@dataclass(frozen=True)
class Recall:
    """recall: share of the exact k nearest that a search found.  ms, exact_ms: median time of one query."""

    condition: str
    records: int
    queries: int
    k: int
    recall: float
    ms: float
    exact_ms: float


def measure(gallery: Store, search: Search, k: int = 10, queries: int = 100, seed: int = 0) -> list[Recall]:
    """Records drawn at random ask for their neighbors, without a filter and within each of the largest cameras."""
    vectors = _draw(gallery, queries, np.random.default_rng(seed))
    if not len(vectors):
        return []
    cameras = [camera for camera, _ in gallery.facets("camera") if camera is not None][:3]
    filters = {"all records": Filter(), **{f"camera {camera}": Filter(cameras=(camera,)) for camera in cameras}}
    counts = {name: gallery.count(where=where) for name, where in filters.items()}
    return [_compare(search, name, counts[name], where, vectors, k) for name, where in filters.items()]


def _compare(search: Search, name: str, records: int, where: Filter, vectors: Vectors, k: int) -> Recall:
    quick, exact, times = [], [], ([], [])  # type: ignore[var-annotated]
    for vector in vectors:
        for always, found, took in ((False, quick, times[0]), (True, exact, times[1])):
            begin = time.perf_counter()
            found.append(search(vector, k, exact=always, where=where)[0])
            took.append(1000 * (time.perf_counter() - begin))
    shares = [_share(a, b) for a, b in zip(quick, exact, strict=True) if b]
    share = float(np.mean(shares)) if shares else 1.0
    return Recall(name, records, len(vectors), k, share, *(float(np.median(t)) for t in times))


def _share(found: Sequence[Hit], exact: Sequence[Hit]) -> float:
    """Hits as similar as the last exact one count: which of several equal records is found does not matter."""
    least = exact[-1].similarity - 1e-6
    return min(1.0, sum(hit.similarity >= least for hit in found) / len(exact))


def _draw(gallery: Store, count: int, rng: np.random.Generator) -> Vectors:
    """Vectors of records that follow random ids; ids are hashes, or at least as good as any order."""
    ids: dict[str, None] = {}
    for _ in range(count):
        ids |= dict.fromkeys(record.id for record in gallery.list(limit=1, after_id=rng.bytes(8).hex()))
    if len(ids) < count:
        ids |= dict.fromkeys(record.id for record in gallery.list(limit=count))
    return gallery.vectors(list(ids)[:count])
