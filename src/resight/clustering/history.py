"""The groups of a run's pictures, clustering by clustering, and what became of them.

first, *_, last = load_groups(folder)
compare(first.labels, last.labels).kept
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from resight.errors import CheckpointError
from resight.files import write_binary, write_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

FOLDER, PICTURES = "clusters", "pictures.txt"
ALIKE = 0.8  # share of the members of two groups together that both have, from which on they are one
PART = 0.2  # share of a group's members, from which on another group holds a part of it


@dataclass(frozen=True)
class Groups:
    """labels (N,) of a run's pictures as an epoch began, below 0 for none."""

    epoch: int
    labels: NDArray[np.int32]


@dataclass(frozen=True)
class Changes:
    """What became of the groups of a clustering in a later one, largest groups first.

    kept: a group of nearly the same members.  split: two or more groups hold a part of it.  merged: groups of the
    later clustering that hold most of two or more.
    """

    kept: tuple[int, ...]
    split: tuple[int, ...]
    merged: tuple[int, ...]

    def counts(self) -> dict[str, int]:
        return {"kept": len(self.kept), "split": len(self.split), "merged": len(self.merged)}


def save_groups(folder: Path, epoch: int, labels: NDArray[np.int32], pictures: Sequence[Path]) -> None:
    """Add a clustering to the run `folder`."""
    place = folder / FOLDER
    place.mkdir(parents=True, exist_ok=True)
    names = "".join(f"{path}\n" for path in pictures)
    write_text(place / PICTURES, names)
    write_binary(place / f"{epoch:04d}.npy", lambda file: np.save(file, labels, allow_pickle=False))


def load_groups(folder: Path) -> list[Groups]:
    """All clusterings of the run, in order; none where it made none.  Raises CheckpointError where one is damaged."""
    found = []
    for path in sorted((folder / FOLDER).glob("*.npy")):
        try:
            found.append(Groups(int(path.stem), np.load(path, allow_pickle=False).astype(np.int32)))
        except (ValueError, OSError, EOFError) as error:
            raise CheckpointError(f"{path} is not a clustering of a run ({error}).") from error
    return found


def pictures_of(folder: Path) -> list[Path]:
    """The pictures that the clusterings of the run are about."""
    return [Path(line) for line in (folder / FOLDER / PICTURES).read_text(encoding="utf-8").splitlines()]


def compare(earlier: NDArray[np.int32], later: NDArray[np.int32]) -> Changes:
    """What became of the groups (N,) in later ones (N,)."""
    before, after = _sizes(earlier), _sizes(later)
    both = (earlier >= 0) & (later >= 0)
    pairs, shared = np.unique(np.stack([earlier[both], later[both]]), axis=1, return_counts=True)
    own, other = pairs  # of every pair of groups with common members
    alike = shared / (before[own] + after[other] - shared)
    parts = shared >= np.maximum(PART * before[own], 2)
    mostly = parts & (shared > 0.5 * before[own])
    kept = np.unique(own[alike >= ALIKE])
    split = np.flatnonzero(np.bincount(own[parts], minlength=1) >= 2)
    merged = np.flatnonzero(np.bincount(other[mostly], minlength=1) >= 2)
    return Changes(_largest(kept, before), _largest(split, before), _largest(merged, after))


def members(labels: NDArray[np.int32], group: int) -> NDArray[np.int64]:
    """Rows of a group."""
    return np.flatnonzero(labels == group)


def _sizes(labels: NDArray[np.int32]) -> NDArray[np.int64]:
    return np.bincount(labels[labels >= 0], minlength=1)


def _largest(groups: NDArray[np.integer], sizes: NDArray[np.int64]) -> tuple[int, ...]:
    order = np.argsort(-sizes[groups], kind="stable")
    return tuple(int(group) for group in groups[order])
