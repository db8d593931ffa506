"""Text lists in MSMT17's style: `list_train.txt`, `list_query.txt`, `list_gallery.txt`, a picture and a pid a
line.

A line is `path pid` or `path pid camid`, parted by single spaces; the path is relative to the root, or to its
folder `train` or `test`.
"""

from __future__ import annotations

from pathlib import Path

from resight.data.attributes import with_sidecar
from resight.data.cameras import CameraFinder
from resight.data.dataset import Dataset, add_notes
from resight.data.layout import Cameras, use_cameras, with_splits, without_junk, zero_is_a_person
from resight.data.listing import find_root, some
from resight.data.splitting import AutoQuery, choose_missing_queries
from resight.errors import DatasetError
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
    r"""`root` holds the lists.

    camera  a regular expression whose first group finds the camera in the file name, as in "_c(\d+)", for
            lists without a third column
    """
    root = find_root("list", root, ["list_train.txt"])
    finder = CameraFinder(root, camera)
    dataset = Dataset("list", root.resolve().name, root)
    splits: dict[Split, tuple[Sample, ...]] = {}
    for split, names in LISTS.items():
        lines = [line for name in names if (root / name).is_file() for line in lines_of(root / name)]
        found = [(where(root, name, split), pid, camid) for name, pid, camid in lines]
        lost = [line[0] for line, (path, _, _) in zip(lines, found, strict=True) if path is None]
        splits[split] = tuple(
            Sample(path, pid, finder(path) if camid is None else camid, split, "list")
            for path, pid, camid in found
            if path is not None
        )
        if lost and not splits[split]:
            raise DatasetError(
                f"list: none of the {len(lost):,} pictures of {split} exists under {root}; the first is "
                f"{lost[0]}. Put the lists beside the pictures' folders."
            )
        if lost:
            dataset = add_notes(dataset, [f"{split}: {len(lost):,} listed pictures do not exist: {some(lost)}"])
    dataset = with_sidecar(zero_is_a_person(with_splits(dataset, splits)))
    dataset = use_cameras(choose_missing_queries(dataset, auto_query, seed), cameras)
    return dataset if keep_junk else without_junk(dataset)


def lines_of(file: Path) -> list[tuple[str, int, int | None]]:
    """path, pid and perhaps camid of each line; DatasetError that names the line which is none."""
    entries: list[tuple[str, int, int | None]] = []
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as broken:
        raise DatasetError(f"{file} is not a UTF-8 text file: {broken}.") from broken
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        name, *numbers = line.strip().split(" ")
        if len(numbers) not in (1, 2) or not all(n.removeprefix("-").isdecimal() for n in numbers):
            raise DatasetError(
                f"{file}, line {number}: {line.strip()!r}, expected `path pid` or `path pid camid` parted by a space."
            )
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise DatasetError(f"{file}, line {number}: {name!r} leaves the root. Write paths relative to it.")
        entries.append((name, int(numbers[0]), int(numbers[1]) if len(numbers) == 2 else None))
    return entries


def where(root: Path, name: str, split: Split) -> Path | None:
    """The picture a line names: under the root, or under its folder of that split."""
    folders = (root, root / "train") if split == "train" else (root, root / "test")
    return next((folder / name for folder in folders if (folder / name).is_file()), None)
