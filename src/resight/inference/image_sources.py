"""From what a user names (a picture, a folder, a CSV, a list) to samples."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from resight.errors import DatasetError, UsageError
from resight.types import DISTRACTOR, UNKNOWN_CAMERA, Sample

if TYPE_CHECKING:
    from collections.abc import Sequence

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
UNKNOWN_PID = -2


def find(source: Path) -> tuple[list[Sample], Path]:
    """Samples and the root they are relative to.  pid and camid are known only where a CSV tells them."""
    if source.is_dir():
        return _of_paths(sorted(p for p in source.rglob("*") if p.suffix.lower() in SUFFIXES), source), source
    if not source.exists():
        raise UsageError(f"there is no {source}; give a picture, a folder of pictures, a .csv or a .txt list.")
    if source.suffix.lower() == ".csv":
        return _of_csv(source), source.parent
    if source.suffix.lower() in (".txt", ".lst"):
        lines = [line.strip() for line in source.read_text(encoding="utf-8").splitlines()]
        return _of_paths([source.parent / line for line in lines if line], source), source.parent
    return _of_paths([source], source), source.parent


def _of_paths(paths: Sequence[Path], source: Path) -> list[Sample]:
    if not paths:
        raise DatasetError(f"{source} holds no pictures; the endings known are {', '.join(sorted(SUFFIXES))}.")
    return [_sample(path) for path in paths]


def _of_csv(source: Path) -> list[Sample]:
    """Persons who are words are numbered as the reader of the data set numbers them."""
    from resight.data.dataset_ops import number_persons
    from resight.data.formats.csv_rows import NUMBER, rows_of, whole_number

    rows = rows_of(source, ["path"], "path, perhaps pid and camid")
    named = {row["pid"] for _, row in rows if row.get("pid") and row.get("split") != "distractor"}
    words = not all(map(NUMBER.fullmatch, named))
    people = number_persons(named) if words else {name: int(name) for name in named}
    return [
        _sample(
            source.parent / row["path"],
            people.get(row["pid"], DISTRACTOR) if row.get("pid") else UNKNOWN_PID,
            whole_number(row["camid"], "camid", source, line, -1) if row.get("camid") else UNKNOWN_CAMERA,
        )
        for line, row in rows
    ]


def _sample(path: Path, pid: int = UNKNOWN_PID, camid: int = UNKNOWN_CAMERA) -> Sample:
    return Sample(path, pid, camid, "gallery", "pictures")
