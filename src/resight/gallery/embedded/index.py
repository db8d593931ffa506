"""The segments of a gallery: when they are written, merged, discarded and checked."""

from __future__ import annotations

import logging
import sqlite3
from typing import TYPE_CHECKING

import numpy as np

from resight.errors import GalleryError
from resight.gallery.database import next_seq
from resight.gallery.embedded import segments

if TYPE_CHECKING:
    from pathlib import Path

    from resight.gallery.database import Database
    from resight.gallery.embedded.segments import Segment
    from resight.types import Metric

LOG = logging.getLogger(__name__)
SEGMENT = 16_384  # rows of the tail that become a segment


class Index:
    """Keeps the segments in `folder` in step with the record."""

    def __init__(self, folder: Path, database: Database, dim: int, metric: Metric) -> None:
        self.folder, self.database, self.dim, self.metric = folder, database, dim, metric

    def grow(self) -> None:
        """Turn a long tail into a segment; where that fails, the tail is searched as it is."""
        try:
            self._grow()
        except (OSError, GalleryError) as error:
            LOG.warning("the index of %s was not brought up to date: %s", self.folder, error)

    def _grow(self) -> None:
        """Together with the segments before it that are not much larger."""
        with self.database.reading() as sql:
            if _tail_length(sql) < SEGMENT:
                return
        with self.database.writing() as sql:
            length = _tail_length(sql)
            if length < SEGMENT:
                return  # another process was quicker
            first, absorbed = _last_row(sql) + 1, []
            for name, start, count in sql.execute(
                "SELECT name, first, count FROM segments ORDER BY first DESC"
            ).fetchall():
                if count > 2 * length:
                    break
                first, length = start, length + count
                absorbed.append((name,))
            self._replace(sql, absorbed, first)
        self._sweep()

    def unite(self) -> None:
        """One segment of all rows."""
        with self.database.writing() as sql:
            names = sql.execute("SELECT name FROM segments").fetchall()
            if len(names) == 1 and not _tail_length(sql):
                return
            self._replace(sql, names, 0)
        self._sweep()

    def _replace(self, sql: sqlite3.Connection, names: list[tuple[str]], first: int) -> None:
        """In place of some segments one of all rows from `first` on."""
        sql.executemany("DELETE FROM segments WHERE name=?", names)
        segments.write(sql, self.folder, first, self.dim, self.metric, next_seq(sql))

    def _sweep(self) -> None:
        """Remove files that no segment names any more, or that a crash has left."""
        with self.database.writing() as sql:
            segments.sweep(self.folder, {name for (name,) in sql.execute("SELECT name FROM segments")})

    def discard(self) -> None:
        """Remove every derived file; the record stays.  Whoever searches starts anew."""
        with self.database.writing() as sql:
            sql.execute("DELETE FROM segments")
            sql.execute("DELETE FROM removed")
            sql.execute("UPDATE state SET epoch = epoch + 1")
            next_seq(sql)
            segments.sweep(self.folder, set())

    def problems(self) -> list[str]:
        """Differences between segments and the record, one sentence each."""
        found = []
        with self.database.reading() as sql:
            for name, count, digest in sql.execute("SELECT name, count, digest FROM segments").fetchall():
                segment = segments.load(self.folder, name, count, digest, self.dim)
                if segment is None:
                    found.append(f"index/{name} is missing or damaged; the next search writes it again.")
                elif not self._agrees(sql, segment):
                    found.append(f"index/{name} differs from the record. Write it again: resight gallery compact.")
        return found

    def _agrees(self, sql: sqlite3.Connection, segment: Segment) -> bool:
        for row, blob in sql.execute("SELECT row, vector FROM vectors WHERE row BETWEEN ? AND ?",
                                     (int(segment.rows[0]), int(segment.rows[-1]))):  # fmt: skip
            at = int(np.searchsorted(segment.rows, row))
            if segment.rows[at] != row or segment.vectors[at].tobytes() != blob:
                return False
        return True


def _last_row(sql: sqlite3.Connection) -> int:
    """Of all segments."""
    return int(sql.execute("SELECT coalesce(max(last), 0) FROM segments").fetchone()[0])


def _tail_length(sql: sqlite3.Connection) -> int:
    return int(sql.execute("SELECT count(*) FROM vectors WHERE row > ?", (_last_row(sql),)).fetchone()[0])
