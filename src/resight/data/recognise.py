"""Which form of which data set a folder holds, and whether the root is a level too high or too deep."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from resight.data import cuhk03, dukemtmcreid, market1501, msmt17, synergyreid
from resight.data.attributes import SIDECAR
from resight.data.cameras import SIDECAR as CAMERAS
from resight.data.layout import FOLDERS
from resight.data.listing import NEVER_MIND, PICTURES, list_pictures, some
from resight.errors import DatasetError

ENOUGH = 1000  # training pictures; fewer in Market-1501's names are somebody's own set


@dataclass(frozen=True)
class Form:
    """A reader's name and the root to give it.  `people` and `flat` are not read but split."""

    name: str
    root: Path
    why: str


def recognise(root: Path) -> Form:
    """The form of `root`, of the folder around it or of one inside it; DatasetError that says what lies there."""
    root = root.expanduser()
    if not root.exists():
        raise DatasetError(f"{root} does not exist. Name the folder that holds the data set.")
    if root.is_file():
        if root.suffix.lower() == ".csv":
            return Form("csv", root, "a CSV file")
        raise DatasetError(
            f"{root} is a file that is no table. Name the folder that holds the data set, or a CSV file."
        )
    return _named(root) or _near(root) or _unsplit(root)


def _named(root: Path) -> Form | None:
    """The form of this very folder."""
    if all((root / folder).is_dir() for folder in FOLDERS.values()):
        return _market_like(root)
    if any((root / outer).is_dir() for outer, _, _ in msmt17.FORMS.values()) or _is_msmt17(root):
        return Form("msmt17", root, "MSMT17's folders and lists")
    names = ("cuhk-03.mat", "cuhk03_new_protocol_config_detected.mat", "cuhk03_new_protocol_config_labeled.mat")
    if any((root / name).is_file() for name in names) or (root / "detected" / FOLDERS["train"]).is_dir():
        return Form("cuhk03", root, "CUHK03's release or its repack")
    if (root / synergyreid.FOLDERS["train"]).is_dir():
        return Form("synergyreid", root, "SynergyReID's folders")
    if (root / "list_train.txt").is_file():
        return Form("list", root, "text lists")
    if (root / "train").is_dir() and any(child.is_dir() for child in (root / "train").iterdir()):
        return Form("folder", root, "a folder per person in train")
    tables = [file for file in root.glob("*.csv") if file.name not in (SIDECAR, CAMERAS)]
    if len(tables) == 1:
        return Form("csv", tables[0], f"the table {tables[0].name}")
    return None


def _is_msmt17(root: Path) -> bool:
    if (root / "mask_train_v2").is_dir():
        return True
    file = root / "list_train.txt"
    first = file.read_text("utf-8", errors="replace").split("\n", 1)[0] if file.is_file() else ""
    return msmt17.NAME.fullmatch(Path(first.split(" ")[0]).name) is not None


def _market_like(root: Path) -> Form:
    names = [path.name for path in list_pictures(root / FOLDERS["train"], root).pictures]
    if any(dukemtmcreid.GRAMMAR.read(name) for name in names[:20]):
        return Form("dukemtmcreid", root, "DukeMTMC-reID's names")
    where = root.resolve()
    if where.name in cuhk03.COUNTS and "cuhk03" in where.parent.name.lower():
        return Form("cuhk03", where.parent, "CUHK03's repacked folders")
    if where.name == "pku-reid-mini":
        return Form("pku_reid_mini", root, "its name")
    if len(names) >= ENOUGH and all(market1501.GRAMMAR.read(name) for name in names[:20]):
        return Form("market1501", root, "Market-1501's names and size")
    return Form("market", root, "Market-1501's layout")


def _near(root: Path) -> Form | None:
    """The form of a folder one level down or up, the root moved there."""
    inside = [form for child in _folders(root) if (form := _named(child)) is not None]
    if len(inside) > 1:
        found = some([f"{form.root.name} ({form.name})" for form in inside], 5)
        raise DatasetError(f"{root} holds several data sets: {found}. Name one of them.")
    if inside:
        return Form(inside[0].name, inside[0].root, f"{inside[0].why}, one level down in {inside[0].root.name}")
    where = root.resolve()
    parts = {
        *FOLDERS.values(),
        "train",
        "test",
        "gallery",
        "mask_train_v2",
        "mask_test_v2",
        "reid_training",
        "reid_test",
    }
    around = _named(where.parent) if where.name in parts else None
    return around and Form(around.name, around.root, f"{around.why}, one level up in {around.root}")


def _unsplit(root: Path) -> Form:
    """People or pictures without splits; else an error that says what there is."""
    people = [child for child in _folders(root) if any(path.suffix.lower() in PICTURES for path in child.iterdir())]
    if len(people) > 1:
        return Form("people", root, f"{len(people):,} folders of pictures, no splits")
    files = [path for path in sorted(root.iterdir()) if path.is_file() and path.name.lower() not in NEVER_MIND]
    if any(path.suffix.lower() in PICTURES for path in files):
        return Form("flat", root, "pictures without splits")
    if not files and not people:
        raise DatasetError(f"{root} holds no picture and no table. Name the folder that holds the data set.")
    kinds = sorted({path.suffix or "no ending" for path in files})
    raise DatasetError(
        f"{root} holds {len(files):,} files ({', '.join(kinds)}) and no picture. "
        f"Pictures end in {', '.join(sorted(PICTURES))}; name the folder that holds them, or a CSV file."
    )


def _folders(root: Path) -> list[Path]:
    return sorted(child for child in root.iterdir() if child.is_dir() and not child.name.startswith("."))
