"""Which form of which data set a folder holds, and whether the root is a level too high or too deep."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from resight.data.datasets import cuhk03, dukemtmcreid, market1501, msmt17, synergyreid
from resight.data.formats.csv_rows import columns_of
from resight.data.formats.csv_table import tables_in
from resight.data.formats.filenames import IMAGE_SUFFIXES, first_few, list_pictures
from resight.data.formats.split_folders import FOLDERS, MARKET
from resight.data.formats.unsplit import CAMERA
from resight.errors import DatasetError, printable

ENOUGH = 1000  # training pictures; fewer in Market-1501's names are somebody's own set
UNSPLIT = ("people", "flat", "table")  # forms that are not read but split
SEVERAL = 2  # folders of pictures; one is no folder per person
DEEP = 3  # levels below a root that are searched
FEW = 20  # folders beside each other; more are persons, and are not searched further
PARTS = {*FOLDERS.values(), "train", "test", "gallery", "mask_train_v2", "mask_test_v2", "reid_training", "reid_test"}
NAMES = {  # as the field's sets have them, and the reader of each
    MARKET.example: f"market, {MARKET.pattern}",
    dukemtmcreid.GRAMMAR.example: f"dukemtmcreid, {dukemtmcreid.GRAMMAR.pattern}",
    msmt17.EXAMPLE: f"msmt17, {msmt17.PATTERN}",
    cuhk03.EXAMPLE: f"cuhk03, {cuhk03.PATTERN}",
    synergyreid.GRAMMAR.example: f"synergyreid, {synergyreid.GRAMMAR.pattern}",
}


@dataclass(frozen=True)
class DetectedFormat:
    """A reader's name, the root to give it, and the options that follow from what lies there."""

    name: str
    root: Path
    why: str
    options: Mapping[str, object] = field(default_factory=dict)

    @property
    def is_split(self) -> bool:
        """Whether it can be read; else `resight data split` comes first."""
        return self.name not in UNSPLIT


def detect_format(root: Path) -> DetectedFormat:
    """The form of `root`, of the folder around it or of one inside it; DatasetError that says what lies there."""
    root = root.expanduser()
    if not root.exists():
        raise DatasetError(f"{root} does not exist. Name the folder that holds the data set.")
    if root.is_file():
        if root.suffix.lower() == ".csv":
            return _table(root) or DetectedFormat("csv", root, "a CSV file")
        raise DatasetError(
            f"{root} is a file that is no table. Name the folder that holds the data set, or a CSV file."
        )
    return _named(root) or _near(root) or _unsplit(root)


def _named(root: Path) -> DetectedFormat | None:
    """The form of this very folder."""
    if all((root / folder).is_dir() for folder in FOLDERS.values()):
        return _market_like(root)
    if any((root / outer).is_dir() for outer, _, _ in msmt17.FORMS.values()) or _is_msmt17(root):
        return DetectedFormat("msmt17", root, "MSMT17's folders and lists")
    if (root / synergyreid.FOLDERS["train"]).is_dir():
        return DetectedFormat("synergyreid", root, "SynergyReID's folders")
    if (root / "list_train.txt").is_file():
        return DetectedFormat("list", root, "text lists")
    if (root / "train").is_dir() and _folders(root / "train"):
        return DetectedFormat("folder", root, "a folder per person in train")
    return _cuhk03(root) or _tables(root)


def _is_msmt17(root: Path) -> bool:
    if (root / "mask_train_v2").is_dir():
        return True
    file = root / "list_train.txt"
    first = file.read_text("utf-8", errors="replace").split("\n", 1)[0] if file.is_file() else ""
    return msmt17.NAME.fullmatch(Path(first.split(" ")[0]).name) is not None


def _cuhk03(root: Path) -> DetectedFormat | None:
    """The release, with or without the new protocol's files, or the repack; with one kind of boxes, those."""
    kinds = [
        boxes
        for boxes in cuhk03.COUNTS
        if (root / cuhk03.CONFIG.format(boxes)).is_file() or (root / boxes / FOLDERS["train"]).is_dir()
    ]
    if not kinds and not (root / cuhk03.RAW).is_file():
        return None
    return DetectedFormat(
        "cuhk03", root, "CUHK03's release or its repack", {"boxes": kinds[0]} if len(kinds) == 1 else {}
    )


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


def _market_like(root: Path) -> DetectedFormat:
    names = {folder: [path.name for path in list_pictures(root / folder, root).pictures] for folder in FOLDERS.values()}
    train = names[FOLDERS["train"]]
    if any(dukemtmcreid.GRAMMAR.read(name) for name in train[:20]):
        return DetectedFormat("dukemtmcreid", root, "DukeMTMC-reID's names")
    for folder, found in names.items():
        if found and not any(MARKET.read(name) for name in found):
            raise DatasetError(
                f"{root} has Market-1501's folders, but none of the {len(found):,} names in {folder} is "
                f"{MARKET.pattern}; the first is {found[0]}. {_nearest(found[0])}"
            )
    where = root.resolve()
    if where.name in cuhk03.COUNTS and "cuhk03" in where.parent.name.lower():
        return DetectedFormat("cuhk03", root, "CUHK03's repacked folders", {"boxes": where.name})
    if where.name == "pku-reid-mini":
        return DetectedFormat("pku_reid_mini", root, "its name")
    if len(train) >= ENOUGH and all(market1501.GRAMMAR.read(name) for name in train[:20]):
        return DetectedFormat("market1501", root, "Market-1501's names and size")
    return DetectedFormat("market", root, "Market-1501's layout")


def _nearest(name: str) -> str:
    """Which of the known ways to name pictures this name is most like."""
    shapes = {_shape(example): said for example, said in NAMES.items()}
    near = difflib.get_close_matches(_shape(name), shapes, n=1)
    guess = f"Nearest is the form {shapes[near[0]]}. " if near else ""
    return f"{guess}Rename them, or write a table with the columns path,pid,camid,split."


def _shape(name: str) -> str:
    return re.sub(r"\d+", "0", name)


def _near(root: Path) -> DetectedFormat | None:
    """The form of a folder some levels down or one up, the root moved there."""
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
    """The forms of the folders in `root`, and of those further down where they have none."""
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
    """People or pictures without splits; else an error that says what there is."""
    halves = [folder for folder in FOLDERS.values() if (root / folder).is_dir()]
    if FOLDERS["train"] in halves or FOLDERS["gallery"] in halves:
        missing = [folder for folder in FOLDERS.values() if folder not in halves]
        raise DatasetError(
            f"{root} holds {' and '.join(halves)}, and lacks {' and '.join(missing)}. Unpack the data set again; "
            f"a set without queries can be read as the form folder or csv."
        )
    listing = list_pictures(root, root, recursive=True)
    if not listing.pictures:
        raise DatasetError(_nothing(root, listing.others))
    people = sorted({path.relative_to(root).parts[0] for path in listing.pictures if path.parent != root})
    loose = any(path.parent == root for path in listing.pictures)
    if loose or len(people) < SEVERAL or all(CAMERA.fullmatch(name) for name in people):
        return DetectedFormat("flat", root, f"{len(listing.pictures):,} pictures without splits")
    return DetectedFormat("people", root, f"{len(people):,} folders of pictures, no splits")


def _nothing(root: Path, files: tuple[Path, ...]) -> str:
    if not files:
        return f"{root} holds no picture and no table. Name the folder that holds the data set."
    kinds = first_few(sorted({path.suffix or "no ending" for path in files}), 5)
    return (
        f"{root} holds {len(files):,} files ({kinds}) and no picture. "
        f"Pictures end in {', '.join(sorted(IMAGE_SUFFIXES))}; name the folder that holds them, or a CSV file."
    )


def _folders(root: Path) -> list[Path]:
    return sorted(child for child in root.iterdir() if child.is_dir() and not child.name.startswith("."))
