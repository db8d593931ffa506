"""The Milvus back-end: records and vectors on a Milvus server or cluster, pictures, marks and log in the folder.

A text that may be unknown is stored as "" for None and as "=" before its value; Milvus 2.3 knows no null.
Every read asks for strong consistency, so a search after an acknowledged write sees it.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import secrets
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from resight.errors import GalleryError, MissingExtraError, UsageError
from resight.gallery.backend import Found, Vectors, blocks
from resight.gallery.database import NAME, Database, many
from resight.gallery.intake import merged
from resight.gallery.records import Field, Filter, Record

if TYPE_CHECKING:
    from pathlib import Path

    from resight.types import Metric

TOKEN = "RESIGHT_MILVUS_TOKEN"  # environment variable with "user:password" or an API key
BLOCK = 1000  # records a request
PAGE = 10_000  # ids a query, below Milvus's limit of 16,384
MOST = 16_384  # hits a search
MAX_BYTES = 16_384  # of a text, which has at most 4096 characters
UNKNOWABLE = ("pid", "camera", "label", "note")
FIELDS = ["id", *UNKNOWABLE, "time", "timed", "added", "source"]
INDEXES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {  # parameters of building and of a search
    "FLAT": ({}, {}),
    "IVF_FLAT": ({"nlist": 1024}, {"nprobe": 64}),
    "IVF_SQ8": ({"nlist": 1024}, {"nprobe": 64}),
    "IVF_RABITQ": ({"nlist": 1024, "refine": True, "refine_type": "FP32"}, {"nprobe": 64, "refine_k": 8}),
    "HNSW": ({"M": 32, "efConstruction": 200}, {}),
    "DISKANN": ({}, {}),
}


class Milvus:
    """One collection."""

    def __init__(self, folder: Path, database: Database, settings: dict[str, Any]) -> None:
        self.folder, self.database = folder, database
        self.dim: int = settings["dim"]
        self.metric: Metric = settings["metric"]
        self.name, self.index = settings["collection"], settings["index"]
        with self._sentences():
            self.client = _client(settings["server"])
            self._own(settings)

    @classmethod
    def create(cls, folder: Path, settings: dict[str, Any]) -> Database:
        """The folder's part; the collection is made, or found, by opening it."""
        if settings["index"] not in INDEXES:
            raise UsageError(f"index={settings['index']!r}; choose {', '.join(INDEXES)}.")
        word = re.sub(r"\W", "_", folder.name, flags=re.ASCII) or "gallery"
        name = settings["collection"] or f"resight_{word}_{secrets.token_hex(4)}"
        return Database.create(folder / NAME, settings | {"collection": name})

    def _own(self, settings: dict[str, Any]) -> None:
        """Make the collection, or see that the one there holds vectors of this model."""
        mine = {key: settings[key] for key in ("fingerprint", "metric", "dim")}
        if not self.client.has_collection(self.name):
            self._make(json.dumps({"resight": mine}))
            return
        try:
            theirs = json.loads(self.client.describe_collection(self.name)["description"])["resight"]
        except (ValueError, KeyError, TypeError) as error:
            raise GalleryError(f"the collection {self.name} is not a gallery. Choose another --collection.") from error
        if theirs != mine:
            raise GalleryError(
                f"the collection {self.name} holds vectors of another model ({str(theirs.get('fingerprint'))[:12]}; "
                f"this one is {mine['fingerprint'][:12]}). Choose another --collection."
            )
        self.client.load_collection(self.name)

    def _make(self, description: str) -> None:
        from pymilvus import DataType

        schema = self.client.create_schema(auto_id=False, enable_dynamic_field=False, description=description)
        schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=MAX_BYTES)
        for name in (*UNKNOWABLE, "source"):
            schema.add_field(name, DataType.VARCHAR, max_length=MAX_BYTES)
        for name in ("time", "aged", "added"):
            schema.add_field(name, DataType.DOUBLE)
        schema.add_field("timed", DataType.BOOL)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=self.dim)
        index = self.client.prepare_index_params()
        metric = "IP" if self.metric == "cosine" else "L2"
        index.add_index("vector", index_type=self.index, metric_type=metric, params=INDEXES[self.index][0])
        self.client.create_collection(self.name, schema=schema, index_params=index, consistency_level="Strong")

    def upsert(self, records: Sequence[Record], vectors: Vectors, pictures: Sequence[bytes | None]) -> int:
        known = self.fetch([record.id for record in records])
        whole = [merged(known[r.id], r) if r.id in known else r for r in records]
        shown = [(record.id, picture) for record, picture in zip(records, pictures, strict=True) if picture]
        if shown:
            with self.database.writing() as sql:
                sql.executemany("INSERT OR REPLACE INTO pictures VALUES (?, ?)", shown)
        self._write(whole, vectors)
        return len(records) - len(known)

    def _write(self, records: Sequence[Record], vectors: Vectors) -> None:
        rows = [_row(record, vector) for record, vector in zip(records, vectors, strict=True)]
        with self._sentences():
            for block in blocks(rows, BLOCK):
                self.client.upsert(self.name, block)

    def update(self, ids: Sequence[str], changes: dict[str, Any]) -> int:
        records, vectors = self.fetch(ids), self.vectors(ids)
        there = [id for id in records if id in vectors]
        if there:
            self._write([replace(records[id], **changes) for id in there], np.stack([vectors[id] for id in there]))
        return len(there)

    def delete(self, where: Filter) -> list[str]:
        gone = [row["id"] for row in self._rows(where, ["id"])]
        with self._sentences():
            for block in blocks(gone, BLOCK):
                self.client.delete(self.name, filter=_among("id", block))  # ids= would not escape them
        if gone:
            with self.database.writing() as sql:
                for table in ("pictures", "marks"):
                    sql.execute(f"DELETE FROM {table} WHERE id IN (SELECT value FROM json_each(?))", (many(gone),))
        return gone

    def fetch(self, ids: Sequence[str]) -> dict[str, Record]:
        rows = (row for block in blocks(list(ids), BLOCK) for row in self._query(_among("id", block), FIELDS))
        return {record.id: record for record in self._records(rows)}

    def vectors(self, ids: Sequence[str]) -> dict[str, Vectors]:
        rows = (row for block in blocks(list(ids), BLOCK) for row in self._query(_among("id", block), ["id", "vector"]))
        return {row["id"]: np.asarray(row["vector"], np.float32) for row in rows}

    def page(self, where: Filter, after: str, limit: int) -> list[Record]:
        found: list[Any] = []
        for row in self._rows(where, FIELDS, after, min(limit, PAGE)):
            found.append(row)
            if len(found) == limit:
                break
        return self._records(found)

    def count(self, where: Filter) -> int:
        condition = condition_of(where)
        return 0 if condition is None else int(self._query(condition, ["count(*)"])[0]["count(*)"])

    def facets(self, field: Field, where: Filter) -> list[tuple[str | None, int]]:
        values = Counter(row[field] for row in self._rows(where, ["id", field]))
        return [(value if field == "source" else _known(value), count) for value, count in values.items()]

    def nearest(self, queries: Vectors, k: int, where: Filter, exact: bool) -> list[Found]:
        condition = condition_of(where)
        if condition is None or not len(queries):
            return [[] for _ in queries]
        if k > MOST:
            raise UsageError(f"k={k}; Milvus gives at most {MOST:,} hits a query.")
        with self._sentences():
            hits = self.client.search(
                self.name, data=queries.tolist(), limit=k, filter=condition, output_fields=["id"],
                search_params={"params": self._search_params(k, exact)},
            )  # fmt: skip
        # just after an upsert a search may meet the old version of a record: the record is read, and looked at again
        records = self.fetch(list({hit["id"] for found in hits for hit in found}))
        current = {id: record for id, record in records.items() if where.matches(record)}
        return [
            [(current[hit["id"]], self._similarity(hit["distance"])) for hit in found if hit["id"] in current]
            for found in hits
        ]

    def _search_params(self, k: int, exact: bool) -> dict[str, Any]:
        build, search = INDEXES[self.index]
        if self.index == "HNSW":
            search = {"ef": max(2 * k, 128)}
        if self.index == "DISKANN":
            search = {"search_list": max(2 * k, 128)}
        if not exact or self.index == "FLAT":
            return search
        if self.index == "IVF_FLAT":
            return {"nprobe": build["nlist"]}
        raise GalleryError(
            f"the index {self.index} gives no exact answers. Use FLAT or IVF_FLAT where they are needed."
        )

    def _similarity(self, distance: float) -> float:
        return float(distance) if self.metric == "cosine" else -math.sqrt(max(0.0, float(distance)))

    def optimize(self) -> None:
        """Seal what has been added, so that the server indexes it."""
        with self._sentences():
            self.client.flush(self.name)

    def compact(self) -> None:
        """Ask the server to drop what was deleted; its collector removes the old files some hours later."""
        self.optimize()
        with self._sentences():
            self.client.compact(self.name)
        self.database.compact()

    def problems(self) -> list[str]:
        with self.database.reading() as sql:
            shown = [id for (id,) in sql.execute("SELECT id FROM pictures")]
        there = {row["id"] for block in blocks(shown, BLOCK) for row in self._query(_among("id", block), ["id"])}
        lost = len(shown) - len(there)
        orphans = [f"{lost} pictures belong to no record; adding or deleting was cut short."] if lost else []
        return [*self.database.damage(), *orphans]

    def stats(self) -> dict[str, Any]:
        with self._sentences():
            version = self.client.get_server_version()
        return {"server": version, "collection": self.name, "index": self.index,
                "search": "exact" if self.index == "FLAT" else self.index}  # fmt: skip

    def close(self) -> None:
        self.client.close()
        self.database.close()

    def _rows(self, where: Filter, fields: list[str], after: str = "", size: int = PAGE) -> Iterator[dict[str, Any]]:
        """Rows that match, by id."""
        condition = condition_of(where)
        while condition is not None:
            later = f"id > {_text(after)}" + (f" and ({condition})" if condition else "")
            rows = self._query(later, fields, limit=size, reduce_stop_for_best=True)
            yield from rows
            if len(rows) < size:
                return
            after = rows[-1]["id"]

    def _query(self, condition: str, fields: list[str], **options: Any) -> list[dict[str, Any]]:
        with self._sentences():
            return list(self.client.query(self.name, filter=condition, output_fields=fields, **options))

    def _records(self, rows: Iterator[dict[str, Any]] | Sequence[dict[str, Any]]) -> list[Record]:
        rows = list(rows)
        with self.database.reading() as sql:
            query = "SELECT id FROM pictures WHERE id IN (SELECT value FROM json_each(?))"
            shown = {id for (id,) in sql.execute(query, (many(row["id"] for row in rows),))}
        return [_record(row, row["id"] in shown) for row in rows]

    @contextlib.contextmanager
    def _sentences(self) -> Iterator[None]:
        from pymilvus.exceptions import MilvusException

        try:
            yield
        except MilvusException as error:
            raise GalleryError(
                f"the Milvus server answers: {str(error.message).strip()[:300]}. Is it running, and is {TOKEN} set if "
                f"it asks for one?"
            ) from error


def condition_of(where: Filter) -> str | None:
    """A filter in the words of Milvus; None where nothing can match."""
    parts = []
    for name, several in (("id", where.ids), ("pid", where.pids), ("camera", where.cameras), ("label", where.labels)):
        if several is not None:
            if not several:
                return None
            parts.append(_among(name, [value if name == "id" else f"={value}" for value in several]))
    for name, several in (("pid", where.exclude_pids), ("camera", where.exclude_cameras)):
        if several:
            parts.append(_among(name, [f"={value}" for value in several]).replace(" in ", " not in ", 1))
    if where.exclude_pair is not None:
        pid, camera = (_text(f"={value}") for value in where.exclude_pair)
        parts.append(f"(pid != {pid} or camera != {camera})")
    if where.sources is not None:
        if not where.sources:
            return None
        below = [source for source in where.sources if source.endswith("/")]
        ranges = [f"(source >= {_text(source)} and source < {_text(source[:-1] + '0')})" for source in below]
        parts.append("(" + " or ".join([_among("source", where.sources), *ranges]) + ")")
    parts += ["timed == true"] if where.after is not None or where.before is not None else []
    bounds = (("time >=", where.after), ("time <", where.before), ("aged <", where.older_than))
    return " and ".join([*parts, *(f"{what} {value!r}" for what, value in bounds if value is not None)])


def _among(name: str, values: Sequence[str]) -> str:
    return f"{name} in [{', '.join(map(_text, values))}]"


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _row(record: Record, vector: Vectors) -> dict[str, Any]:
    texts = {name: "" if (value := getattr(record, name)) is None else f"={value}" for name in UNKNOWABLE}
    timed = record.time is not None
    aged = record.added if record.time is None else record.time
    return texts | {"id": record.id, "source": record.source, "time": record.time or 0.0, "timed": timed, "aged": aged,
                    "added": record.added, "vector": vector}  # fmt: skip


def _record(row: dict[str, Any], picture: bool) -> Record:
    known: dict[str, Any] = {name: _known(row[name]) for name in UNKNOWABLE}
    time = float(row["time"]) if row["timed"] else None
    return Record(id=row["id"], source=row["source"], time=time, added=float(row["added"]), picture=picture, **known)


def _known(value: str) -> str | None:
    return value[1:] if value else None


def _client(server: str) -> Any:
    try:
        from pymilvus import MilvusClient
    except ImportError as error:
        raise MissingExtraError("a gallery on a Milvus server", "milvus") from error
    return MilvusClient(server, token=os.environ.get(TOKEN, ""))
