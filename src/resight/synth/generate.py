"""Generation of a whole data set: parallel, resumable, the same bytes in any order.

Each finished picture is written under a temporary name, renamed, and only then noted in a journal; what the journal
holds with the right hash is not made again.  The table, the manifest and the card are written at the end.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from resight.errors import Interrupted, ResightError, UsageError
from resight.files import pyarrow
from resight.synth import table
from resight.synth.card import card
from resight.synth.plan import FOLDERS, plan
from resight.synth.scene.render import require_assets
from resight.synth.workers import made

if TYPE_CHECKING:
    from resight.synth.config import SynthConfig
    from resight.synth.picture import Row

Progress = Callable[[int, int], None]
_DECLARED, _JOURNAL, _MANIFEST, _CARD = "synth.json", ".journal.jsonl", "manifest.sha256", "card.md"


@dataclass(frozen=True)
class Summary:
    """What `generate` did."""

    root: Path
    pictures: int
    made: int  # in this run; the others were there already
    seconds: float
    counts: dict[str, int]  # split -> pictures

    @property
    def per_second(self) -> float:
        return self.made / self.seconds if self.seconds > 0 else 0.0


def sample_root() -> Path:
    """The folder of the people bundled with the package."""
    return Path(str(files("resight.synth") / "sample"))


def generate(
    config: SynthConfig,
    out: str | os.PathLike[str],
    *,
    workers: int | None = None,
    progress: Progress | None = None,
    parquet: bool = False,
) -> Summary:
    """Make the data set of `config` in the folder `out`, or go on making it.

    workers: processes, by default one per core.  progress(done, total) is called after every picture.  parquet: write
    the table as Parquet too.  Raises UsageError where the folder holds something else, MissingExtraError without the
    renderer, Interrupted after Ctrl-C (calling again goes on).
    """
    require_assets(config)
    if parquet:
        pyarrow()
    root, items, began = Path(out), plan(config), time.perf_counter()
    count = _Count(len(items), progress)
    with _said(root, count):
        _declare(root, config)
        rows = _finished(root)
        todo = [item for item in items if item.path not in rows]
        count.add(len(items) - len(todo))
        with (root / _JOURNAL).open("a", encoding="utf-8") as journal:
            journal.write("\n")  # a kill may have cut the last line short
            for picture in made(config, todo, workers or os.cpu_count() or 1):
                _write(root / picture.path, picture.data)
                journal.write(json.dumps(picture.row) + "\n")
                journal.flush()
                rows[picture.path] = picture.row
                count.add(1)
        counts: dict[str, int] = dict(Counter(str(item.split) for item in items))
        _finish(root, config, [rows[item.path] for item in items], counts, parquet)
    return Summary(root, len(items), len(todo), time.perf_counter() - began, counts)


@dataclass
class _Count:
    """Progress counter that passes its count on."""

    total: int
    report: Progress | None
    done: int = 0

    def add(self, more: int) -> None:
        self.done += more
        if self.report is not None:
            self.report(self.done, self.total)

    def __str__(self) -> str:
        return f"after {self.done:,} of {self.total:,} pictures" if self.done else "before any new picture"


@contextlib.contextmanager
def _said(root: Path, count: _Count) -> Iterator[None]:
    """Turn an interruption into an error that says how far generation came and how to continue it."""
    try:
        yield
    except BrokenProcessPool as broken:
        raise ResightError(
            f"a rendering process was ended from outside {count}, perhaps for lack of memory. The same command goes "
            f"on; fewer workers need less."
        ) from broken
    except KeyboardInterrupt as stop:
        raise Interrupted(f"stopped {count}; the same command goes on.") from stop
    except OSError as error:
        raise ResightError(
            f"{error.filename or root}: {error.strerror or error}, {count}. What is made is kept: once that is mended, "
            f"the same command goes on."
        ) from error


def _declare(root: Path, config: SynthConfig) -> None:
    """Mark the folder as this data set's, or check that it is."""
    wanted = {"format": 2, "config": config.as_dict()}
    file = root / _DECLARED
    if root.exists() and not root.is_dir():
        raise UsageError(f"{root} is a file. Name a folder, new or with the same data set.")
    if file.is_file():
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
        except ValueError:
            found = None
        if found != wanted:
            raise UsageError(f"{root} holds another data set (see {file}). Name a new folder, or ask for the same one.")
    elif root.is_dir() and any(entry != _part(file) for entry in root.iterdir()):
        raise UsageError(f"{root} is not empty and holds no {_DECLARED}. Name a new folder.")
    root.mkdir(parents=True, exist_ok=True)
    _write(file, (json.dumps(wanted, indent=1) + "\n").encode())  # first: a stop after it can be continued
    for folder in FOLDERS.values():
        (root / folder).mkdir(exist_ok=True)


def _finished(root: Path) -> dict[str, Row]:
    """Rows of pictures that are on disk as the journal, or the finished table, says."""
    rows: dict[str, Row] = {str(row["path"]): row for row in table.read(root)}
    journal = root / _JOURNAL
    if journal.is_file():
        for line in journal.read_text(encoding="utf-8").splitlines():
            try:
                row = json.loads(line)
            except ValueError:  # the line a kill cut short
                continue
            rows[row["path"]] = row
    return {path: row for path, row in rows.items() if _hash(root / path) == row["sha256"]}


def _hash(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""


def _write(file: Path, data: bytes) -> None:
    """All of it or nothing."""
    part = _part(file)
    part.write_bytes(data)
    part.replace(file)


def _part(file: Path) -> Path:
    return file.with_name(f".{file.name}.part")


def _finish(root: Path, config: SynthConfig, rows: list[Row], counts: dict[str, int], parquet: bool) -> None:
    listed = table.as_csv(rows)
    _write(root / table.NAME, listed)
    if parquet:
        _write(root / table.PARQUET, table.as_parquet(listed))
    _write(root / _MANIFEST, "".join(f"{row['sha256']}  {row['path']}\n" for row in rows).encode())
    _write(root / _CARD, card(config, counts).encode())
    (root / _JOURNAL).unlink()
