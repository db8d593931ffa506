"""The SQLite file of a gallery: connections, transactions, settings, pictures and log.

WAL with synchronous=FULL: what a transaction acknowledged survives a power cut.  secure_delete: what is deleted is
overwritten with zeros.  One connection reads and one writes, each behind its own lock, so threads may share a Gallery
and a search does not wait for an add.  Between processes SQLite itself admits many readers and one writer.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import numpy as np

from resight.errors import GalleryBusyError, GalleryError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

Line = tuple[float, str, str, str]  # of the log: when, who, what, details as JSON

NAME = "gallery.sqlite"
APPLICATION = 0x52474C59  # tells our files from any other SQLite database
VERSION = 1
PATIENCE = 30.0  # seconds to wait for another process's write
LOG = 4 * 2**20  # bytes of the write-ahead log at which SQLite empties it
PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON", "trusted_schema=OFF", "cell_size_check=ON")
SCHEMA = """
CREATE TABLE settings(key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE state(seq INTEGER NOT NULL, next_row INTEGER NOT NULL, epoch INTEGER NOT NULL);
INSERT INTO state VALUES (0, 1, 0);
CREATE TABLE pictures(id TEXT PRIMARY KEY, jpeg BLOB NOT NULL);
CREATE TABLE log(at REAL NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL, detail TEXT NOT NULL);
CREATE TABLE marks(at REAL NOT NULL, actor TEXT NOT NULL, id TEXT NOT NULL, query TEXT NOT NULL,
                   similarity REAL NOT NULL, same INTEGER NOT NULL);
CREATE INDEX marks_id ON marks(id);
"""


class Database:
    """One open gallery.sqlite."""

    def __init__(self, path: Path, patience: float = PATIENCE, page: int = 0) -> None:
        """page: bytes of a page of a new file."""
        self.path = path
        with _sentences(path):
            self._reader, self._writer = (_connect(path, patience, page) for _ in range(2))
        self._reading, self._writing = threading.RLock(), threading.RLock()
        self._lines: list[tuple[Line, Future[None]]] = []  # of the log, not yet on disk
        self._lines_lock = threading.Lock()

    @classmethod
    def create(cls, path: Path, settings: dict[str, Any], schema: str = "", patience: float = PATIENCE) -> Database:
        """A new file; one that another process has just made is left as it is.  All of it is there or nothing."""
        path.parent.mkdir(parents=True, exist_ok=True)
        database = cls(path, patience, _page(settings["dim"]))
        with database.writing() as sql:
            if not _tables(sql):
                for statement in (SCHEMA + schema).split(";\n"):
                    sql.execute(statement)
                sql.execute(f"PRAGMA application_id={APPLICATION}")
                sql.execute(f"PRAGMA user_version={VERSION}")
                sql.executemany("INSERT INTO settings VALUES (?, ?)", [(k, json.dumps(v)) for k, v in settings.items()])
        return database

    @classmethod
    def open(cls, path: Path, patience: float = PATIENCE) -> Database | None:
        """The file, or None where there is none yet.  Raises GalleryError for a file that is no gallery."""
        if not path.is_file() or path.stat().st_size == 0:
            return None
        database = cls(path, patience)
        with contextlib.ExitStack() as unless_ours:
            unless_ours.callback(database.close)
            with database.reading() as sql:
                application, version = (
                    sql.execute(f"PRAGMA {n}").fetchone()[0] for n in ("application_id", "user_version")
                )
                empty = not _tables(sql)
            if empty and application == 0:  # its creation was cut short
                return None
            if application != APPLICATION:
                raise GalleryError(f"{path} is a database of another program. Name the folder of a gallery.")
            if version != VERSION:
                raise GalleryError(
                    f"{path} has format {version}, this resight reads {VERSION}. Use the resight that wrote it."
                )
            unless_ours.pop_all()
        return database

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """One consistent snapshot."""
        with self._reading, _sentences(self.path):
            self._reader.execute("BEGIN")
            try:
                yield self._reader
            finally:
                self._reader.execute("COMMIT")

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that is on disk when the block ends, and never happened if the block raises."""
        with self._writing, _sentences(self.path):
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._writer.execute("ROLLBACK")
                raise

    def log(self, actor: str, action: str, **detail: Any) -> None:
        """Write a line of the log by itself; it is on disk when this returns.

        Threads that wait for one another here go to disk together, so that a service is not bound to one search a sync.
        """
        written: Future[None] = Future()
        with self._lines_lock:
            self._lines.append(((time.time(), actor, action, json.dumps(detail)), written))
        with self._writing:
            with self._lines_lock:
                taken, self._lines = self._lines, []
            if taken:  # else another thread has written this line with its own
                self._write_lines(taken)
        written.result()

    def _write_lines(self, taken: list[tuple[Line, Future[None]]]) -> None:
        try:
            with self.writing() as sql:
                sql.executemany("INSERT INTO log VALUES (?, ?, ?, ?)", [line for line, _ in taken])
        except BaseException as error:
            for _, written in taken:
                written.set_exception(error)
        else:
            for _, written in taken:
                written.set_result(None)

    def settings(self) -> dict[str, Any]:
        with self.reading() as sql:
            return {key: json.loads(value) for key, value in sql.execute("SELECT key, value FROM settings")}

    def set(self, **settings: Any) -> None:
        with self.writing() as sql:
            rows = [(key, json.dumps(value)) for key, value in settings.items()]
            sql.executemany("INSERT OR REPLACE INTO settings VALUES (?, ?)", rows)

    def pictures(self, ids: Sequence[str]) -> dict[str, bytes]:
        with self.reading() as sql:
            query = "SELECT id, jpeg FROM pictures WHERE id IN (SELECT value FROM json_each(?))"
            return {id: bytes(jpeg) for id, jpeg in sql.execute(query, (many(ids),))}

    def compact(self) -> None:
        """Rewrite the file without what was deleted, and empty the write-ahead log."""
        with self._writing, _sentences(self.path):
            self._writer.execute("VACUUM")
        self.checkpoint()

    def checkpoint(self) -> None:
        """Empty the write-ahead log.  Raises GalleryBusyError while another process reads an older state."""
        with self._writing, self._reading, _sentences(self.path):
            if self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                raise GalleryBusyError(
                    f"{self.path} is being read by another process, so what was deleted is still in its write-ahead "
                    f"log. Compact again when that process has ended its call."
                )

    def damage(self) -> list[str]:
        """What SQLite's own check finds wrong; nothing where all is well."""
        with self.reading() as sql:
            found = [row[0] for row in sql.execute("PRAGMA integrity_check")]
        return [] if found == ["ok"] else found

    def backup(self, target: Path) -> None:
        """A consistent copy, made while others may write."""
        closing = contextlib.closing
        with (
            _sentences(target),
            closing(_connect(self.path, PATIENCE)) as source,
            closing(sqlite3.connect(target)) as to,
        ):
            source.backup(to)

    def close(self) -> None:
        with self._writing, self._reading:
            self._reader.close()
            self._writer.close()


def next_seq(sql: sqlite3.Connection) -> int:
    """The number of this transaction: every changed row carries it, so that a reader can ask what is new."""
    sql.execute("UPDATE state SET seq = seq + 1")
    return int(sql.execute("SELECT seq FROM state").fetchone()[0])


def forget(sql: sqlite3.Connection, ids: Sequence[str]) -> None:
    """Delete the pictures and marks of records."""
    for table in ("pictures", "marks"):
        sql.execute(f"DELETE FROM {table} WHERE id IN (SELECT value FROM json_each(?))", (many(ids),))


def numbers(found: Iterable[tuple[int]]) -> npt.NDArray[np.int64]:
    """The one column of a query, without a Python object for each of its values at a time."""
    return np.fromiter((number for (number,) in found), np.int64)


def many(values: Iterable[object]) -> str:
    """A list as the argument of `IN (SELECT value FROM json_each(?))`, which has no limit of length."""
    return json.dumps(list(values))


def _page(dim: int) -> int:
    """Bytes of a page.  Of SQLite's own 4096 a vector of 512 numbers takes half and leaves the rest empty; a large
    vector is spread over several of them, without loss."""
    return 16_384 if 4 * dim < 8_000 else 4_096


def _connect(path: Path, patience: float, page: int = 0) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=patience, isolation_level=None, check_same_thread=False)
    if page:
        connection.execute(f"PRAGMA page_size={page}")
    for pragma in PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")
    pages = LOG // int(connection.execute("PRAGMA page_size").fetchone()[0])
    connection.execute(f"PRAGMA wal_autocheckpoint={pages}")
    return connection


def _tables(sql: sqlite3.Connection) -> int:
    return int(sql.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0])


@contextlib.contextmanager
def _sentences(path: Path) -> Iterator[None]:
    """SQLite's errors as ours."""
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "") or ""
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            raise GalleryBusyError(f"{path} is being written by another process. Try again when it is done.") from error
        if name.startswith("SQLITE_FULL") or "full" in str(error):
            why = "the disk is full; nothing acknowledged is lost. Make room, then give the same command again"
        elif name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
            why = "it is no SQLite database, or a damaged one. Restore a backup: resight gallery restore"
        elif name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
            why = "it cannot be opened for writing. Check that the folder exists and is yours"
        else:
            why = str(error)
        raise GalleryError(f"{path}: {why}.") from error
