"""One CSV file as a data set: `path,pid,camid,split`, and perhaps `frame` and `attr.NAME` columns.

Split is train, query, gallery or distractor (a gallery picture of nobody in particular).  An empty camid is
an unknown camera.  Persons may be words; they are then numbered in sorted order.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from resight.data.dataset import SPLITS, Dataset
from resight.data.dataset_ops import Cameras, number_persons, person_names, use_cameras, with_splits, without_junk
from resight.data.entry import DatasetEntry
from resight.data.formats.attributes_csv import PREFIX, SIDECAR, attributes_of
from resight.data.formats.cameras_csv import SIDECAR as CAMERAS
from resight.data.formats.csv_rows import rows_of, whole_number, without_point_zero
from resight.data.formats.filenames import first_few, is_file, leaves_root
from resight.data.splits import AutoQuery, choose_missing_queries
from resight.errors import DatasetError, DatasetNotFoundError
from resight.types import DISTRACTOR, UNKNOWN_CAMERA, Sample, Split

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

NEEDED = ("path", "pid", "split")
COLUMNS = ("path", "pid", "camid", "split", "frame")


def read(
    root: Path,
    *,
    images: Path | str | None = None,
    cameras: Cameras = "file",
    auto_query: AutoQuery = "one_per_id_cam",
    seed: int = 0,
    keep_junk: bool = False,
) -> Dataset:
    """Read a CSV file.

    Args:
        root: the file, or a folder with one CSV file in it.
        images: the folder the paths are relative to; default the file's own.
        cameras: "ignore" declares every camera unknown.
        auto_query: where there is no query, take one picture per person and camera out of the gallery, or "never".
        seed: of that choice.
        keep_junk: keep gallery pictures with pid -1.
    """
    file = _the_file(root)
    base = Path(str(images)).expanduser() if images is not None else file.parent
    samples, notes, people = samples_of(file, base, "csv", NEEDED)
    splits: dict[Split, tuple[Sample, ...]] = {s: tuple(x for x in samples if x.split == s) for s in SPLITS}
    dataset = use_cameras(with_splits(Dataset("csv", file.stem, base, notes=notes, people=people), splits), cameras)
    dataset = choose_missing_queries(dataset, auto_query, seed)
    return without_junk(dataset, keep_junk)


def _the_file(root: Path) -> Path:
    if root.is_file():
        return root
    if not root.is_dir():
        raise DatasetNotFoundError(
            f"csv: {root} does not exist. Point the root at a CSV file with path,pid,camid,split."
        )
    files = tables_in(root)
    if len(files) != 1:
        found = first_few([file.name for file in files]) if files else "none"
        raise DatasetError(f"csv: expected one CSV file in {root}, found {found}. Point the root at the file itself.")
    return files[0]


def tables_in(folder: Path) -> list[Path]:
    """The CSV files of a folder, without the side tables of other formats."""
    return sorted(file for file in folder.glob("*.csv") if file.name not in (SIDECAR, CAMERAS))


def samples_of(
    file: Path, base: Path, name: str, needed: tuple[str, ...]
) -> tuple[list[Sample], tuple[str, ...], dict[int, str]]:
    """Read a table of pictures.

    Args:
        file: the table.
        base: the folder its paths are relative to.
        name: `Sample.dataset`.
        needed: columns it must have; without "split" among them all samples are train.

    Returns:
        Samples of the rows whose picture exists, notes on the others, and pid -> name of persons named by words.
    """
    rows = rows_of(file, needed, ",".join([*needed[:2], "camid", *needed[2:]]))
    notes = _unread(rows[0][1], file)
    people = number_persons(_pid(row, file, line) for line, row in rows if not _distracts(row))
    first: dict[Path, int] = {}
    samples = []
    for line, row in rows:
        path = _path(row["path"], base, file, line)
        if first.setdefault(path, line) != line:
            raise DatasetError(
                f"{file}, line {line}: {path.name} is already in line {first[path]}. "
                f"A picture belongs to one person and one split; remove one of the two rows."
            )
        split: Split = _split(row, file, line) if "split" in needed else "train"
        pid = DISTRACTOR if _distracts(row) else people[_pid(row, file, line)]
        camid = whole_number(row["camid"], "camid", file, line, -1) if row.get("camid") else UNKNOWN_CAMERA
        frame = whole_number(row["frame"], "frame", file, line) if row.get("frame") else None
        samples.append(Sample(path, pid, camid, split, name, frame, attributes_of(row, file, line)))
    kept, lost = _existing(samples, base, file)
    return kept, (*notes, *lost), person_names(people)


def _unread(columns: Iterable[str], file: Path) -> tuple[str, ...]:
    """A note on columns that are not read, such as `camera`: such a slip makes every camera unknown."""
    strange = [name for name in columns if name not in COLUMNS and not name.startswith(PREFIX)]
    note = (
        f"{file.name}: columns that are not read: {first_few(strange)}; those that are: {', '.join(COLUMNS)}, "
        f"{PREFIX}NAME"
    )
    return (note,) if strange else ()


def _distracts(row: Mapping[str, str]) -> bool:
    return row.get("split") == "distractor"


def _pid(row: Mapping[str, str], file: Path, line: int) -> str:
    if not row["pid"]:
        raise DatasetError(
            f"{file}, line {line}: pid is empty. Name the person; a picture of no known person has the split "
            f"distractor."
        )
    return without_point_zero(row["pid"])


def _path(name: str, base: Path, file: Path, line: int) -> Path:
    if "\\" in name and not is_file(base / name):  # written on Windows
        name = name.replace("\\", "/")
    if not name or Path(name).is_absolute() or ".." in Path(name).parts:
        raise DatasetError(
            f"{file}, line {line}: path {name!r} is not a path inside {base}. Write paths relative to that folder."
        )
    return base / name


def _split(row: Mapping[str, str], file: Path, line: int) -> Split:
    if _distracts(row):
        return "gallery"
    for split in SPLITS:
        if row["split"] == split:
            return split
    raise DatasetError(f"{file}, line {line}: split is {row['split']!r}, expected train, query, gallery or distractor.")


def _existing(samples: Iterable[Sample], base: Path, file: Path) -> tuple[list[Sample], tuple[str, ...]]:
    kept: list[Sample] = []
    lost: list[Path] = []
    outside: list[Path] = []
    for sample in samples:
        if not is_file(sample.path):
            lost.append(sample.path)
        elif leaves_root(sample.path, base):
            outside.append(sample.path)
        else:
            kept.append(sample)
    if not kept:
        raise DatasetError(
            f"{file}: none of its {len(lost) + len(outside):,} pictures exists in {base}; the first would be "
            f"{(lost + outside)[0]}. Name the folder the paths are relative to with images=."
        )
    reasons = [(lost, "pictures that do not exist"), (outside, f"links that leave {base}")]
    return kept, tuple(
        f"{file.name}: left out {reason} ({len(paths):,}): {first_few([path.name for path in paths])}"
        for paths, reason in reasons
        if paths
    )


ENTRY = DatasetEntry(read)
