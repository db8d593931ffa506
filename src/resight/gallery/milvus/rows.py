"""Rows of a Milvus collection: from records and back, and filters in the words of Milvus.

A text that may be unknown is stored as "" for None and as "=" before its value; Milvus 2.3 knows no null.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from resight.gallery.records import Filter, Record

if TYPE_CHECKING:
    from resight.gallery.backend import Vectors

Row = dict[str, Any]
UNKNOWABLE = ("pid", "camera", "label", "note")
FIELDS = ["id", *UNKNOWABLE, "time", "timed", "added", "source"]  # what a record is made from


def row_of(record: Record, vector: Vectors) -> Row:
    texts = {name: "" if (value := getattr(record, name)) is None else f"={value}" for name in UNKNOWABLE}
    timed = record.time is not None
    aged = record.added if record.time is None else record.time
    return texts | {"id": record.id, "source": record.source, "time": record.time or 0.0, "timed": timed, "aged": aged,
                    "added": record.added, "vector": vector}  # fmt: skip


def record_of(row: Row, picture: bool) -> Record:
    texts: dict[str, Any] = {name: known(row[name]) for name in UNKNOWABLE}
    time = float(row["time"]) if row["timed"] else None
    return Record(id=row["id"], source=row["source"], time=time, added=float(row["added"]), picture=picture, **texts)


def known(value: str) -> str | None:
    return value[1:] if value else None


def condition_of(where: Filter) -> str | None:
    """A filter in the words of Milvus; None where nothing can match."""
    parts = []
    for name, several in (("id", where.ids), ("pid", where.pids), ("camera", where.cameras), ("label", where.labels)):
        if several is not None:
            if not several:
                return None
            parts.append(among(name, [value if name == "id" else f"={value}" for value in several]))
    for name, several in (("pid", where.exclude_pids), ("camera", where.exclude_cameras)):
        if several:
            parts.append(among(name, [f"={value}" for value in several]).replace(" in ", " not in ", 1))
    if where.exclude_pair is not None:
        pid, camera = (quoted(f"={value}") for value in where.exclude_pair)
        parts.append(f"(pid != {pid} or camera != {camera})")
    if where.sources is not None:
        if not where.sources:
            return None
        below = [source for source in where.sources if source.endswith("/")]
        ranges = [f"(source >= {quoted(source)} and source < {quoted(source[:-1] + '0')})" for source in below]
        parts.append("(" + " or ".join([among("source", where.sources), *ranges]) + ")")
    parts += ["timed == true"] if where.after is not None or where.before is not None else []
    bounds = (("time >=", where.after), ("time <", where.before), ("aged <", where.older_than))
    return " and ".join([*parts, *(f"{what} {value!r}" for what, value in bounds if value is not None)])


def among(name: str, values: Sequence[str]) -> str:
    return f"{name} in [{', '.join(map(quoted, values))}]"


def quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)
