"""Operations on a data set after reading: junk, cameras, the numbering of persons."""

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
    """Boxes with pid -1 may not train or ask; `keep` leaves those of the gallery, where nobody is judged on them."""
    splits = [split for split in SPLITS if not (keep and split == "gallery")]
    kept = {split: tuple(s for s in dataset.split(split) if s.pid != JUNK) for split in splits}
    lost = sum(len(dataset.split(split)) - len(samples) for split, samples in kept.items())
    if not lost:
        return dataset
    return add_notes(with_splits(dataset, kept), [f"left out junk, pid -1 ({lost:,} pictures); no score depends on it"])


def shift_pid_zero(dataset: Dataset) -> Dataset:
    """Where train or query hold person 0, persons are counted from 0: each becomes one more.

    A distractor, which 0 is by Market-1501's rule, stands in the gallery alone.
    """
    if all(sample.pid for sample in (*dataset.train, *dataset.query)):
        return dataset
    shifted = map_samples(dataset, lambda sample: replace(sample, pid=sample.pid + (sample.pid >= 0)))
    return add_notes(shifted, ["persons are counted from 0 in the names; each pid is one more here"])


def use_cameras(dataset: Dataset, cameras: Cameras) -> Dataset:
    """cameras="ignore" makes every camera unknown.  Where the test knows none, the version says so.

    That rule is declared, never faked: it stands in every result.
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
    """Name -> pid: its own number where all are numbers and differ, else its place among the sorted names.

    -1 is junk whatever the others are called.
    """
    people = sorted(set(names) - {str(JUNK)})
    junk = {str(JUNK): JUNK}
    numeric = all(re.fullmatch(r"[0-9]{1,18}", name) for name in people)
    if numeric and len({int(name) for name in people}) == len(people):
        shift = any(int(name) == 0 for name in people)  # persons counted from 0; our 0 is nobody
        return {name: int(name) + shift for name in people} | junk
    return {name: number for number, name in enumerate(people, start=1)} | junk


def person_names(numbers: Mapping[str, int]) -> dict[int, str]:
    """pid -> name, of persons whose names are words; nothing where they are called by numbers."""
    people = {pid: name for name, pid in numbers.items() if pid > 0}
    return {} if all(re.fullmatch(r"[0-9]{1,18}", name) for name in people.values()) else people


def number_person_folders(names: Iterable[str]) -> dict[str, int]:
    """The same for folders, of which `distractor` and `junk` are nobody in particular."""
    return {**number_persons(set(names) - NOBODY.keys()), **NOBODY}
