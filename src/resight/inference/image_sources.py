"""Samples from what a user names: a picture, a folder of pictures, a CSV file or a text list."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from resight.data.dataset_ops import number_persons
from resight.data.formats.cameras_csv import CameraFinder
from resight.data.formats.csv_rows import rows_of, whole_number, without_point_zero
from resight.data.formats.filenames import left_out, list_pictures, no_pictures
from resight.errors import DatasetError, NotFoundError
from resight.files import read_text
from resight.types import DISTRACTOR, UNKNOWN_CAMERA, UNKNOWN_PID, Sample

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

log = logging.getLogger("resight.data")


def find(
    source: Path, images: Path | None = None, say: Callable[[str], None] = log.warning
) -> tuple[list[Sample], Path]:
    """Find the pictures a user named.

    Args:
        source: a picture; a folder, searched to the bottom without hidden files; a CSV file with a column `path` (and
            `pid`, `camid`, `frame` if known); or a text list (.txt, .lst) with a path a line.
        images: the folder that paths of a table or list are relative to; default its own.
        say: called with a sentence for each kind of file that was left out.

    Returns:
        Samples, and the folder they are relative to.  pid and camid are known only where a CSV gives them.  Persons
        are numbered as the reader of the data set `csv` numbers them.

    Raises:
        NotFoundError: `source` does not exist.
        DatasetError: it names no pictures, or a table is malformed.
    """
    if source.is_dir():
        listing = list_pictures(source, source, recursive=True)
        for note in left_out(listing, (), source, ""):
            say(note)
        if not listing.pictures:
            raise DatasetError(no_pictures(listing, source))
        return _of_paths(listing.pictures, source), source
    if not source.exists():
        raise NotFoundError(f"there is no {source}; give a picture, a folder of pictures, a .csv or a .txt list.")
    base = source.parent if images is None else images
    if source.suffix.lower() == ".csv":
        return _of_csv(source, base), base
    if source.suffix.lower() in (".txt", ".lst"):
        lines = [line.strip() for line in read_text(source).splitlines()]
        paths = [base / line for line in lines if line]
        _refuse_twice(list(enumerate(paths, start=1)), source)
        return _of_paths(paths, source), base
    return _of_paths([source], source), source.parent


def _of_paths(paths: Sequence[Path], source: Path) -> list[Sample]:
    if not paths:
        raise DatasetError(f"{source} names no picture. Write one path a line.")
    return [_sample(path) for path in paths]


def _of_csv(source: Path, base: Path) -> list[Sample]:
    rows = rows_of(source, ["path"], "path, perhaps pid and camid")
    _refuse_twice([(line, base / row["path"]) for line, row in rows], source)
    named = [row for _, row in rows if row.get("pid") and row.get("split") != "distractor"]
    people = number_persons(without_point_zero(row["pid"]) for row in named)

    def pid_of(row: dict[str, str]) -> int:
        if row.get("split") == "distractor":
            return DISTRACTOR
        return people[without_point_zero(row["pid"])] if row.get("pid") else UNKNOWN_PID

    return [
        _sample(
            base / row["path"],
            pid_of(row),
            whole_number(row["camid"], "camid", source, line, -1) if row.get("camid") else UNKNOWN_CAMERA,
            whole_number(row["frame"], "frame", source, line) if row.get("frame") else None,
        )
        for line, row in rows
    ]


def _refuse_twice(rows: Sequence[tuple[int, Path]], source: Path) -> None:
    """DatasetError for a picture that is listed twice, as the reader of the data set `csv` says it."""
    first: dict[Path, int] = {}
    for line, path in rows:
        if first.setdefault(path, line) != line:
            raise DatasetError(
                f"{source}, line {line}: {path.name} is already in line {first[path]}. Remove one of the two."
            )


def _sample(path: Path, pid: int = UNKNOWN_PID, camid: int = UNKNOWN_CAMERA, frame: int | None = None) -> Sample:
    return Sample(path, pid, camid, "gallery", "pictures", frame)


def with_cameras(samples: Sequence[Sample], root: Path, pattern: str | None = None) -> list[Sample]:
    r"""The same samples with the cameras and frames that file names or a `cameras.csv` in `root` tell.

    Args:
        samples: what `find` gave; a camera or frame that is known already stays.
        root: the folder they are relative to.
        pattern: a regular expression searched in the file name, its first group the camera, as in "_c(\d+)".
    """
    finder = CameraFinder(root, pattern)
    known = []
    for sample in samples:
        camid = finder(sample.path) if sample.camid == UNKNOWN_CAMERA else sample.camid
        known.append(
            replace(sample, camid=camid, frame=sample.frame if sample.frame is not None else finder.frame(sample.path))
        )
    return known
