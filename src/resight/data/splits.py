"""Splits: queries chosen from a gallery, persons held out of training, several data sets joined."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from resight.data.dataset import SPLITS, Dataset, add_notes
from resight.data.dataset_ops import with_splits
from resight.errors import DatasetError, UsageError
from resight.types import UNKNOWN_CAMERA, Sample

if TYPE_CHECKING:
    from collections.abc import Iterable


AutoQuery = Literal["never", "one_per_id_cam"]


def choose_queries(
    samples: Sequence[Sample], generator: np.random.Generator
) -> tuple[tuple[Sample, ...], tuple[Sample, ...]]:
    """Choose one picture per person and camera as query, as Market-1501, DukeMTMC and CUHK03-NP do.

    Every query has a valid match: a person with one picture, or one camera, has no query, and where a camera saw a
    person once, that picture stays in the gallery if it is the only match of another.

    Args:
        samples: all test samples.
        generator: draws the pictures.

    Returns:
        query, gallery.
    """
    query: list[Sample] = []
    gallery: list[Sample] = []
    for pid, mine in _by_person(samples):
        asked = _ask(mine, generator) if pid > 0 else []
        chosen = {sample.path for sample in asked}
        query += [replace(sample, split="query") for sample in asked]
        gallery += [replace(sample, split="gallery") for sample in mine if sample.path not in chosen]
    return tuple(query), tuple(gallery)


def _ask(mine: Sequence[Sample], generator: np.random.Generator) -> list[Sample]:
    """Queries of one person: one per camera, fewer where one would be left without a match."""
    cameras = defaultdict(list)
    for sample in mine:
        cameras[sample.camid].append(sample)
    asked = [seen[int(generator.integers(len(seen)))] for _, seen in sorted(cameras.items())]
    while asked:
        chosen = {sample.path for sample in asked}
        kept = [sample for sample in mine if sample.path not in chosen]
        if all(any(matches(query, other) for other in kept) for query in asked):
            break
        # a camera that saw the person once offers its picture to the gallery first
        asked.remove(min(asked, key=lambda query: len(cameras[query.camid])))
    return asked


def choose_missing_queries(dataset: Dataset, auto_query: AutoQuery, seed: int) -> Dataset:
    """Choose queries from the gallery of a data set that has none, by `seed`."""
    if auto_query not in ("never", "one_per_id_cam"):
        raise UsageError(f"auto_query={auto_query!r}: choose never or one_per_id_cam.")
    if seed not in range(2**63):
        raise UsageError(f"seed={seed!r}: expected a whole number from 0.")
    if auto_query == "never" or dataset.query or not dataset.gallery:
        return dataset
    query, gallery = choose_queries(dataset.gallery, np.random.default_rng(seed))
    chosen = with_splits(dataset, {"query": query, "gallery": gallery})
    note = f"{len(query):,} queries chosen from the gallery, one per person and camera, seed {seed}"
    return add_notes(chosen, [note])


def matches(query: Sample, other: Sample) -> bool:
    """Whether `other` is a valid match of `query`: same person, and not known to be the same camera."""
    return query.pid == other.pid > 0 and (query.camid != other.camid or query.camid == UNKNOWN_CAMERA)


def hold_out(dataset: Dataset, fraction: float, seed: int) -> Dataset:
    """Hold a fraction of the training persons out for validation: theirs become query and gallery.

    Only persons who can have a query (two cameras, or two pictures of unknown camera) are held out.  The test split
    plays no part in it.

    Args:
        dataset: as read.
        fraction: of the training persons, between 0 and 1.
        seed: the choice depends on it and on the persons alone.

    Returns:
        The other training persons as train, the held-out ones as query and gallery.

    Raises:
        UsageError: fraction is out of range.
        DatasetError: too few persons can have a query.
    """
    if not 0 < fraction < 1:
        raise UsageError(f"hold_out: fraction is {fraction}, expected between 0 and 1, as in 0.1.")
    generator = np.random.default_rng(seed)
    people = dict(_by_person(dataset.train))
    able = [pid for pid, mine in people.items() if pid > 0 and _can_be_asked(mine)]
    number = max(1, round(fraction * len(people)))
    if number > len(able) or number >= len(people):
        raise DatasetError(
            f"{dataset.name}: cannot hold out {number} of {len(people)} persons; {len(able)} have pictures by two "
            f"cameras or by unknown ones. Read the set with cameras='ignore', or lower the fraction."
        )
    held = set(generator.permutation(able)[:number].tolist())
    query, gallery = choose_queries([s for s in dataset.train if s.pid in held], generator)
    train = tuple(sample for sample in dataset.train if sample.pid not in held)
    validation = with_splits(dataset, {"train": train, "query": query, "gallery": gallery})
    validation = replace(validation, version=f"{dataset.version}, {number} training persons held out, seed {seed}")
    return add_notes(validation, [f"query and gallery are {number} training persons held out, seed {seed}"])


def _can_be_asked(mine: Sequence[Sample]) -> bool:
    return any(matches(mine[0], other) for other in mine[1:])


def _by_person(samples: Iterable[Sample]) -> list[tuple[int, list[Sample]]]:
    people: dict[int, list[Sample]] = defaultdict(list)
    for sample in sorted(samples, key=lambda sample: sample.path):
        people[sample.pid].append(sample)
    return sorted(people.items())


def join(datasets: Sequence[Dataset]) -> Dataset:
    """Join several data sets into one.

    Persons and cameras of different sets are different: both are renumbered, persons from 1 and cameras from 0, in the
    order (data set, number).  Junk, distractors and unknown cameras stay what they are; `Sample.dataset` still tells
    where a picture comes from.

    Args:
        datasets: two or more, of different names.

    Raises:
        UsageError: fewer than two, or a name twice.
    """
    names = [dataset.name for dataset in datasets]
    if len(set(names)) != len(names) or len(names) < 2:
        raise UsageError(f"join: expected two or more different data sets, found {', '.join(names) or 'none'}.")
    pairs = [(place, sample) for place, dataset in enumerate(datasets) for sample in dataset.everyone]
    pids = {key: n for n, key in enumerate(sorted({(i, s.pid) for i, s in pairs if s.pid > 0}), start=1)}
    camids = {key: n for n, key in enumerate(sorted({(i, s.camid) for i, s in pairs if s.camid >= 0}))}

    def renumbered(place: int, sample: Sample) -> Sample:
        return replace(
            sample,
            pid=pids.get((place, sample.pid), sample.pid),
            camid=camids.get((place, sample.camid), sample.camid),
        )

    joined = Dataset(
        name="+".join(names),
        version=" + ".join(dataset.version for dataset in datasets),
        root=Path(os.path.commonpath([dataset.root.resolve() for dataset in datasets])),
        notes=tuple(f"{dataset.name}: {note}" for dataset in datasets for note in dataset.notes),
        terms="\n".join(f"{dataset.name}: {dataset.terms}" for dataset in datasets if dataset.terms),
    )
    return with_splits(
        joined,
        {
            split: tuple(renumbered(i, s) for i, dataset in enumerate(datasets) for s in dataset.split(split))
            for split in SPLITS
        },
    )
