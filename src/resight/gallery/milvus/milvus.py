"""The Milvus back-end: records and vectors on a Milvus server or cluster, pictures, marks and log in the folder."""

from __future__ import annotations

import math
import re
import secrets
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from resight.errors import UsageError
from resight.gallery.backend import Found, Vectors
from resight.gallery.database import NAME, Database, forget, many
from resight.gallery.intake import merged
from resight.gallery.milvus.collection import INDEXES, PAGE, Collection, check_server
from resight.gallery.milvus.rows import FIELDS, Row, condition_of, known, record_of, row_of
from resight.gallery.records import Field, Filter, Record

if TYPE_CHECKING:
    from pathlib import Path

    from resight.types import Metric


class Milvus:
    """One collection, and the folder's database beside it."""

    def __init__(self, database: Database, settings: dict[str, Any]) -> None:
        self.database = database
        self.metric: Metric = settings["metric"]
        self.collection = Collection(settings)

    @classmethod
    def create(cls, folder: Path, settings: dict[str, Any]) -> Database:
        """The folder's part; the collection is made, or found, by opening it."""
        if settings["index"] not in INDEXES:
            raise UsageError(f"index={settings['index']!r}; choose {', '.join(INDEXES)}.")
        check_server(settings["server"])  # before anything is written: a wrong address must not stay in the folder
        word = re.sub(r"\W", "_", folder.name, flags=re.ASCII) or "gallery"
        name = settings["collection"] or f"resight_{word}_{secrets.token_hex(4)}"
        return Database.create(folder / NAME, settings | {"collection": name})

    def upsert(self, records: Sequence[Record], vectors: Vectors, pictures: Sequence[bytes | None]) -> int:
        there = self.fetch([record.id for record in records])
        shown = [(record.id, picture) for record, picture in zip(records, pictures, strict=True) if picture]
        if shown:
            with self.database.writing() as sql:
                sql.executemany("INSERT OR REPLACE INTO pictures VALUES (?, ?)", shown)
        self._write([merged(there[r.id], r) if r.id in there else r for r in records], vectors)
        return len(records) - len(there)

    def _write(self, records: Sequence[Record], vectors: Iterable[Vectors]) -> None:
        self.collection.upsert([row_of(record, vector) for record, vector in zip(records, vectors, strict=True)])

    def update(self, ids: Sequence[str], changes: dict[str, Any]) -> int:
        """A row is changed by writing it whole."""
        rows = list(self.collection.rows(ids, [*FIELDS, "vector"]))
        records = [replace(record, **changes) for record in self._records(rows)]
        self._write(records, [np.asarray(row["vector"], np.float32) for row in rows])
        return len(rows)

    def delete(self, where: Filter) -> list[str]:
        condition = condition_of(where)
        gone = [] if condition is None else [row["id"] for row in self.collection.select(condition, ["id"])]
        self.collection.delete(gone)
        self._forget(gone)
        return gone

    def _forget(self, ids: Sequence[str]) -> None:
        """What the folder holds of records that are gone."""
        if ids:
            with self.database.writing() as sql:
                forget(sql, ids)

    def fetch(self, ids: Sequence[str]) -> dict[str, Record]:
        return {record.id: record for record in self._records(list(self.collection.rows(ids, FIELDS)))}

    def vectors(self, ids: Sequence[str]) -> dict[str, Vectors]:
        return {row["id"]: np.asarray(row["vector"], np.float32) for row in self.collection.rows(ids, ["id", "vector"])}

    def pictures(self, ids: Sequence[str]) -> dict[str, bytes]:
        """None of a record that another machine has deleted."""
        kept = self.database.pictures(ids)
        return {row["id"]: kept[row["id"]] for row in self.collection.rows(list(kept), ["id"])}

    def page(self, where: Filter, after: str, limit: int) -> list[Record]:
        condition = condition_of(where)
        if condition is None:
            return []
        return self._records(list(islice(self.collection.select(condition, FIELDS, after, min(limit, PAGE)), limit)))

    def count(self, where: Filter) -> int:
        condition = condition_of(where)
        return 0 if condition is None else self.collection.count(condition)

    def facets(self, field: Field, where: Filter) -> list[tuple[str | None, int]]:
        condition = condition_of(where)
        if condition is None:
            return []
        values = Counter(row[field] for row in self.collection.select(condition, ["id", field]))
        return [(value if field == "source" else known(value), count) for value, count in values.items()]

    def nearest(self, queries: Vectors, k: int, where: Filter, exact: bool) -> list[Found]:
        condition = condition_of(where)
        if condition is None or not len(queries):
            return [[] for _ in queries]
        found = self.collection.search(queries, k, condition, exact)
        records = {record.id: record for record in self._records([row for hits in found for row, _ in hits])}
        return [[(records[row["id"]], self._similarity(distance)) for row, distance in hits] for hits in found]

    def _similarity(self, distance: float) -> float:
        return distance if self.metric == "cosine" else -math.sqrt(max(0.0, distance))

    def optimize(self) -> None:
        """Seal what has been added, so that the server indexes it."""
        self.collection.seal()

    def compact(self) -> None:
        """Ask the server to drop what was deleted; its collector removes the old files some hours later.

        Pictures and marks go, too, whose record another machine has deleted.  They are looked for twice, since an add
        writes its pictures a moment before its records.
        """
        orphans = self._orphans()
        self.collection.seal()
        self.collection.compact()
        self._forget([id for id in self._orphans() if id in orphans])
        self.database.compact()

    def problems(self) -> list[str]:
        found = self.database.damage()
        if lost := len(self._orphans()):
            found.append(
                f"{lost} pictures or marks belong to no record: an add was cut short, or another machine has deleted "
                f"the record. Compacting removes them."
            )
        return found

    def _orphans(self) -> set[str]:
        """Ids of pictures and marks that belong to no record."""
        with self.database.reading() as sql:
            held = [id for (id,) in sql.execute("SELECT id FROM pictures UNION SELECT id FROM marks")]
        return set(held) - {row["id"] for row in self.collection.rows(held, ["id"])}

    def stats(self) -> dict[str, Any]:
        about = {"server": self.collection.server(), "collection": self.collection.name}
        index = self.collection.index
        return about | {"index": index, "search": "exact" if index == "FLAT" else index}

    def close(self) -> None:
        self.collection.close()
        self.database.close()

    def _records(self, rows: Sequence[Row]) -> list[Record]:
        query = "SELECT id FROM pictures WHERE id IN (SELECT value FROM json_each(?))"
        with self.database.reading() as sql:
            shown = {id for (id,) in sql.execute(query, (many(row["id"] for row in rows),))}
        return [record_of(row, row["id"] in shown) for row in rows]
