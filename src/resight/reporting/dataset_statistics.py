"""Statistics of a data set: persons, pictures, cameras, sizes, brightness."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from resight.data.loading.decode import decode
from resight.errors import ImageError
from resight.inference.embeddings import Vectors
from resight.reporting.thumbnails import shape
from resight.types import DISTRACTOR, JUNK, UNKNOWN_CAMERA

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

    from resight.data import Dataset
    from resight.inference import Result

SIZES_READ = 300  # headers looked at: enough for a median, quick on a network drive


@dataclass(frozen=True)
class Spread:
    """Smallest, middle and largest of a list of numbers."""

    least: float
    median: float
    most: float

    @classmethod
    def of(cls, values: ArrayLike) -> Spread | None:
        values = np.asarray(values, np.float64)
        return cls(float(values.min()), float(np.median(values)), float(values.max())) if values.size else None

    def __str__(self) -> str:
        if self.least == self.most:
            return f"{self.least:g}"
        return f"{self.median:g} ({self.least:g} to {self.most:g})"


@dataclass(frozen=True)
class SplitStatistics:
    """One split.  Identities that mean nobody are pictures but no persons."""

    split: str
    images: int
    nobody: int  # pictures of no person
    unseen: int  # pictures whose camera is unknown
    cameras: dict[int, int]  # known camera -> pictures
    per_identity: NDArray[np.int64]  # pictures of each person
    shared: dict[tuple[int, int], int]  # persons seen by both cameras; by one, on the diagonal

    @classmethod
    def of(cls, split: str, pids: ArrayLike, camids: ArrayLike, nobody: Sequence[int]) -> SplitStatistics:
        pids, camids = np.asarray(pids, np.int64), np.asarray(camids, np.int64)
        numbers, images = np.unique(camids[camids != UNKNOWN_CAMERA], return_counts=True)
        person = ~np.isin(pids, nobody)
        _, per_identity = np.unique(pids[person], return_counts=True)
        seen = {int(camera): set(pids[person & (camids == camera)].tolist()) for camera in numbers}
        shared = {(a, b): len(seen[a] & seen[b]) for a in seen for b in seen}
        return cls(
            split,
            images=len(pids),
            nobody=int((~person).sum()),
            unseen=int((camids == UNKNOWN_CAMERA).sum()),
            cameras=dict(zip(numbers.tolist(), images.tolist(), strict=True)),
            per_identity=per_identity,
            shared=shared,
        )

    @property
    def identities(self) -> int:
        return len(self.per_identity)

    @property
    def images_per_identity(self) -> Spread | None:
        return Spread.of(self.per_identity)


@dataclass(frozen=True)
class DataStatistics:
    """All splits, and the sizes and brightness of a seeded sample of pictures."""

    splits: tuple[SplitStatistics, ...]
    sizes_of: int  # pictures whose header could be read
    height: Spread | None
    width: Spread | None
    brightness: dict[int, float]  # camera -> mean of its sampled pictures, 0 black to 255 white

    @property
    def cameras(self) -> list[int]:
        return sorted({camera for split in self.splits for camera in split.cameras})


def data_statistics(dataset: Dataset | None, result: Result | None, seed: int) -> DataStatistics | None:
    """Of the data set where one is given, else of what was evaluated; None where there is neither."""
    nobody = nobody_of(result)
    if dataset is not None:
        parts = [(name, dataset.split(name)) for name in ("train", "query", "gallery")]
        splits = [
            SplitStatistics.of(name, [s.pid for s in samples], [s.camid for s in samples], nobody)
            for name, samples in parts
            if samples
        ]
        pictures = [(sample.path, sample.camid) for _, samples in parts for sample in samples]
    elif result is not None:
        both = (("query", result.query), ("gallery", result.gallery))
        splits = [SplitStatistics.of(name, part.pids, part.camids, nobody) for name, part in both]
        pictures = [(part.path(row), int(part.camids[row])) for _, part in both for row in range(len(part))]
    else:
        return None
    chosen = [pictures[int(row)] for row in np.random.default_rng(seed).permutation(len(pictures))[:SIZES_READ]]
    sizes = [size for size in (shape(path) for path, _ in chosen) if size is not None]
    heights, widths = [size[0] for size in sizes], [size[1] for size in sizes]
    return DataStatistics(tuple(splits), len(sizes), Spread.of(heights), Spread.of(widths), _brightness(chosen))


def nobody_of(result: Result | None) -> list[int]:
    """The identities that are no person under the rules of the evaluation, or usually."""
    rules = (JUNK, DISTRACTOR) if result is None else (result.report.protocol.junk, result.report.protocol.distractor)
    return [Vectors.UNKNOWN_PID, *(pid for pid in rules if pid is not None)]


def _brightness(pictures: Sequence[tuple[Path, int]]) -> dict[int, float]:
    """Mean over all pixels and channels of each camera's pictures; those that cannot be read are passed over."""
    found: dict[int, list[float]] = {}
    for path, camera in pictures:
        with contextlib.suppress(ImageError):
            mean = float(decode(path).mean())
            found.setdefault(camera, []).append(mean)
    return {camera: float(np.mean(values)) for camera, values in sorted(found.items())}
