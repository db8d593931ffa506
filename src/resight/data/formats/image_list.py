"""Text lists in MSMT17's style: `list_train.txt`, `list_query.txt`, `list_gallery.txt`, one picture per line.

A line is `path pid` or `path pid camid`, parted by single spaces; the path is relative to the root, or to its
folder `train` or `test`.
"""

from __future__ import annotations

from pathlib import Path

from resight.data.dataset import Dataset
from resight.data.dataset_ops import Cameras, shift_pid_zero, use_cameras, with_splits, without_junk
from resight.data.entry import DatasetEntry, Detection
from resight.data.formats.attributes_csv import with_sidecar
from resight.data.formats.cameras_csv import CameraFinder
from resight.data.formats.csv_rows import NUMBER, bare_number
from resight.data.formats.filenames import find_root, first_few, is_file, leaves_root
from resight.data.splits import AutoQuery, choose_missing_queries
from resight.errors import DatasetError
from resight.files import read_text
from resight.types import Sample, Split

LISTS: dict[Split, tuple[str, ...]] = {
    "train": ("list_train.txt", "list_val.txt"),
    "query": ("list_query.txt",),
    "gallery": ("list_gallery.txt",),
}


def read(
    root: Path,
    *,
    camera: str | None = None,
    cameras: Cameras = "file",
    auto_query: AutoQuery = "one_per_id_cam",
    seed: int = 0,
    keep_junk: bool = False,
) -> Dataset:
    r"""Read text lists.

    Args:
        root: the folder with the lists; list_train.txt may be missing.
        camera: a regular expression whose first group finds the camera in the file name, as in "_c(\d+)", for lists
            without a third column; without it `cameras.csv` is read.
        cameras: "ignore" declares every camera unknown.
        auto_query: where there is no query, take one picture per person and camera out of the gallery, or "never".
        seed: of that choice.
        keep_junk: keep gallery pictures with pid -1.
    """
    tested = (root / LISTS["gallery"][0]).is_file()
    root = find_root("list", root, [LISTS["gallery"][0] if tested else LISTS["train"][0]])
    finder = CameraFinder(root, camera)
    splits: dict[Split, tuple[Sample, ...]] = {}
    notes: list[str] = []
    for split, names in LISTS.items():
        samples, lost = _read_lists(root, split, [root / name for name in names], finder)
        splits[split] = tuple(samples)
        notes += (
            [f"{split}: left out listed pictures that do not exist ({len(lost):,}): {first_few(lost)}"] if lost else []
        )
    if cameras != "ignore":
        notes += finder.notes()
    dataset = with_splits(Dataset("list", root.resolve().name, root, notes=tuple(notes)), splits)
    dataset = use_cameras(shift_pid_zero(with_sidecar(dataset)), cameras)
    return without_junk(choose_missing_queries(dataset, auto_query, seed), keep_junk)


def _read_lists(root: Path, split: Split, files: list[Path], finder: CameraFinder) -> tuple[list[Sample], list[str]]:
    """Samples of a split, and the listed names that are no picture under the root."""
    samples: list[Sample] = []
    lost: list[str] = []
    seen: set[Path] = set()
    for file in files:
        for name, pid, camid in lines_of(file) if file.is_file() else ():
            path = where(root, name, split)
            if path is None:
                lost.append(name)
                continue
            if path in seen:
                raise DatasetError(f"{file}: {name} stands in the lists of {split} twice. Remove one of the two lines.")
            seen.add(path)
            samples.append(Sample(path, pid, finder(path) if camid is None else camid, split, "list"))
    if lost and not samples:
        raise DatasetError(
            f"list: none of the {len(lost):,} pictures of {split} exists under {root}; the first is {lost[0]}. "
            f"Put the lists beside the pictures' folders."
        )
    return samples, lost


def lines_of(file: Path) -> list[tuple[str, int, int | None]]:
    """path, pid and perhaps camid of each line.

    Raises:
        DatasetError: a line is malformed or leaves the root; the message names it.
    """
    entries: list[tuple[str, int, int | None]] = []
    for number, line in enumerate(read_text(file).splitlines(), start=1):
        if not line.strip():
            continue
        name, *numbers = line.strip().split(" ")
        if len(numbers) not in (1, 2) or not all(NUMBER.fullmatch(n) and int(bare_number(n)) >= -1 for n in numbers):
            raise DatasetError(
                f"{file}, line {number}: {line.strip()[:80]!r}, expected `path pid` or `path pid camid` parted by a "
                f"space; a number of -1 is junk, or an unknown camera."
            )
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise DatasetError(f"{file}, line {number}: {name!r} leaves the root. Write paths relative to it.")
        pid, camid, *_ = [*(int(bare_number(n)) for n in numbers), None]
        assert pid is not None
        entries.append((name.replace("\\", "/"), pid, camid))
    return entries


def where(root: Path, name: str, split: Split) -> Path | None:
    """The picture a line names: under the root, or under its folder of that split; never a link out of it."""
    places = [folder / name for folder in (root, root / ("train" if split == "train" else "test"))]
    return next((place for place in places if is_file(place) and not leaves_root(place, root)), None)


def _detect(root: Path) -> Detection | None:
    found = any((root / names[0]).is_file() for names in LISTS.values())
    return Detection("text lists") if found else None


ENTRY = DatasetEntry(read, _detect)
