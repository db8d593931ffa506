"""Detection of the data set or format a folder holds, and of a root that is a level too high or too deep."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from resight.data import DATASETS
from resight.data.formats.csv_rows import columns_of
from resight.data.formats.csv_table import tables_in
from resight.data.formats.filenames import first_few, list_pictures, no_pictures
from resight.data.formats.split_folders import FOLDERS, MARKET, has_test_folders
from resight.data.formats.unsplit import CAMERA
from resight.errors import DatasetError, DatasetNotFoundError, printable

UNSPLIT = ("people", "flat", "table")  # formats that have to be split before they are read
SEVERAL = 2  # folders of pictures; one is no folder per person
DEEP = 3  # levels below a root that are searched
FEW = 20  # folders beside each other; more are persons, and are not searched further
PARTS = {*FOLDERS.values(), "train", "test", "gallery", "mask_train_v2", "mask_test_v2", "reid_training", "reid_test"}


@dataclass(frozen=True)
class DetectedFormat:
    """What a folder holds.

    Attributes:
        name: the reader's name, or one of UNSPLIT.
        root: the folder or file to give the reader.
        why: what it was recognized by.
        options: reader options that follow from what lies there.
    """

    name: str
    root: Path
    why: str
    options: Mapping[str, object] = field(default_factory=dict)

    @property
    def is_split(self) -> bool:
        """Whether it can be read; else `resight data split` comes first."""
        return self.name not in UNSPLIT


def detect_format(root: Path) -> DetectedFormat:
    """Detect the format of `root`, of the folder around it, or of one inside it.

    Raises:
        DatasetNotFoundError: `root` does not exist.
        DatasetError: it holds no data set, or several; the message says what is there.
    """
    root = root.expanduser()
    if not root.exists():
        raise DatasetNotFoundError(f"{root} does not exist. Name the folder that holds the data set.")
    if root.is_file():
        if root.suffix.lower() == ".csv":
            return _table(root) or DetectedFormat("csv", root, "a CSV file")
        raise DatasetError(
            f"{root} is a file that is no table. Name the folder that holds the data set, or a CSV file."
        )
    return _named(root) or _near(root) or _unsplit(root)


def _named(root: Path) -> DetectedFormat | None:
    """The format of this very folder: named data sets come before the formats they are laid out in."""
    _refuse_other_names(root)
    for name in sorted(DATASETS, key=lambda name: not DATASETS[name].counts):
        detect = DATASETS[name].detect
        found = detect(root) if detect is not None else None
        if found is not None:
            return DetectedFormat(name, root, found.why, found.options)
    return _tables(root)


def _tables(root: Path) -> DetectedFormat | None:
    """The one table of a folder, one with splits before one without."""
    tables = [form for file in tables_in(root) if (form := _table(file)) is not None]
    chosen = [form for form in tables if form.is_split] or tables
    if len(chosen) > 1:
        return DetectedFormat("csv", root, "several tables")
    return chosen[0] if chosen else None


def _table(file: Path) -> DetectedFormat | None:
    """A CSV file of pictures and persons, with splits or without."""
    columns = columns_of(file)
    if not {"path", "pid"} <= set(columns):
        return None
    if "split" in columns:
        return DetectedFormat("csv", file, f"the table {printable(file.name)}")
    return DetectedFormat("table", file, "a table without the column split")


def _refuse_other_names(root: Path) -> None:
    """DatasetError for Market-1501's folders with names in no known pattern."""
    if not has_test_folders(root):
        return
    readers = [DATASETS["market"].example, *(entry.example for entry in DATASETS.values() if entry.counts)]
    shapes = {_shape(example) for example in readers if example}
    for folder in FOLDERS.values():
        found = [path.name for path in list_pictures(root / folder, root).pictures] if (root / folder).is_dir() else []
        if found and not any(MARKET.read(name) or _shape(name) in shapes for name in found):
            raise DatasetError(
                f"{root} has Market-1501's folders, but none of the {len(found):,} names in {folder} is "
                f"{MARKET.pattern}; the first is {found[0]}. {_nearest(found[0])}"
            )


def _nearest(name: str) -> str:
    """The known naming rule that a name is most like, and what to do."""
    named_first = sorted(DATASETS.items(), key=lambda row: not row[1].counts)  # a format replaces a set in its names
    shapes = {_shape(e.example): f"{reader}, {e.pattern}" for reader, e in named_first if e.example}
    near = difflib.get_close_matches(_shape(name), shapes, n=1)
    guess = f"Nearest is the format {shapes[near[0]]}. " if near else ""
    return f"{guess}Rename them, or write a table with the columns path,pid,camid,split."


def _shape(name: str) -> str:
    return re.sub(r"\d+", "0", name)


def _near(root: Path) -> DetectedFormat | None:
    """The format of a folder some levels down or one up, with the root moved there."""
    inside = _inside(root, 1)
    if len(inside) > 1:
        found = first_few([f"{form.root.relative_to(root)} ({form.name})" for form in inside], 5)
        raise DatasetError(f"{root} holds several data sets: {found}. Name one of them.")
    if inside:
        return inside[0]
    where = root.resolve()
    around = _named(where.parent) if where.name in PARTS else None
    return around and DetectedFormat(around.name, around.root, f"{around.why}, one level up", around.options)


def _inside(root: Path, level: int) -> list[DetectedFormat]:
    """The formats of the folders in `root`, and of those further down where they have none."""
    folders = _folders(root)
    found: list[DetectedFormat] = []
    for child in folders:
        form = _named(child)
        if form is not None:
            deep = "one level" if level == 1 else f"{level} levels"
            found.append(replace(form, why=f"{form.why}, {deep} down"))
        elif level < DEEP and len(folders) <= FEW and not child.is_symlink():
            found += _inside(child, level + 1)
    return found


def _unsplit(root: Path) -> DetectedFormat:
    """Pictures without splits, sorted into folders or not; else DatasetError that says what there is."""
    halves = [folder for folder in FOLDERS.values() if (root / folder).is_dir()]  # not a whole test, or detected above
    if FOLDERS["train"] in halves or FOLDERS["gallery"] in halves:
        missing = [folder for folder in FOLDERS.values() if folder not in halves]
        raise DatasetError(
            f"{root} holds {' and '.join(halves)}, and lacks {' and '.join(missing)}. Unpack the data set again; "
            f"a set without queries can be read in the format folder or csv."
        )
    listing = list_pictures(root, root, recursive=True)
    if not listing.pictures:
        raise DatasetError(no_pictures(listing, root))
    people = sorted({path.relative_to(root).parts[0] for path in listing.pictures if path.parent != root})
    loose = any(path.parent == root for path in listing.pictures)
    if loose or len(people) < SEVERAL or all(CAMERA.fullmatch(name) for name in people):
        return DetectedFormat("flat", root, f"{len(listing.pictures):,} pictures without splits")
    return DetectedFormat("people", root, f"{len(people):,} folders of pictures, no splits")


def _folders(root: Path) -> list[Path]:
    return sorted(child for child in root.iterdir() if child.is_dir() and not child.name.startswith("."))
