"""A folder per person: `train/0001/a.jpg`.  The camera from the file name, from `cameras.csv`, or unknown.

Persons may be numbers or words; words are numbered in sorted order over all splits, so one person keeps one
number.  In the gallery `distractor` and `junk` are nobody.  Queries that are missing are chosen (`auto_query`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from resight.data.attributes import with_sidecar
from resight.data.cameras import CameraFinder
from resight.data.dataset import SPLITS, Dataset
from resight.data.layout import Cameras, number_people, use_cameras, with_splits, without_junk
from resight.data.listing import find_root, left_out, list_pictures
from resight.data.splitting import AutoQuery, choose_missing_queries
from resight.errors import DatasetError
from resight.types import DISTRACTOR, JUNK, Sample, Split

if TYPE_CHECKING:
    from pathlib import Path

NOBODY = {"distractor": DISTRACTOR, "junk": JUNK}  # folders of pictures of nobody in particular


def read(
    root: Path,
    *,
    camera: str | None = None,
    cameras: Cameras = "file",
    auto_query: AutoQuery = "one_per_id_cam",
    seed: int = 0,
    keep_junk: bool = False,
) -> Dataset:
    r"""`train`, `query` and `gallery` (or `test`), each with a folder per person.

    camera      a regular expression whose first group finds the camera number in the file name, as in
                "c(\d+)"; without it `cameras.csv` (columns path, camid) is read, and without that cameras are
                unknown
    cameras     "ignore" declares every camera unknown
    auto_query  where there is no `query`, take one picture per person and camera out of the gallery
    """
    root = find_root("folder", root, ["train"])
    finder = CameraFinder(root, camera)
    gallery = "gallery" if (root / "gallery").is_dir() else "test"
    people = {s: f for s, f in zip(SPLITS, ("train", "query", gallery), strict=True) if (root / f).is_dir()}
    numbers = _number_people(root, list(people.values()))
    splits: dict[Split, tuple[Sample, ...]] = {}
    notes: list[str] = []
    for split, folder in people.items():
        samples: list[Sample] = []
        for person in _children(root / folder):
            listing = list_pictures(person, root, recursive=True)
            samples += [
                Sample(path, numbers[person.name], finder(path), split, "folder", finder.frame(path))
                for path in listing.pictures
            ]
            notes += left_out(listing, (), person, "")
        splits[split] = tuple(samples)
    dataset = with_sidecar(with_splits(Dataset("folder", root.resolve().name, root, notes=tuple(notes)), splits))
    dataset = choose_missing_queries(use_cameras(dataset, cameras), auto_query, seed)
    return dataset if keep_junk else without_junk(dataset)


def _children(folder: Path) -> list[Path]:
    return sorted(child for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))


def _number_people(root: Path, folders: list[str]) -> dict[str, int]:
    names = sorted({person.name for folder in folders for person in _children(root / folder)})
    if not names:
        raise DatasetError(
            f"folder: {root} has no folder per person in {' or '.join(folders)}. Expected train/PERSON/picture.jpg."
        )
    return {**number_people(set(names) - NOBODY.keys()), **NOBODY}
