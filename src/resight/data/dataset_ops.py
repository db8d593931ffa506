"""Operations on a data set after reading: junk, unknown cameras, the numbering of persons."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from resight.data.dataset import SPLITS, Dataset, add_notes
from resight.errors import UsageError
from resight.types import DISTRACTOR, JUNK, UNKNOWN_CAMERA, Sample, Split

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


Cameras = Literal["file", "ignore"]
NOBODY = {"distractor": DISTRACTOR, "junk": JUNK}  # folders of pictures of no person


def with_splits(dataset: Dataset, splits: Mapping[Split, tuple[Sample, ...]]) -> Dataset:
    """The same data set with other samples."""
    lists = {split: splits.get(split, dataset.split(split)) for split in SPLITS}
    return replace(dataset, train=lists["train"], query=lists["query"], gallery=lists["gallery"])


def map_samples(dataset: Dataset, change: Callable[[Sample], Sample]) -> Dataset:
    """The same data set with every sample changed."""
    return with_splits(dataset, {s: tuple(map(change, dataset.split(s))) for s in SPLITS})


def without_junk(dataset: Dataset, keep: bool = False) -> Dataset:
    """Remove boxes with pid -1; `keep` leaves those of the gallery, where they do not count in any score."""
    splits = [split for split in SPLITS if not (keep and split == "gallery")]
    kept = {split: tuple(s for s in dataset.split(split) if s.pid != JUNK) for split in splits}
    lost = sum(len(dataset.split(split)) - len(samples) for split, samples in kept.items())
    if not lost:
        return dataset
    return add_notes(with_splits(dataset, kept), [f"left out junk, pid -1 ({lost:,} pictures); no score depends on it"])


def shift_pid_zero(dataset: Dataset) -> Dataset:
    """Add 1 to every pid where train or query hold person 0, that is, where persons are counted from 0.

    By Market-1501's rule 0 is a distractor, and distractors are in the gallery only.
    """
    if all(sample.pid for sample in (*dataset.train, *dataset.query)):
        return dataset
    shifted = map_samples(dataset, lambda sample: replace(sample, pid=sample.pid + (sample.pid >= 0)))
    return add_notes(shifted, ["persons are counted from 0 in the names; each pid is one more here"])


def use_cameras(dataset: Dataset, cameras: Cameras) -> Dataset:
    """Make every camera unknown for cameras="ignore"; mark the version where no camera of the test is known.

    The version stands in every result: scores under the any-camera rule are not comparable to cross-camera ones.
    """
    if cameras not in ("file", "ignore"):
        raise UsageError(f"cameras={cameras!r}: choose 'file' (as the data say) or 'ignore' (unknown).")
    if cameras == "ignore":
        dataset = map_samples(dataset, lambda sample: replace(sample, camid=UNKNOWN_CAMERA))
        dataset = add_notes(dataset, ["cameras ignored: a match seen by the same camera counts"])
    tested = (*dataset.query, *dataset.gallery)
    if not tested or knows_cameras(tested):
        return dataset
    return replace(dataset, version=f"{dataset.version}, any camera")


def knows_cameras(samples: Iterable[Sample]) -> bool:
    """Whether the camera of at least one picture is known."""
    return any(sample.camid != UNKNOWN_CAMERA for sample in samples)


def number_persons(names: Iterable[str]) -> dict[str, int]:
    """Number persons: name -> pid.

    The pid is the name's own number where all names are numbers and differ (one more where they count from 0), else
    the place among the sorted names, from 1.  "-1" is junk whatever the others are called.
    """
    people = sorted(set(names) - {str(JUNK)})
    junk = {str(JUNK): JUNK}
    numeric = all(re.fullmatch(r"[0-9]{1,18}", name) for name in people)
    if numeric and len({int(name) for name in people}) == len(people):
        shift = any(int(name) == 0 for name in people)  # pid 0 is reserved for distractors
        return {name: int(name) + shift for name in people} | junk
    return {name: number for number, name in enumerate(people, start=1)} | junk


def person_names(numbers: Mapping[str, int]) -> dict[int, str]:
    """pid -> name, of persons whose names are words; empty where names are numbers."""
    people = {pid: name for name, pid in numbers.items() if pid > 0}
    return {} if all(re.fullmatch(r"[0-9]{1,18}", name) for name in people.values()) else people


def number_person_folders(names: Iterable[str]) -> dict[str, int]:
    """`number_persons` for folder names, of which `distractor` and `junk` are no persons."""
    return {**number_persons(set(names) - NOBODY.keys()), **NOBODY}
