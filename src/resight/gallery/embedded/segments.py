"""Segments: vectors of a gallery in files that can be memory-mapped, with their codes.

Derived from the record and registered in it: a segment exists when its row of the table `segments` does.  Files are
written and flushed before that row is, so a crash leaves at most files that nobody names, which the next writer
removes.  Missing or damaged files are written again from the record.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from resight.files import sync_folder
from resight.gallery.database import numbers
from resight.gallery.embedded.neighbors import Codes, Positions

if TYPE_CHECKING:
    from pathlib import Path

    from resight.gallery.backend import Vectors
    from resight.types import Metric

FOLDER = "index"
SUFFIXES = (".rows", ".vectors", ".codes")
FETCH = 4096  # vectors read from the record at a time


@dataclass(frozen=True)
class Segment:
    """Vectors (N, D) of the rows (N,), ascending; codes where faiss is installed."""

    name: str
    rows: Positions
    vectors: Vectors
    codes: Codes | None


def write(sql: sqlite3.Connection, folder: Path, first: int, dim: int, metric: Metric, seq: int) -> None:
    """Put every vector from row `first` on into a new segment, registered in the transaction of `sql`."""
    rows = numbers(sql.execute("SELECT row FROM vectors WHERE row >= ? ORDER BY row", (first,)))
    if not len(rows):
        return
    name = secrets.token_hex(8)
    paths = {suffix: folder / FOLDER / (name + suffix) for suffix in SUFFIXES}
    paths[".rows"].parent.mkdir(exist_ok=True)
    paths[".rows"].write_bytes(rows.tobytes())
    _write_vectors(sql, first, paths[".vectors"])
    codes = Codes.build(np.memmap(paths[".vectors"], np.float32, "r", shape=(len(rows), dim)), metric)
    if codes is not None:
        paths[".codes"].write_bytes(codes.to_bytes())
    for path in paths.values():
        if path.exists():
            with path.open("r+b") as handle:  # Windows flushes only what may be written
                os.fsync(handle.fileno())
    sync_folder(folder / FOLDER)
    sql.execute(
        "INSERT INTO segments VALUES (?, ?, ?, ?, ?, ?)",
        (name, int(rows[0]), int(rows[-1]), len(rows), seq, digest(folder, name)),
    )


def _write_vectors(sql: sqlite3.Connection, first: int, path: Path) -> None:
    """By plain writing: on a full disk that is an error, where a memory map would end the process."""
    cursor = sql.execute("SELECT vector FROM vectors WHERE row >= ? ORDER BY row", (first,))
    with path.open("wb") as handle:
        while block := cursor.fetchmany(FETCH):
            handle.write(b"".join(blob for (blob,) in block))


def load(folder: Path, name: str, count: int, known: str, dim: int) -> Segment | None:
    """The segment, or None where its files are missing, torn or foreign."""
    rows, vectors, codes = (folder / FOLDER / (name + suffix) for suffix in SUFFIXES)
    try:
        if vectors.stat().st_size != count * dim * 4 or digest(folder, name) != known:
            return None
        mapped = np.memmap(vectors, np.float32, "r", shape=(count, dim))
        numbers = np.fromfile(rows, np.int64)
        return Segment(name, numbers, mapped, Codes.load(codes, dim, count) if codes.exists() else None)
    except OSError:
        return None


def digest(folder: Path, name: str) -> str:
    """Of rows and codes; the vectors, by far the largest, are compared with the record by `verify`."""
    found = hashlib.sha256()
    for suffix in (".rows", ".codes"):
        path = folder / FOLDER / (name + suffix)
        if path.exists() or suffix == ".rows":
            with path.open("rb") as handle:
                hashlib.file_digest(handle, lambda: found)
    return found.hexdigest()


def sweep(folder: Path, names: set[str]) -> None:
    """Remove the files of every segment but these; call it in a write transaction."""
    if (folder / FOLDER).is_dir():
        for path in (folder / FOLDER).iterdir():
            if path.suffix in SUFFIXES and path.stem not in names:
                with contextlib.suppress(OSError):  # Windows keeps what somebody has mapped
                    path.unlink()
