"""Several data sets as one, with persons and cameras kept apart."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

from resight.data.dataset import SPLITS, Dataset
from resight.data.layout import with_splits
from resight.errors import UsageError
from resight.types import Sample


def join(datasets: Sequence[Dataset]) -> Dataset:
    """One data set out of several.

    Person 5 of one and person 5 of another are two people, and so are cameras: both are renumbered, persons
    from 1 and cameras from 0, in the order (data set, number).  Junk, distractors and unknown cameras stay
    what they are; `Sample.dataset` still says where a picture comes from.
    """
    names = [dataset.name for dataset in datasets]
    if len(set(names)) != len(names) or len(names) < 2:
        raise UsageError(f"join: expected two or more different data sets, found {', '.join(names) or 'none'}.")
    everyone = [
        [(place, sample) for split in SPLITS for sample in dataset.split(split)]
        for place, dataset in enumerate(datasets)
    ]
    pairs = list(chain.from_iterable(everyone))
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
