"""From what a user names (a picture, a folder, a CSV, a list) to samples."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

from resight.errors import DatasetError, UsageError
from resight.types import UNKNOWN_CAMERA, Sample

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
    with source.open(newline="", encoding="utf-8-sig") as handle:
        reader = csv.DictReader(handle)
        if "path" not in (reader.fieldnames or []):
            raise DatasetError(
                f"{source} has the columns {', '.join(reader.fieldnames or [])}; one called 'path' is needed."
            )
        rows = list(reader)
    return [
        _sample(
            source.parent / row["path"],
            _number(source, row, "pid", UNKNOWN_PID),
            _number(source, row, "camid", UNKNOWN_CAMERA),
        )
        for row in rows
    ]


def _number(source: Path, row: dict[str, str], column: str, default: int) -> int:
    text = (row.get(column) or "").strip()
    try:
        return int(text) if text else default
    except ValueError as error:
        raise DatasetError(f"{source}: {column} of {row['path']} is {text!r}, expected a whole number.") from error


def _sample(path: Path, pid: int = UNKNOWN_PID, camid: int = UNKNOWN_CAMERA) -> Sample:
    return Sample(path, pid, camid, "gallery", "pictures")
