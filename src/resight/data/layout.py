"""One folder per split: the layout that Market-1501 gave the field, and what is done to any set after
reading."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from resight.data.dataset import SPLITS, Dataset, add_notes
from resight.data.listing import Grammar, list_pictures, read_names, regex_grammar
from resight.errors import DatasetError, UsageError
from resight.types import JUNK, UNKNOWN_CAMERA, Sample, Split

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

Cameras = Literal["file", "ignore"]

FOLDERS: dict[Split, str] = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}

# Market-1501's names in other hands: any width, the sequence and the box optional, any picture suffix.
MARKET = regex_grammar(
    "PID_cC[sS]_FRAME[_BOX].jpg",
    "0001_c1s1_001051_00.jpg",
    r"(?P<pid>-1|\d+)_c(?P<camid>\d+)(?:s\d+)?_(?P<frame>\d+)(?:_\d+)?\.(?i:jpe?g|png|bmp|webp|tiff?)",
)


def read_splits(
    name: str,
    version: str,
    root: Path,
    grammar: Grammar,
    *,
    folders: Mapping[Split, str] = FOLDERS,
    terms: str = "",
) -> Dataset:
    """Parse every name in every split's folder by one grammar; DatasetError where one is empty."""
    splits: dict[Split, tuple[Sample, ...]] = {}
    notes: list[str] = []
    for split, folder in folders.items():
        listing = list_pictures(root / folder, root)
        samples, said = read_names(listing, split, name, grammar, root / folder)
        if not samples:
            raise DatasetError(f"{name}: {root / folder} holds no picture. Unpack the data set there again.")
        splits[split] = tuple(samples)
        notes += said
    return with_splits(Dataset(name, version, root, notes=tuple(notes), terms=terms), splits)


def with_splits(dataset: Dataset, splits: Mapping[Split, tuple[Sample, ...]]) -> Dataset:
    """The same data set with other samples."""
    lists = {split: splits.get(split, dataset.split(split)) for split in SPLITS}
    return replace(dataset, train=lists["train"], query=lists["query"], gallery=lists["gallery"])


def map_samples(dataset: Dataset, change: Callable[[Sample], Sample]) -> Dataset:
    """The same data set with every sample changed."""
    return with_splits(dataset, {s: tuple(map(change, dataset.split(s))) for s in SPLITS})


def without_junk(dataset: Dataset) -> Dataset:
    """No split keeps boxes with pid -1: they may not train, and nobody is judged on them."""
    kept = {split: tuple(s for s in dataset.split(split) if s.pid != JUNK) for split in SPLITS}
    lost = sum(len(dataset.split(split)) - len(samples) for split, samples in kept.items())
    if not lost:
        return dataset
    return add_notes(with_splits(dataset, kept), [f"{lost:,} junk boxes (pid -1) left out; no score depends on them"])


def zero_is_a_person(dataset: Dataset) -> Dataset:
    """Where train or query hold person 0, persons are counted from 0: each becomes one more.

    A distractor, which 0 is by Market-1501's rule, stands in the gallery alone.
    """
    if all(sample.pid for sample in (*dataset.train, *dataset.query)):
        return dataset
    shifted = map_samples(dataset, lambda sample: replace(sample, pid=sample.pid + (sample.pid >= 0)))
    return add_notes(shifted, ["persons are counted from 0 in the names; each pid is one more here"])


def use_cameras(dataset: Dataset, cameras: Cameras) -> Dataset:
    """cameras="ignore" makes every camera unknown, and says so: that rule is declared, never faked."""
    if cameras not in ("file", "ignore"):
        raise UsageError(f"cameras={cameras!r}: choose 'file' (as the data say) or 'ignore' (unknown).")
    if cameras == "file":
        return dataset
    unknown = map_samples(dataset, lambda sample: replace(sample, camid=UNKNOWN_CAMERA))
    return add_notes(unknown, ["cameras ignored: a match seen by the same camera counts"])


def number_people(names: Iterable[str]) -> dict[str, int]:
    """Name -> pid: its own number where all are numbers and differ, else its place among the sorted names."""
    names = sorted(set(names))
    numeric = all(re.fullmatch(r"-1|[0-9]+", name) for name in names)
    if numeric and len({int(name) for name in names}) == len(names):
        shift = any(int(name) == 0 for name in names)  # persons counted from 0; our 0 is nobody
        return {name: int(name) + (shift and name != "-1") for name in names}
    return {name: number for number, name in enumerate(names, start=1)}
