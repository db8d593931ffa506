"""Saved so that a kill at any moment loses nothing: written beside, flushed, then renamed into place."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from resight.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Callable

FORMAT = 1


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
    except Exception as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        if isinstance(error, CheckpointError):
            raise
        if isinstance(error, OSError) or "file write failed" in str(error) or "No space left" in str(error):
            raise CheckpointError(
                f"cannot write {path}: {error}. What was saved before is untouched; make room or choose another --out, "
                f"then give the same command again to go on."
            ) from error
        raise
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Keep everything a resumed run needs; the previous state stays as `NAME.previous`."""
    if path.exists():
        with contextlib.suppress(OSError):
            path.replace(path.with_name(path.name + ".previous"))
    write_atomically(path, lambda partial: torch.save({"format": FORMAT, **state}, partial))


def load_state(path: Path) -> dict[str, Any] | None:
    """The newest state that can be read, or None where there is none.  Nothing in the file is executed."""
    broken: list[str] = []
    for candidate in (path, path.with_name(path.name + ".previous")):
        if not candidate.exists():
            continue
        try:
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
