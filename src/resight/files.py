"""Files that are whole or not there: written beside, flushed, then renamed into place."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from resight.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TORN = ("inline_container", "file write failed", "No space left")  # what torch.save says of a disk that is full


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """`write` fills a temporary neighbor of `path`, which then takes its place in one step.

    Raises CheckpointError when the disk is full or not writable; what stood at `path` stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        write(partial)
        with partial.open("r+b") as handle:  # Windows flushes only what may be written
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
