"""Checkpoint files of a run, written so that a kill at any moment leaves a readable one."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING, Any

import torch

from resight.errors import CheckpointError
from resight.files import write_atomically

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = 1


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
        except (PermissionError, MemoryError) as error:  # nothing is wrong with the file
            raise CheckpointError(f"{candidate} cannot be read: {str(error) or 'out of memory'}.") from error
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
