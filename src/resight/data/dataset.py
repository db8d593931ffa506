"""What a data set is to everybody else: three sorted lists of samples and where they came from.

A reader (one file per naming grammar) makes one; `check_counts` holds it against the published figures.
See docs/methods/datasets.md.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from resight.errors import DatasetError, UsageError, printable
from resight.types import IGNORE, UNKNOWN_CAMERA, Sample, Split

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

log = logging.getLogger("resight.data")

AssertCounts = Literal["strict", "warn", "off"]
SAID = 6  # differences from a table of counts that are told
SPLITS: tuple[Split, ...] = ("train", "query", "gallery")


@dataclass(frozen=True)
class Dataset:
    """Train, query and gallery of one data set, each sorted by path.

    version   which release or protocol was read; goes into every result, since results on two are not
              comparable
    terms     what its owners allow
    notes     what a careful reader should know of this copy: files left out, counts that differ
    people    what persons are called whose names are words
    """

    name: str
    version: str
    root: Path
    train: tuple[Sample, ...] = ()
    query: tuple[Sample, ...] = ()
    gallery: tuple[Sample, ...] = ()
    notes: tuple[str, ...] = ()
    terms: str = ""
    people: Mapping[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "version", printable(self.version))  # may hold a folder's name
        for split in SPLITS:
            object.__setattr__(self, split, tuple(sorted(self.split(split), key=lambda sample: sample.path)))

    def split(self, name: Split) -> tuple[Sample, ...]:
        """The samples of "train", "query" or "gallery"."""
        if name not in SPLITS:
            raise UsageError(f"there is no split {name!r}; a data set has train, query and gallery.")
        samples: tuple[Sample, ...] = getattr(self, name)
        return samples

    def called(self, pids: Iterable[int]) -> list[str]:
        """The names of persons, sorted by number; their numbers where they have no other name."""
        return [self.people.get(pid, str(pid)) for pid in sorted(set(pids))]

    @property
    def num_ids(self) -> int:
        """How many persons there are to learn: the K of an identity classifier."""
        return len({sample.pid for sample in self.train})

    def counts(self) -> dict[str, SplitCounts]:
        """Identities, images and images per camera of each split."""
        return {split: SplitCounts.of(self.split(split)) for split in SPLITS}

    def __str__(self) -> str:
        parts = [f"{split} {counts}" for split, counts in self.counts().items()]
        return f"{self.name} ({self.version}): " + "; ".join(parts)


@dataclass(frozen=True)
class SplitCounts:
    """What one split holds.  Junk and distractors are pictures but not persons.

    `cameras` is images per known camera; a published table without that breakdown leaves it empty and says
    how many cameras there are in `num_cameras`.
    """

    ids: int
    images: int
    num_cameras: int
    cameras: Mapping[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, samples: Iterable[Sample]) -> SplitCounts:
        """Count a list of samples."""
        samples = list(samples)
        cams, images = np.unique([sample.camid for sample in samples], return_counts=True)
        known = {int(c): int(n) for c, n in zip(cams, images, strict=True) if c != UNKNOWN_CAMERA}
        return cls(len({s.pid for s in samples if s.pid > 0}), len(samples), len(known), known)

    def __str__(self) -> str:
        cameras = f"{self.num_cameras} cameras" if self.num_cameras else "camera unknown"
        return f"{self.ids:,} ids, {self.images:,} images, {cameras}"


def check_counts(
    dataset: Dataset, expected: Mapping[str, SplitCounts], assert_counts: AssertCounts, hint: str = ""
) -> Dataset:
    """Hold a data set against its table of counts.

    "strict" raises DatasetError with the first difference, "warn" logs and notes each, "off" does not look.
    """
    if assert_counts not in ("strict", "warn", "off"):
        raise UsageError(f"assert_counts={assert_counts!r}: choose strict, warn or off.")
    if assert_counts == "off":
        return dataset
    found = dataset.counts()
    differences = [text for split, want in expected.items() for text in _differences(split, found[split], want)]
    if not differences:
        return dataset
    more = len(differences) - SAID
    missed = "; ".join([*differences[:SAID], *([f"and {more} more"] if more > 0 else [])])
    if assert_counts == "strict":
        raise DatasetError(
            f"{dataset.name}: {dataset.root} does not hold the published data set: {missed}. "
            f"{hint or 'Fetch the missing files,'} or pass assert_counts='warn' if a partial copy is intended."
        )
    note = f"counts differ from the published table: {missed}"
    log.warning("%s: %s", dataset.name, note)
    return add_notes(dataset, [note])


def add_notes(dataset: Dataset, notes: Sequence[str]) -> Dataset:
    """The same data set with more to say."""
    return replace(dataset, notes=(*dataset.notes, *notes))


def _differences(split: str, found: SplitCounts, want: SplitCounts) -> list[str]:
    pairs = [("ids", found.ids, want.ids), ("images", found.images, want.images)]
    pairs.append(("cameras", found.num_cameras, want.num_cameras))
    pairs += [(f"images of camera {cam}", found.cameras.get(cam, 0), n) for cam, n in want.cameras.items()]
    return [f"{split} holds {have:,} {what}, expected {need:,}" for what, have, need in pairs if have != need]


def dense_labels(samples: Sequence[Sample]) -> tuple[NDArray[np.int64], tuple[int, ...]]:
    """Training labels 0..K-1 in the order of the sorted pids: -> labels (N,), pid of each label (K,)."""
    pids, labels = np.unique([sample.pid for sample in samples], return_inverse=True)
    return labels.astype(np.int64).reshape(-1), tuple(int(pid) for pid in pids)


def attribute_columns(samples: Sequence[Sample]) -> dict[str, NDArray[np.int64]]:
    """Every attribute any sample has: name -> (N,) values, IGNORE where a sample is not annotated."""
    names = sorted({name for sample in samples for name in sample.attributes})
    return {
        name: np.array([sample.attributes.get(name, IGNORE) for sample in samples], dtype=np.int64) for name in names
    }
