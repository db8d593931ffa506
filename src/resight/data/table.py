"""A CSV file that says it all: `path,pid,camid,split`, and perhaps `frame` and `attr.NAME` columns.

Split is train, query, gallery or distractor (a gallery picture of nobody in particular).  An empty camid is
an unknown camera.  Persons may be words; they are then numbered in sorted order.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from resight.data.attributes import SIDECAR, attributes_of, rows_of, whole_number
from resight.data.cameras import SIDECAR as CAMERAS
from resight.data.dataset import SPLITS, Dataset, add_notes
from resight.data.layout import Cameras, number_people, use_cameras, with_splits, without_junk
from resight.data.listing import some
from resight.data.splitting import AutoQuery, choose_missing_queries
from resight.errors import DatasetError
from resight.types import DISTRACTOR, UNKNOWN_CAMERA, Sample, Split

if TYPE_CHECKING:
    from collections.abc import Mapping

NEEDED = ("path", "pid", "split")


def read(
    root: Path,
    *,
    images: Path | str | None = None,
    cameras: Cameras = "file",
    auto_query: AutoQuery = "one_per_id_cam",
    seed: int = 0,
    keep_junk: bool = False,
) -> Dataset:
    """`root` is the CSV file, or a folder with one CSV file in it.

    images  the folder the paths are relative to; the CSV's own where left out
    """
    file = _the_file(root)
    base = Path(images) if images is not None else file.parent
    rows = list(rows_of(file))
    if not rows:
        raise DatasetError(f"{file} has no rows. Expected a header path,pid,camid,split and a row per picture.")
    missing = [name for name in NEEDED if name not in rows[0][1]]
    if missing:
        raise DatasetError(
            f"{file} has no column {' or '.join(missing)}; it has {', '.join(rows[0][1])}. "
            f"Expected path,pid,camid,split."
        )
    people = number_people(row["pid"] for _, row in rows if not _distracts(row))
    samples = [_sample(row, file, line, base, people) for line, row in rows]
    _refuse_duplicates(file, [line for line, _ in rows], samples)
    dataset, kept = _keep_existing(Dataset("csv", file.stem, base), samples, file)
    splits: dict[Split, tuple[Sample, ...]] = {s: tuple(x for x in kept if x.split == s) for s in SPLITS}
    dataset = use_cameras(choose_missing_queries(with_splits(dataset, splits), auto_query, seed), cameras)
    return dataset if keep_junk else without_junk(dataset)


def _the_file(root: Path) -> Path:
    if root.is_file():
        return root
    if not root.is_dir():
        raise DatasetError(f"csv: {root} does not exist. Point the root at a CSV file with path,pid,camid,split.")
    files = sorted(file for file in root.glob("*.csv") if file.name not in (SIDECAR, CAMERAS))
    if len(files) != 1:
        found = some([file.name for file in files]) if files else "none"
        raise DatasetError(f"csv: expected one CSV file in {root}, found {found}. Point the root at the file itself.")
    return files[0]


def _distracts(row: Mapping[str, str]) -> bool:
    return row["split"] == "distractor"


def _sample(row: Mapping[str, str], file: Path, line: int, base: Path, people: Mapping[str, int]) -> Sample:
    name = row["path"]
    if not name or Path(name).is_absolute() or ".." in Path(name).parts:
        raise DatasetError(
            f"{file}, line {line}: path {name!r} is not a path inside {base}. Write paths relative to that folder."
        )
    split: Split
    if _distracts(row):
        split, pid = "gallery", DISTRACTOR
    elif row["split"] in SPLITS:
        split, pid = next(s for s in SPLITS if s == row["split"]), people[row["pid"]]
    else:
        raise DatasetError(
            f"{file}, line {line}: split is {row['split']!r}, expected train, query, gallery or distractor."
        )
    camid = whole_number(row["camid"], "camid", file, line) if row.get("camid") else UNKNOWN_CAMERA
    frame = whole_number(row["frame"], "frame", file, line) if row.get("frame") else None
    return Sample(base / name, pid, camid, split, "csv", frame, attributes_of(row, file, line))


def _refuse_duplicates(file: Path, lines: list[int], samples: list[Sample]) -> None:
    first: dict[Path, int] = {}
    for line, sample in zip(lines, samples, strict=True):
        if sample.path in first:
            raise DatasetError(
                f"{file}, line {line}: {sample.path.name} is already in line {first[sample.path]}. "
                f"A picture belongs to one person and one split; remove one of the two rows."
            )
        first[sample.path] = line


def _keep_existing(dataset: Dataset, samples: list[Sample], file: Path) -> tuple[Dataset, list[Sample]]:
    kept = [sample for sample in samples if sample.path.is_file()]
    if not kept:
        raise DatasetError(
            f"{file}: none of its {len(samples):,} pictures exists; the first would be {samples[0].path}. "
            f"Name the folder the paths are relative to with images=."
        )
    lost = [sample.path.name for sample in samples if not sample.path.is_file()]
    note = f"{len(lost):,} pictures of {file.name} do not exist: {some(lost)}"
    return add_notes(dataset, [note] if lost else []), kept
