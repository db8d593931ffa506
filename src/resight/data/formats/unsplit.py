"""Pictures that have no splits yet: a folder per person, names with a pattern, or a CSV without the column split."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from resight.data.dataset import Dataset, add_notes
from resight.data.dataset_ops import (
    Cameras,
    knows_cameras,
    number_person_folders,
    person_names,
    use_cameras,
    with_splits,
)
from resight.data.formats.attributes_csv import with_sidecar
from resight.data.formats.cameras_csv import CameraFinder
from resight.data.formats.csv_table import samples_of
from resight.data.formats.filename_pattern import Pattern, read_people, try_pattern
from resight.data.formats.filenames import first_few, left_out, list_pictures, no_pictures
from resight.data.formats.folder_per_person import by_person
from resight.data.formats.split_folders import FOLDERS
from resight.data.splits import choose_queries
from resight.errors import DatasetError, DatasetNotFoundError, UsageError
from resight.types import Sample

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

SPLIT_ALREADY = {"train", "test", "query", "gallery", *FOLDERS.values()}  # not names of persons
CAMERA = re.compile(r"cam(?:era)?[ _-]?\d+", re.IGNORECASE | re.ASCII)  # nor these, where all folders are named so


def read_unsplit(root: Path, *, pattern: str | None = None, camera: str | None = None) -> Dataset:
    r"""Read all pictures below `root` as one training split.

    Args:
        root: a folder, or a CSV file with the columns path and pid.
        pattern: person and camera in the name, as in "{pid}_c{camid}_{frame}" (`formats.filename_pattern`).
        camera: for a folder per person, a regular expression whose first group is the camera, as in "_c(\d+)".
    """
    if root.is_file():
        return _from_table(root)
    if not root.is_dir():
        raise DatasetNotFoundError(f"{root} does not exist. Name the folder that holds the pictures, or a CSV file.")
    listing = list_pictures(root, root, recursive=True)
    if not listing.pictures:
        raise DatasetError(no_pictures(listing, root))
    notes = left_out(listing, (), root, "")
    if pattern is not None:
        compiled = Pattern(pattern)
        try_pattern(compiled, listing.pictures, root)
        samples, said, numbers = read_people(compiled, listing.pictures, root)
        notes += said
    else:
        samples, numbers, said = _by_folder(root, listing.pictures, camera)
        notes += said
    dataset = Dataset("people", root.resolve().name, root, train=tuple(samples), notes=tuple(notes))
    dataset = replace(dataset, people=person_names(numbers))
    return with_sidecar(dataset, numbers)


def _by_folder(
    root: Path, pictures: tuple[Path, ...], camera: str | None
) -> tuple[list[Sample], dict[str, int], list[str]]:
    """Samples, name -> pid, and notes on cameras."""
    people = by_person(pictures, root)
    _refuse_others(root, people)
    finder = CameraFinder(root, camera)
    numbers = number_person_folders(people)
    samples = [
        Sample(path, numbers[name], finder(path), "train", "people", finder.frame(path))
        for name, paths in people.items()
        for path in paths
    ]
    return samples, numbers, finder.notes()


def _refuse_others(root: Path, people: Mapping[str, Sequence[Path]]) -> None:
    """DatasetError for folders that are not persons, and for pictures in no folder."""
    names = sorted(people)
    if "" in people:
        raise DatasetError(
            f"{root} holds pictures in no person's folder ({first_few([path.name for path in people['']])}). Put each "
            "person's into a folder of their own, or give the pattern of the names, as in --pattern "
            "'{pid}_c{camid}_{frame}'."
        )
    if people.keys() & SPLIT_ALREADY:
        raise DatasetError(
            f"{root} is split already: it holds {first_few(names)}. Use it as it is, as `resight data check` says, or "
            "give the pattern of the names to split it anew, as in --pattern '{pid}_c{camid}_*'."
        )
    if all(CAMERA.fullmatch(name) for name in names):
        raise DatasetError(
            f"the folders in {root} look like cameras, not persons: {first_few(names)}. Give the pattern of the paths, "
            "as in --pattern 'cam{camid}/{pid}_*'."
        )


def _from_table(file: Path) -> Dataset:
    samples, notes, people = samples_of(file, file.parent, "people", ("path", "pid"))
    return Dataset("people", file.stem, file.parent, train=tuple(samples), notes=notes, people=people)


def split(everyone: Dataset, *, test: float = 0.5, cameras: Cameras = "file", seed: int = 0) -> Dataset:
    """Split by person into train and test; of a test person one picture per camera is the query.

    Args:
        everyone: all samples as train, as `read_unsplit` gives them.
        test: fraction of the persons to test on; those without a valid match are in the gallery only.
        cameras: "ignore" declares cameras unknown: any other picture of a person is then a match.
        seed: which persons are tested on.

    Raises:
        UsageError: test is not a fraction.
        DatasetError: fewer than three persons, or no test person has two cameras.
    """
    if not 0 < test < 1:
        raise UsageError(f"test is {test}, expected a fraction between 0 and 1, as in 0.5.")
    everyone = use_cameras(everyone, cameras)
    generator = np.random.default_rng(seed)
    people = sorted({sample.pid for sample in everyone.train if sample.pid > 0})
    if len(people) < 3:
        raise DatasetError(f"{everyone.root} shows {len(people)} persons; a split needs at least 3.")
    number = min(max(1, round(test * len(people))), len(people) - 2)
    tested = set(generator.permutation(people)[:number].tolist())
    aside = [sample for sample in everyone.train if sample.pid in tested or sample.pid <= 0]
    query, gallery = choose_queries(aside, generator)
    if not query:
        raise DatasetError(
            f"{everyone.root}: none of the {number} test persons is seen by two cameras, so no query would have a "
            f"match. If cameras are not known, declare it with --cameras ignore."
        )
    train = tuple(sample for sample in everyone.train if sample.pid > 0 and sample.pid not in tested)
    parted = with_splits(everyone, {"train": train, "query": query, "gallery": gallery})
    rule = "cross camera" if knows_cameras(everyone.train) else "any camera"
    parted = replace(parted, version=f"{everyone.version}, split {test:g}, {rule}, seed {seed}")
    return add_notes(parted, [f"split by person: {number} of {len(people)} to test on, {rule} rule, seed {seed}"])
