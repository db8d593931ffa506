"""The embedded back-end: one folder, no server.  SQLite decides what exists; `Searcher` finds neighbors in it.

A vector has a row number that is never used again: a new vector for an old id gets a new row and the old row is
listed in `removed`.  Whoever searches reads rows with a `seq` above the last it knows, and is up to date.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from resight.errors import GalleryBusyError
from resight.gallery.backend import Found, Vectors
from resight.gallery.database import NAME, Database, forget, many, next_seq
from resight.gallery.embedded.searcher import Searcher
from resight.gallery.embedded.sql_filter import clause_of
from resight.gallery.records import Field, Filter, Record

if TYPE_CHECKING:
    from pathlib import Path

    from resight.types import Metric

SCHEMA = """
CREATE TABLE records(row INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, pid TEXT, camera TEXT, time REAL,
                     source TEXT NOT NULL, label TEXT, note TEXT, added REAL NOT NULL, seq INTEGER NOT NULL);
CREATE INDEX records_pid ON records(pid);
CREATE INDEX records_camera ON records(camera);
CREATE INDEX records_label ON records(label);
CREATE INDEX records_source ON records(source);
CREATE INDEX records_time ON records(time);
CREATE INDEX records_seq ON records(seq);
CREATE TABLE vectors(row INTEGER PRIMARY KEY, vector BLOB NOT NULL);
CREATE TABLE removed(row INTEGER PRIMARY KEY, seq INTEGER NOT NULL);
CREATE INDEX removed_seq ON removed(seq);
CREATE TABLE segments(name TEXT PRIMARY KEY, first INTEGER NOT NULL, last INTEGER NOT NULL, count INTEGER NOT NULL,
                      seq INTEGER NOT NULL, digest TEXT NOT NULL);
"""
COLUMNS = ("id", "pid", "camera", "time", "source", "label", "note", "added")
SELECT = ", ".join(f"records.{name}" for name in COLUMNS) + ", EXISTS (SELECT 1 FROM pictures WHERE id=records.id)"
UPSERT = """
INSERT INTO records(row, id, pid, camera, time, source, label, note, added, seq)
VALUES (:row, :id, :pid, :camera, :time, :source, :label, :note, :added, :seq)
ON CONFLICT DO UPDATE SET row=:row, pid=coalesce(:pid, pid), camera=coalesce(:camera, camera),
  time=coalesce(:time, time), source=CASE :source WHEN '' THEN source ELSE :source END,
  label=coalesce(:label, label), note=coalesce(:note, note), seq=:seq
"""
RETRIES = 20  # of a search whose hits are deleted before they are read


class Embedded:
    """Records, vectors and pictures in `folder`."""

    def __init__(self, folder: Path, database: Database, dim: int, metric: Metric) -> None:
        self.folder, self.database, self.dim = folder, database, dim
        self.searcher = Searcher(folder, database, dim, metric)

    @classmethod
    def create(cls, folder: Path, settings: dict[str, Any]) -> Database:
        return Database.create(folder / NAME, settings, SCHEMA)

    def upsert(self, records: Sequence[Record], vectors: Vectors, pictures: Sequence[bytes | None]) -> int:
        with self.database.writing() as sql:
            seq = next_seq(sql)
            known = _rows(sql, [record.id for record in records])
            row = int(sql.execute("SELECT next_row FROM state").fetchone()[0])
            lines, new = [], []
            for record, vector in zip(records, vectors, strict=True):
                old = known.get(record.id)
                kept = old is not None and _vector(sql, old) == vector.tobytes()
                lines.append(_line(record, old if kept and old is not None else row, seq))
                if not kept:
                    new.append((row, vector.tobytes()))
                    row += 1
            replaced = [old for record, line in zip(records, lines, strict=True)
                        if (old := known.get(record.id)) is not None and old != line["row"]]  # fmt: skip
            _remove_vectors(sql, replaced, seq)
            sql.executemany(UPSERT, lines)
            sql.executemany("INSERT INTO vectors VALUES (?, ?)", new)
            sql.execute("UPDATE state SET next_row=?", (row,))
            shown = [(record.id, picture) for record, picture in zip(records, pictures, strict=True) if picture]
            sql.executemany("INSERT OR REPLACE INTO pictures VALUES (?, ?)", shown)
        self.searcher.index.grow()
        return len(records) - len(known)

    def update(self, ids: Sequence[str], changes: dict[str, Any]) -> int:
        with self.database.writing() as sql:
            setting = ", ".join(f"{name}=?" for name in changes)
            done = sql.execute(
                f"UPDATE records SET {setting}, seq=? WHERE id IN (SELECT value FROM json_each(?))",
                (*changes.values(), next_seq(sql), many(ids)),
            )
            return done.rowcount

    def delete(self, where: Filter) -> list[str]:
        clause, values = clause_of(where)
        with self.database.writing() as sql:
            found = sql.execute(f"SELECT row, id FROM records WHERE {clause}", values).fetchall()
            if not found:
                return []
            rows, ids = [row for row, _ in found], [id for _, id in found]
            sql.execute("DELETE FROM records WHERE row IN (SELECT value FROM json_each(?))", (many(rows),))
            forget(sql, ids)
            _remove_vectors(sql, rows, next_seq(sql))
        return ids

    def fetch(self, ids: Sequence[str]) -> dict[str, Record]:
        query = f"SELECT {SELECT} FROM records WHERE id IN (SELECT value FROM json_each(?))"
        with self.database.reading() as sql:
            return {row[0]: _record(row) for row in sql.execute(query, (many(ids),))}

    def vectors(self, ids: Sequence[str]) -> dict[str, Vectors]:
        query = "SELECT id, vector FROM records JOIN vectors USING (row) WHERE id IN (SELECT value FROM json_each(?))"
        with self.database.reading() as sql:
            return {id: np.frombuffer(blob, np.float32) for id, blob in sql.execute(query, (many(ids),))}

    def pictures(self, ids: Sequence[str]) -> dict[str, bytes]:
        return self.database.pictures(ids)

    def page(self, where: Filter, after: str, limit: int) -> list[Record]:
        clause, values = clause_of(where)
        query = f"SELECT {SELECT} FROM records WHERE {clause} AND id > ? ORDER BY id LIMIT ?"
        with self.database.reading() as sql:
            return [_record(row) for row in sql.execute(query, (*values, after, limit))]

    def count(self, where: Filter) -> int:
        clause, values = clause_of(where)
        with self.database.reading() as sql:
            return int(sql.execute(f"SELECT count(*) FROM records WHERE {clause}", values).fetchone()[0])

    def facets(self, field: Field, where: Filter) -> list[tuple[str | None, int]]:
        clause, values = clause_of(where)
        with self.database.reading() as sql:
            return sql.execute(f"SELECT {field}, count(*) FROM records WHERE {clause} GROUP BY 1", values).fetchall()

    def nearest(self, queries: Vectors, k: int, where: Filter, exact: bool) -> list[Found]:
        for _ in range(RETRIES):
            found = self.searcher.nearest(queries, k, where, exact)
            rows = {row for hits in found for row, _ in hits}
            records = self._of_rows(rows)
            if len(records) == len(rows):  # else somebody has deleted one just now
                return [[(records[row], similarity) for row, similarity in hits] for hits in found]
        raise GalleryBusyError(f"records of {self.folder} are being deleted faster than they can be read. Try again.")

    def _of_rows(self, rows: set[int]) -> dict[int, Record]:
        query = f"SELECT {SELECT}, row FROM records WHERE row IN (SELECT value FROM json_each(?))"
        with self.database.reading() as sql:
            return {row[-1]: _record(row[:-1]) for row in sql.execute(query, (many(rows),))}

    def optimize(self) -> None:
        self.searcher.optimize()

    def compact(self) -> None:
        self.searcher.index.discard()
        self.searcher.close()  # lets go of the files
        try:
            self.database.compact()
        finally:  # where another process still reads, too: a large gallery is not left without an index
            self.searcher.optimize()
        self.database.checkpoint()

    def problems(self) -> list[str]:
        return [*self.database.damage(), *self.searcher.index.problems()]

    def stats(self) -> dict[str, Any]:
        return self.searcher.stats()

    def close(self) -> None:
        self.searcher.close()
        self.database.close()


def _rows(sql: sqlite3.Connection, ids: Sequence[str]) -> dict[str, int]:
    return dict(sql.execute("SELECT id, row FROM records WHERE id IN (SELECT value FROM json_each(?))", (many(ids),)))


def _vector(sql: sqlite3.Connection, row: int) -> bytes:
    return bytes(sql.execute("SELECT vector FROM vectors WHERE row=?", (row,)).fetchone()[0])


def _remove_vectors(sql: sqlite3.Connection, rows: Sequence[int], seq: int) -> None:
    sql.execute("DELETE FROM vectors WHERE row IN (SELECT value FROM json_each(?))", (many(rows),))
    sql.executemany("INSERT INTO removed VALUES (?, ?)", [(row, seq) for row in rows])


def _line(record: Record, row: int, seq: int) -> dict[str, Any]:
    return {name: getattr(record, name) for name in COLUMNS} | {"row": row, "seq": seq}


def _record(row: Sequence[Any]) -> Record:
    *known, picture = row
    return Record(**dict(zip(COLUMNS, known, strict=True)), picture=bool(picture))
