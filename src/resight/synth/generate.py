"""Making a whole data set: in parallel, continued after a stop, the same bytes in any order.

Each finished picture is written under a temporary name, renamed, and only then noted in a journal; what the journal
holds with the right hash is not made again.  The table, the manifest and the card are written at the end.
"""

from __future__ import annotations

import csv
import hashlib
import json
import multiprocessing
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from importlib.resources import files
from multiprocessing import connection
from pathlib import Path
from typing import TYPE_CHECKING

from resight.errors import Interrupted, ResightError, UsageError
from resight.synth.card import card
from resight.synth.picture import COLUMNS, Picture, Row, make
from resight.synth.plan import FOLDERS, Item, plan
from resight.synth.render import require_renderer

if TYPE_CHECKING:
    from resight.synth.config import SynthConfig

Progress = Callable[[int, int], None]
_DECLARED, _JOURNAL, _TABLE, _MANIFEST, _CARD = (
    "synth.json",
    ".journal.jsonl",
    "attributes.csv",
    "manifest.sha256",
    "card.md",
)


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
) -> Summary:
    """Make the data set of `config` in the folder `out`, or go on making it.

    workers: processes, by default one per core.  progress(done, total) is called after every picture.  Raises
    UsageError where the folder holds something else, MissingExtraError without the renderer, Interrupted after
    Ctrl-C (calling again goes on).
    """
    require_renderer()
    root, items, began = Path(out), plan(config), time.perf_counter()
    _declare(root, config)
    rows = _finished(root)
    todo = [item for item in items if item.path not in rows]
    done = len(items) - len(todo)
    report = progress or _quiet
    report(done, len(items))
    with (root / _JOURNAL).open("a", encoding="utf-8") as journal:
        journal.write("\n")  # a kill may have cut the last line short
        try:
            for picture in _made(config, todo, workers or os.cpu_count() or 1):
                _keep(root, picture)
                journal.write(json.dumps(picture.row) + "\n")
                journal.flush()
                rows[picture.path] = picture.row
                done += 1
                report(done, len(items))
        except BrokenProcessPool as broken:
            raise ResightError(
                f"a rendering process was ended from outside after {done:,} of {len(items):,} pictures, perhaps for "
                f"lack of memory. The same command goes on; fewer workers need less."
            ) from broken
        except KeyboardInterrupt as stop:
            raise Interrupted(f"stopped after {done:,} of {len(items):,} pictures; the same command goes on.") from stop
    counts: dict[str, int] = dict(Counter(str(item.split) for item in items))
    _finish(root, config, [rows[item.path] for item in items], counts)
    return Summary(root, len(items), len(todo), time.perf_counter() - began, counts)


def _quiet(done: int, total: int) -> None:
    pass


def _declare(root: Path, config: SynthConfig) -> None:
    """Mark the folder as this data set's, or check that it is."""
    wanted = {"format": 1, "config": config.as_dict()}
    file = root / _DECLARED
    if file.is_file():
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
        except ValueError:
            found = None
        if found != wanted:
            raise UsageError(f"{root} holds another data set (see {file}). Name a new folder, or ask for the same one.")
    elif root.is_dir() and any(root.iterdir()):
        raise UsageError(f"{root} is not empty and holds no {_DECLARED}. Name a new folder.")
    for folder in FOLDERS.values():
        (root / folder).mkdir(parents=True, exist_ok=True)
    _write(file, (json.dumps(wanted, indent=1) + "\n").encode())


def _finished(root: Path) -> dict[str, Row]:
    """Rows of pictures that are on disk as the journal, or the finished table, says."""
    rows: dict[str, Row] = {}
    table = root / _TABLE
    if table.is_file():
        with table.open(encoding="utf-8", newline="") as lines:
            rows.update({row["path"]: dict(row) for row in csv.DictReader(lines)})
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


def _made(config: SynthConfig, items: list[Item], workers: int) -> Iterator[Picture]:
    """The pictures as they get ready.  A few at a time wait for a worker, so that a stop is quick."""
    if workers == 1 or len(items) < 3:
        yield from (make(config, item) for item in items)
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(items)), mp_context=spawn, initializer=_prepare_worker) as pool:
        waiting: set[Future[Picture]] = set()
        rest = iter(items)
        try:
            while True:
                for item in rest:
                    waiting.add(pool.submit(make, config, item))
                    if len(waiting) >= 4 * workers:
                        break
                if not waiting:
                    return
                ready, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in ready)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _prepare_worker() -> None:
    """Ctrl-C reaches the whole process group, and only the parent acts on it; a worker does not outlive its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_leave_with, args=(parent.sentinel,), daemon=True).start()


def _leave_with(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)


def _keep(root: Path, picture: Picture) -> None:
    _write(root / picture.path, picture.data)


def _write(file: Path, data: bytes) -> None:
    """All of it or nothing."""
    part = file.with_name(f".{file.name}.part")
    part.write_bytes(data)
    part.replace(file)


def _finish(root: Path, config: SynthConfig, rows: list[Row], counts: dict[str, int]) -> None:
    part = root / f".{_TABLE}.part"
    with part.open("w", encoding="utf-8", newline="") as out:
        table = csv.DictWriter(out, COLUMNS, restval="", lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
    part.replace(root / _TABLE)
    _write(root / _MANIFEST, "".join(f"{row['sha256']}  {row['path']}\n" for row in rows).encode())
    _write(root / _CARD, card(config, counts).encode())
    (root / _JOURNAL).unlink()
