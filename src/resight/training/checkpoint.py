"""Saved so that a kill at any moment loses nothing: written beside, flushed, then renamed into place."""

from __future__ import annotations

import contextlib
import os
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from resight.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Callable

FORMAT = 1
TORN = ("inline_container", "file write failed", "No space left")  # what torch.save says of a disk that is full


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """`write` fills a temporary neighbour of `path`, which then takes its place in one step.

    Raises CheckpointError when the disk is full or not writable; what stood at `path` stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        write(partial)
        with partial.open("rb") as handle:
            os.fsync(handle.fileno())
        partial.replace(path)
        _settle(path.parent)
    except Exception as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        if isinstance(error, CheckpointError):
            raise
        if isinstance(error, OSError) or any(word in str(error) for word in TORN):
            why = error if isinstance(error, OSError) else "the disk took only a part, so it is probably full"
            raise CheckpointError(
                f"cannot write {path}: {why}. What was saved before is untouched; make room or choose another --out, "
                f"then give the same command again to go on."
            ) from error
        raise
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _settle(folder: Path) -> None:
    """Renames survive a power cut too, where a folder can be flushed."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_text(path: Path, text: str) -> None:
    """For `write_atomically`."""
    path.write_text(text, encoding="utf-8")


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Keep everything a resumed run needs; the state before it stays as `NAME.previous`.

    The new one is whole on the disk before either of the two is touched.
    """
    fresh, before = path.with_name(path.name + ".next"), path.with_name(path.name + ".previous")
    write_atomically(fresh, lambda partial: torch.save({"format": FORMAT, **state}, partial))
    if path.exists():
        path.replace(before)
    fresh.replace(path)


def load_state(path: Path) -> dict[str, Any] | None:
    """The newest state that can be read, or None where there is none.  Nothing in the file is executed.

    Raises CheckpointError when what is there is damaged, the state before it too: torn, or a single bit changed.
    """
    broken: list[str] = []
    for candidate in (path, path.with_name(path.name + ".previous")):
        if not candidate.exists():
            continue
        try:
            _check(candidate)
            state: dict[str, Any] = torch.load(candidate, map_location="cpu", weights_only=True)
        except Exception as error:
            broken.append(f"{candidate.name} ({type(error).__name__})")
            continue
        if state.get("format") != FORMAT:
            raise CheckpointError(
                f"{candidate} was written in format {state.get('format')}, this version reads {FORMAT}. "
                f"Train with --fresh to start again, or use the version that wrote it."
            )
        if broken:
            state["recovered_from"] = candidate.name
        return state
    if broken:
        raise CheckpointError(
            f"no readable training state in {path.parent}: {', '.join(broken)} are damaged. "
            f"Train with --fresh to start again."
        )
    return None


def _check(path: Path) -> None:
    """Raises BadZipFile where a checksum of the archive is wrong: torch.load looks at none."""
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise zipfile.BadZipFile(damaged)
