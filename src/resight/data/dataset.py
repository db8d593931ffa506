"""`Dataset`: sorted train, query and gallery samples with their origin, and the check against published counts.

A reader (one file per data set or format) makes one.  See docs/methods/datasets.md.
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
SAID = 6  # differences from a table of counts that a message names
SPLITS: tuple[Split, ...] = ("train", "query", "gallery")


@dataclass(frozen=True)
class Dataset:
    """Train, query and gallery of one data set, each sorted by path.

    Attributes:
        name: the reader's name, as in "market1501".
        version: release or protocol; it stands in every result, since results on two versions are not comparable.
        root: the folder that was read.
        train: samples of the persons to learn.
        query: samples to search for.
        gallery: samples to search in.
        notes: remarks on this copy: files left out, counts that differ.
        terms: licence or terms of use.
        people: pid -> name, for persons whose names are words.
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

    @property
    def everyone(self) -> tuple[Sample, ...]:
        """All samples: train, query, gallery."""
        return (*self.train, *self.query, *self.gallery)

    def names_of(self, pids: Iterable[int]) -> list[str]:
        """Names of persons, sorted by pid; the pid itself where a person has no other name."""
        return [self.people.get(pid, str(pid)) for pid in sorted(set(pids))]

    @property
    def num_ids(self) -> int:
        """Number of training persons: the K of an identity classifier."""
        return len({sample.pid for sample in self.train})

    def counts(self) -> dict[str, SplitCounts]:
        """Identities, images and images per camera of each split."""
        return {split: SplitCounts.of(self.split(split)) for split in SPLITS}

    def __str__(self) -> str:
        parts = [f"{split} {counts}" for split, counts in self.counts().items()]
        return f"{self.name} ({self.version}): " + "; ".join(parts)


@dataclass(frozen=True)
class SplitCounts:
    """Identities, images and cameras of one split.  Junk and distractors count as images, not as identities.

    Attributes:
        ids: persons.
        images: pictures.
        num_cameras: cameras that are known.
        images_per_camera: camid -> images; empty in a published table without that breakdown.
    """

    ids: int
    images: int
    num_cameras: int
    images_per_camera: Mapping[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, samples: Iterable[Sample]) -> SplitCounts:
        """Count a list of samples."""
        samples = list(samples)
        numbers, images = np.unique([sample.camid for sample in samples], return_counts=True)
        known = {int(c): int(n) for c, n in zip(numbers, images, strict=True) if c != UNKNOWN_CAMERA}
        return cls(len({s.pid for s in samples if s.pid > 0}), len(samples), len(known), known)

    def __str__(self) -> str:
        cameras = f"{self.num_cameras} cameras" if self.num_cameras else "camera unknown"
        return f"{self.ids:,} ids, {self.images:,} images, {cameras}"


def check_counts(
    dataset: Dataset, expected: Mapping[str, SplitCounts], assert_counts: AssertCounts, hint: str = ""
) -> Dataset:
    """Compare a data set with its published counts.

    Args:
        dataset: what a reader found.
        expected: split -> published counts.
        assert_counts: "strict" refuses a difference, "warn" notes it and marks the version, "off" does not count.
            A copy without any training pictures is complete for evaluation; its train split is not compared.
        hint: what may have gone wrong, for the message.

    Returns:
        The data set; with "warn" or "off" its version says that it is not known to be the published set.

    Raises:
        DatasetError: with "strict", where a count differs.
        UsageError: for another value of assert_counts.
    """
    if assert_counts not in ("strict", "warn", "off"):
        raise UsageError(f"assert_counts={assert_counts!r}: choose strict, warn or off.")
    if assert_counts == "off":
        return replace(dataset, version=f"{dataset.version}, counts not checked")
    found = dataset.counts()
    present = {split: want for split, want in expected.items() if split != "train" or dataset.train}
    differences = [text for split, want in present.items() for text in _differences(split, found[split], want)]
    if not differences:
        return dataset
    more = len(differences) - SAID
    missed = "; ".join([*differences[:SAID], *([f"and {more} more"] if more > 0 else [])])
    if assert_counts == "strict":
        left_out = "".join(f" {note}." for note in dataset.notes if ": left out" in note)
        raise DatasetError(
            f"{dataset.name}: {dataset.root} is not the published data set: {missed}.{left_out} "
            f"{hint or 'Fetch the missing files,'} or pass assert_counts='warn' (--set assert_counts=warn, in a "
            f"recipe data.assert_counts) if a partial or altered copy is intended. `resight data check` tells which "
            f"data set a folder holds."
        )
    note = f"counts differ from the published table: {missed}"
    log.warning("%s: %s", dataset.name, note)
    return add_notes(replace(dataset, version=f"{dataset.version}, partial or altered copy"), [note])


def add_notes(dataset: Dataset, notes: Sequence[str]) -> Dataset:
    """The same data set with further notes."""
    return replace(dataset, notes=(*dataset.notes, *notes))


def _differences(split: str, found: SplitCounts, want: SplitCounts) -> list[str]:
    pairs = [("ids", found.ids, want.ids), ("images", found.images, want.images)]
    pairs.append(("cameras", found.num_cameras, want.num_cameras))
    pairs += [
        (f"images of camera {cam}", found.images_per_camera.get(cam, 0), n) for cam, n in want.images_per_camera.items()
    ]
    return [f"{split} holds {have:,} {what}, expected {need:,}" for what, have, need in pairs if have != need]


def attribute_columns(samples: Sequence[Sample]) -> dict[str, NDArray[np.int64]]:
    """Attributes of some samples, column by column.

    Args:
        samples: N of them.

    Returns:
        name -> (N,) int64 values, IGNORE where a sample is not annotated.
    """
    names = sorted({name for sample in samples for name in sample.attributes})
    return {
        name: np.array([sample.attributes.get(name, IGNORE) for sample in samples], dtype=np.int64) for name in names
    }
