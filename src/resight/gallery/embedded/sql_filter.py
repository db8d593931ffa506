"""A filter as SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from resight.gallery.database import many

if TYPE_CHECKING:
    from resight.gallery.records import Filter


def clause_of(where: Filter) -> tuple[str, list[Any]]:
    """A filter as a condition on `records`, and its values."""
    parts: list[str] = ["1"]
    values: list[Any] = []
    for column, several in (("id", where.ids), ("pid", where.pids), ("camera", where.cameras), ("label", where.labels)):
        if several is not None:
            parts.append(f"{column} IN (SELECT value FROM json_each(?))")
            values.append(many(several))
    for column, several in (("pid", where.exclude_pids), ("camera", where.exclude_cameras)):
        if several:
            parts.append(f"({column} IS NULL OR {column} NOT IN (SELECT value FROM json_each(?)))")
            values.append(many(several))
    if where.exclude_pair is not None:
        parts.append("NOT (pid IS ? AND camera IS ?)")
        values += where.exclude_pair
    if where.sources is not None:
        below = [source for source in where.sources if source.endswith("/")]
        parts.append(
            "(source IN (SELECT value FROM json_each(?))" + " OR (source >= ? AND source < ?)" * len(below) + ")"
        )
        values += [many(where.sources), *(bound for source in below for bound in (source, source[:-1] + "0"))]
    for condition, value in (("time >= ?", where.after), ("time < ?", where.before),
                             ("coalesce(time, added) < ?", where.older_than)):  # fmt: skip
        if value is not None:
            parts.append(condition)
            values.append(value)
    return " AND ".join(parts), values
