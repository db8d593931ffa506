"""Neighbors of a query among the rows of the record.

Rows in segments are memory-mapped; later ones, the tail, are in memory.  Up to EXACT_UP_TO rows every search is
exact.  Above, codes propose candidates and their vectors decide.  A filter is a mask over the rows: a small subset is
compared exactly; for a large one so many more candidates are taken that enough of them pass.
"""

from __future__ import annotations

import sqlite3
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from resight.gallery.database import many, next_seq, numbers
from resight.gallery.embedded import segments
from resight.gallery.embedded.columns import Columns
from resight.gallery.embedded.index import Index
from resight.gallery.embedded.neighbors import Mask, faiss, merge, nothing
from resight.gallery.embedded.parts import Part, Tail, search_part
from resight.gallery.embedded.sql_filter import clause_of
from resight.gallery.records import Filter

if TYPE_CHECKING:
    from pathlib import Path

    from resight.gallery.backend import Vectors
    from resight.gallery.database import Database
    from resight.gallery.embedded.segments import Segment
    from resight.types import Metric

EXACT_UP_TO = 50_000  # rows
CANDIDATES = 1_000  # scored exactly for each query, until `optimize` has measured how many it takes; more for k > DEPTH
MOST = 16_000  # candidates `optimize` goes up to
RECALL = 0.998  # it looks for, over TRIED records of the gallery and the DEPTH nearest of each
TRIED, DEPTH = 64, 50
SMALL = 60_000  # a subset up to this many rows is compared exactly
NEW = "SELECT row, vector FROM vectors WHERE row > ? ORDER BY row"
CHANGED = "SELECT row, pid, camera, label, time, added FROM records WHERE seq > ? ORDER BY row"


class Searcher:
    """Follows the record: each search first takes in what has been written since the last, by whatever process."""

    def __init__(self, folder: Path, database: Database, dim: int, metric: Metric) -> None:
        self.folder, self.database, self.dim, self.metric = folder, database, dim, metric
        self.index = Index(folder, database, dim, metric)
        self._lock = threading.RLock()
        self._reset()

    def _reset(self) -> None:
        self._seen = (-1, -1)  # epoch, seq
        self._candidates = CANDIDATES
        self._columns = Columns()
        self._segments: dict[str, Segment] = {}
        self._parts: list[Part] = []
        self._tail = Tail(self.dim)

    def nearest(
        self, queries: Vectors, k: int, where: Filter, always_exact: bool, candidates: int | None = None
    ) -> list[list[tuple[int, float]]]:
        """For each query (Q, D) rows and similarities, best first."""
        with self._lock:
            self._sync()
            parts, rows = [*self._parts, self._tail.part(self._columns)], self._columns.rows
            mask = self._mask(where)
            candidates = candidates or self._candidates * max(k, DEPTH) // DEPTH
        matching = int(np.count_nonzero(mask))
        k = min(k, matching)
        if k == 0:
            return [[] for _ in queries]
        always_exact = always_exact or len(mask) <= EXACT_UP_TO or matching <= SMALL
        best = nothing(len(queries), k)
        for part in parts:
            if len(part.vectors):
                scores, found = search_part(
                    queries, part, k, self.metric, mask[part.at], 0 if always_exact else candidates
                )
                best = merge(best, (scores, part.in_columns(found)), k)
        return [
            [(int(rows[at]), self._similarity(value)) for value, at in zip(values, found, strict=True) if at >= 0]
            for values, found in zip(*best, strict=True)
        ]

    def _similarity(self, value: float) -> float:
        return float(value) if self.metric == "cosine" else -float(np.sqrt(max(0.0, -float(value))))

    def _mask(self, where: Filter) -> Mask:
        if not where:
            return self._columns.live()
        if where.ids is not None or where.sources is not None:
            clause, values = clause_of(where)
            with self.database.reading() as sql:
                found = numbers(sql.execute(f"SELECT row FROM records WHERE {clause}", values))
            return self._columns.mask_of_rows(found)
        if not self._columns.filled:
            with self.database.reading() as sql:
                self._columns.fill(sql.execute(CHANGED, (-1,)))
        return self._columns.mask(where)

    # following the record

    def _sync(self) -> None:
        with self.database.reading() as sql:
            seq, epoch = sql.execute("SELECT seq, epoch FROM state").fetchone()
            if (epoch, seq) == self._seen:
                return
            if epoch != self._seen[0]:
                self._reset()
            measured = sql.execute("SELECT value FROM settings WHERE key='candidates'").fetchone()
            self._candidates = int(measured[0]) if measured else CANDIDATES
            whole = self._take_segments(sql) and self._take_rows(sql, self._seen[1])
        if whole:
            self._seen = (epoch, seq)
            return
        if not self._changed_since(seq):  # files are missing or damaged: write them again
            self.index.discard()
            self._reset()
            self.index.grow()
        self._sync()

    def _changed_since(self, seq: int) -> bool:
        """Whether somebody has written meanwhile, and may have put other segments in place of those listed."""
        with self.database.reading() as sql:
            return bool(sql.execute("SELECT seq FROM state").fetchone()[0] != seq)

    def _take_segments(self, sql: sqlite3.Connection) -> bool:
        """Open segments that are new and forget those that are gone; False where one cannot be opened."""
        listed = sql.execute("SELECT name, count, digest FROM segments ORDER BY first").fetchall()
        found = {}
        for name, count, digest in listed:
            known = self._segments.get(name) or segments.load(self.folder, name, count, digest, self.dim)
            if known is None:
                return False
            found[name] = known
        self._segments = found
        return True

    def _take_rows(self, sql: sqlite3.Connection, since: int) -> bool:
        columns = self._columns
        last = columns.last
        live = numbers(sql.execute("SELECT row FROM records WHERE row > ? ORDER BY row", (last,)))
        parts = [segment.rows[segment.rows > last] for segment in self._segments.values()]
        rows = np.unique(np.concatenate([live, *parts]))
        columns.append(rows, np.isin(rows, live))
        columns.remove(numbers(sql.execute("SELECT row FROM removed WHERE seq > ?", (since,))))
        if columns.filled:
            columns.set(sql.execute(CHANGED, (since,)))
        self._parts = [Part.of(s.vectors, columns.positions(s.rows)[0], s.codes) for s in self._segments.values()]
        covered = max((int(s.rows[-1]) for s in self._segments.values()), default=0)
        self._tail.drop(covered)
        self._tail.append(sql.execute(NEW, (max(covered, self._tail.last),)))
        return True

    def optimize(self) -> None:
        """One segment of all rows, if there are so many that a search is not exact anyway; then measure recall."""
        with self.database.reading() as sql:
            if sql.execute("SELECT count(*) FROM records").fetchone()[0] <= EXACT_UP_TO:
                return
        self.index.unite()
        if faiss() is not None:
            measured = self._measured()
            with self.database.writing() as sql:
                sql.execute("INSERT OR REPLACE INTO settings VALUES ('candidates', ?)", (str(measured),))
                next_seq(sql)  # so that everybody takes it in

    def _measured(self) -> int:
        """How many candidates it takes on these very vectors."""
        sample = self._sample(TRIED)
        truth = [{row for row, _ in hits} for hits in self.nearest(sample, DEPTH, Filter(), True)]
        candidates = CANDIDATES // 2
        while candidates < MOST:
            found = self.nearest(sample, DEPTH, Filter(), False, candidates)
            same = sum(len(true & {row for row, _ in hits}) for true, hits in zip(truth, found, strict=True))
            if same >= RECALL * sum(map(len, truth)):
                break
            candidates *= 2
        return candidates

    def _sample(self, count: int) -> Vectors:
        """Vectors of records spread evenly over the gallery."""
        with self.database.reading() as sql:
            rows = numbers(sql.execute("SELECT row FROM records ORDER BY row"))
            chosen = many(rows[:: max(1, len(rows) // count)][:count].tolist())
            found = sql.execute("SELECT vector FROM vectors WHERE row IN (SELECT value FROM json_each(?))", (chosen,))
            return np.frombuffer(b"".join(blob for (blob,) in found), np.float32).reshape(-1, self.dim)

    def stats(self) -> dict[str, Any]:
        with self._lock:
            self._sync()
            return {
                "segments": [len(segment.rows) for segment in self._segments.values()],
                "tail": len(self._tail.rows),
                "candidates": self._candidates,
                "search": "exact" if self._columns.n <= EXACT_UP_TO or faiss() is None else "codes and exact scores",
            }

    def close(self) -> None:
        with self._lock:
            self._reset()
