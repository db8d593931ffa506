"""Somebody's own pictures, not yet split: a folder per person, names with a pattern, or a CSV without splits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from resight.data.attributes import attributes_of, rows_of, whole_number
from resight.data.cameras import CameraFinder
from resight.data.dataset import Dataset, add_notes
from resight.data.layout import Cameras, number_people, use_cameras, with_splits
from resight.data.listing import left_out, list_pictures, some
from resight.data.patterns import Pattern, read_people, try_pattern
from resight.data.splitting import choose_queries
from resight.errors import DatasetError, UsageError
from resight.types import UNKNOWN_CAMERA, Sample


def read_unsplit(root: Path, *, pattern: str | None = None, camera: str | None = None) -> Dataset:
    r"""All pictures below `root` as one training split.

    pattern  person and camera in the name, as in "{pid}_c{camid}_{frame}" (see resight.data.patterns)
    camera   for a folder per person: a regular expression whose first group is the camera, as in "_c(\d+)"

    `root` may be a CSV file with path and pid.
    """
    if root.is_file():
        return _from_table(root)
    if not root.is_dir():
        raise DatasetError(f"{root} does not exist. Name the folder that holds the pictures, or a CSV file.")
    listing = list_pictures(root, root, recursive=True)
    if not listing.pictures:
        raise DatasetError(f"{root} holds no picture. Name the folder that holds them.")
    notes = left_out(listing, (), root, "")
    if pattern is not None:
        compiled = Pattern(pattern)
        try_pattern(compiled, listing.pictures, root)
        samples, said = read_people(compiled, listing.pictures, root)
        notes += said
    else:
        samples = _by_folder(root, listing.pictures, camera)
    return Dataset("people", root.resolve().name, root, train=tuple(samples), notes=tuple(notes))


def _by_folder(root: Path, pictures: tuple[Path, ...], camera: str | None) -> list[Sample]:
    loose = [path.name for path in pictures if path.parent == root]
    if loose:
        raise DatasetError(
            f"{root} holds pictures in no person's folder ({some(loose)}). Put each person's into a folder of "
            "their own, or give the pattern of the names, as in --pattern '{pid}_c{camid}_{frame}'."
        )
    finder = CameraFinder(root, camera)
    numbers = number_people(path.relative_to(root).parts[0] for path in pictures)
    return [
        Sample(path, numbers[path.relative_to(root).parts[0]], finder(path), "train", "people") for path in pictures
    ]


def _from_table(file: Path) -> Dataset:
    rows = list(rows_of(file))
    if not rows or not {"path", "pid"} <= rows[0][1].keys():
        raise DatasetError(
            f"{file} lacks rows, or the columns path and pid. Expected path,pid and perhaps camid,frame."
        )
    numbers = number_people(row["pid"] for _, row in rows)
    samples = []
    for line, row in rows:
        if not row["path"] or Path(row["path"]).is_absolute() or ".." in Path(row["path"]).parts:
            raise DatasetError(f"{file}, line {line}: path {row['path']!r} is not inside {file.parent}.")
        camid = whole_number(row["camid"], "camid", file, line) if row.get("camid") else UNKNOWN_CAMERA
        frame = whole_number(row["frame"], "frame", file, line) if row.get("frame") else None
        path = file.parent / row["path"]
        samples.append(
            Sample(path, numbers[row["pid"]], camid, "train", "people", frame, attributes_of(row, file, line))
        )
    lost = [sample.path.name for sample in samples if not sample.path.is_file()]
    if len(lost) == len(samples):
        raise DatasetError(f"{file}: none of its {len(samples):,} pictures exists; the first is {samples[0].path}.")
    dataset = Dataset("people", file.stem, file.parent, train=tuple(s for s in samples if s.path.is_file()))
    return add_notes(dataset, [f"{len(lost):,} pictures do not exist: {some(lost)}"] if lost else [])


def split(everyone: Dataset, *, test: float = 0.5, cameras: Cameras = "file", seed: int = 0) -> Dataset:
    """Persons, not pictures, go to train or test; of a test person one picture per camera is asked for.

    test     fraction of the persons to test on; those of them nobody can be asked about stay gallery only
    cameras  "ignore" declares cameras unknown: any other picture of a person is then a match
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
            f"{everyone.root}: none of the {number} test persons is seen by two cameras: nobody could be found again. "
            f"If cameras are not known, declare it with --cameras ignore."
        )
    train = tuple(sample for sample in everyone.train if sample.pid > 0 and sample.pid not in tested)
    parted = with_splits(everyone, {"train": train, "query": query, "gallery": gallery})
    rule = "any camera" if cameras == "ignore" else "cross camera"
    parted = replace(parted, version=f"{everyone.version}, split {test:g}, {rule}, seed {seed}")
    return add_notes(parted, [f"split by person: {number} of {len(people)} to test on, {rule} rule, seed {seed}"])
