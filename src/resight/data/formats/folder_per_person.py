"""A folder per person, `train/0001/a.jpg`, with the camera from the file name, from `cameras.csv`, or unknown.

Persons may be numbers or words; words are numbered in sorted order over all splits, so that a person keeps one pid.
In the gallery `distractor` and `junk` are no persons.  Missing queries are chosen from the gallery (`auto_query`).
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from resight.data.dataset import Dataset
from resight.data.dataset_ops import (
    Cameras,
    number_person_folders,
    person_names,
    use_cameras,
    with_splits,
    without_junk,
)
from resight.data.entry import DatasetEntry, Detection
from resight.data.formats.attributes_csv import with_sidecar
from resight.data.formats.cameras_csv import CameraFinder
from resight.data.formats.filenames import find_root, left_out, list_pictures
from resight.data.splits import AutoQuery, choose_missing_queries
from resight.errors import DatasetError
from resight.types import DISTRACTOR, JUNK, Sample, Split

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def read(
    root: Path,
    *,
    camera: str | None = None,
    cameras: Cameras = "file",
    auto_query: AutoQuery = "one_per_id_cam",
    seed: int = 0,
    keep_junk: bool = False,
) -> Dataset:
    r"""Read `train`, `query` and `gallery` (or `test`), each with a folder per person.

    Args:
        root: the folder with the splits; `train` may be missing.
        camera: a regular expression whose first group finds the camera number in the file name, as in "c(\d+)";
            without it `cameras.csv` (columns path, camid) is read, and without that cameras are unknown.
        cameras: "ignore" declares every camera unknown.
        auto_query: where there is no `query`, take one picture per person and camera out of the gallery, or "never".
        seed: of that choice.
        keep_junk: keep pictures of the gallery's folder `junk`.
    """
    tested = next((name for name in ("gallery", "test") if (root / name).is_dir()), "train")
    root = find_root("folder", root, [tested])
    finder = CameraFinder(root, camera)
    splits, notes, numbers = _read_folders(root, finder)
    if cameras != "ignore":
        notes += finder.notes()
    dataset = with_splits(
        Dataset("folder", root.resolve().name, root, notes=tuple(notes), people=person_names(numbers)), splits
    )
    dataset = with_sidecar(dataset, numbers)
    dataset = choose_missing_queries(use_cameras(dataset, cameras), auto_query, seed)
    return without_junk(dataset, keep_junk)


def _read_folders(
    root: Path, finder: CameraFinder
) -> tuple[dict[Split, tuple[Sample, ...]], list[str], dict[str, int]]:
    """Samples of each split, notes, and the pid of each name."""
    gallery = "gallery" if (root / "gallery").is_dir() else "test"
    folders: dict[Split, Path] = {"train": root / "train", "query": root / "query", "gallery": root / gallery}
    listings = {s: list_pictures(folder, root, recursive=True) for s, folder in folders.items() if folder.is_dir()}
    people = {split: by_person(listing.pictures, folders[split]) for split, listing in listings.items()}
    loose = {split: named.pop("", []) for split, named in people.items()}
    if not any(people.values()):
        there = "".join(
            f" {note}." for split, found in listings.items() for note in left_out(found, (), folders[split], "")
        )
        raise DatasetError(
            f"folder: {root} has no folder per person in {' or '.join(folders[split].name for split in listings)}. "
            f"Expected train/PERSON/picture.jpg.{there}"
        )
    numbers = number_person_folders(name for named in people.values() for name in named)
    splits = {
        split: tuple(
            Sample(path, _pid(numbers[name], split), finder(path), split, "folder", finder.frame(path))
            for name, paths in named.items()
            for path in paths
        )
        for split, named in people.items()
    }
    reason = "pictures in no person's folder"
    notes = [note for s, found in listings.items() for note in left_out(found, loose[s], folders[s], reason)]
    return splits, notes, numbers


def by_person(pictures: Iterable[Path], folder: Path) -> dict[str, list[Path]]:
    """Pictures by the name of the folder of `folder` they are in, however deep; those in none under ""."""
    people: dict[str, list[Path]] = defaultdict(list)
    for path in pictures:
        *folders, _ = path.relative_to(folder).parts
        people[folders[0] if folders else ""].append(path)
    return dict(people)


def _pid(number: int, split: Split) -> int:
    """A distractor outside the gallery is junk: it neither trains nor is a query."""
    return JUNK if number == DISTRACTOR and split != "gallery" else number


def _detect(root: Path) -> Detection | None:
    for split in ("train", "gallery", "test"):
        place = root / split
        if place.is_dir() and any(child.is_dir() and child.name[0] != "." for child in place.iterdir()):
            return Detection(f"a folder per person in {split}")
    return None


ENTRY = DatasetEntry(read, _detect)
