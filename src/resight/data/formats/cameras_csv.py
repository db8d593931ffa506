"""Cameras of pictures: from the file name, from `cameras.csv`, or unknown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from resight.data.formats.csv_rows import rows_of, whole_number
from resight.data.formats.filenames import first_few
from resight.data.formats.side_table import SideTable
from resight.errors import DatasetError, UsageError
from resight.types import UNKNOWN_CAMERA

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SIDECAR = "cameras.csv"  # columns path (relative to the root), camid and perhaps frame


class CameraFinder:
    r"""path -> camid.

    Args:
        root: the data set's root; `cameras.csv` is read there where no pattern is given.
        pattern: a regular expression searched in the base name, its first group the camera number, as in "_c(\d+)".

    A picture that neither knows has an unknown camera; `notes` counts them, once all pictures were looked up.
    """

    def __init__(self, root: Path, pattern: str | None) -> None:
        self.pattern = _compile(str(pattern)) if pattern is not None else None
        sidecar = root / SIDECAR
        self.table: SideTable[tuple[int | None, int | None]] | None = None
        if self.pattern is None and sidecar.is_file():
            rows = rows_of(sidecar, ("path", "camid"), "path,camid")
            self.table = SideTable(
                sidecar, root, ((line, row["path"], _cells(row, sidecar, line)) for line, row in rows)
            )
        self._asked = 0
        self._unmatched: list[Path] = []

    def __call__(self, path: Path) -> int:
        """The camera of a picture, UNKNOWN_CAMERA where nothing tells it."""
        self._asked += 1
        camid = self._by_table(path) if self.pattern is None else self._by_name(path)
        return UNKNOWN_CAMERA if camid is None else camid

    def frame(self, path: Path) -> int | None:
        """The frame that `cameras.csv` gives, if any."""
        row = self.table.get(path) if self.table is not None else None
        return row[1] if row is not None else None

    def notes(self) -> list[str]:
        """Pictures whose camera was not found, counted and named.

        Raises:
            DatasetError: a pattern, or a table with rows, says the camera of no picture at all.
        """
        if self.table is not None:
            return self.table.check_matches(self._unmatched, self._asked)
        if self.pattern is None or not self._unmatched:
            return []
        names = [path.name for path in self._unmatched]
        if len(names) == self._asked:
            raise DatasetError(
                f"camera={self.pattern.pattern!r} matches none of the {len(names):,} names, as {first_few(names)}. "
                f"Correct the expression, or leave it out if the names do not tell the camera."
            )
        return [f"camera unknown: {self.pattern.pattern!r} does not match ({len(names):,}): {first_few(names)}"]

    def _by_table(self, path: Path) -> int | None:
        if self.table is None:
            return None
        row = self.table.get(path)
        if row is None:
            self._unmatched.append(path)
        return row[0] if row is not None else None

    def _by_name(self, path: Path) -> int | None:
        assert self.pattern is not None
        found = self.pattern.search(path.name)
        if found is None or found[1] is None:
            self._unmatched.append(path)
            return None
        if not found[1].isdecimal():
            raise UsageError(
                f"camera={self.pattern.pattern!r} finds {found[1]!r} in {path.name}, which is not a number. "
                rf"Let the group catch the digits only, as in '_c(\d+)'."
            )
        return int(found[1])


def _cells(row: Mapping[str, str], file: Path, line: int) -> tuple[int | None, int | None]:
    """camid and frame of a row, None where the cell is empty."""
    camid = whole_number(row["camid"], "camid", file, line, UNKNOWN_CAMERA) if row["camid"] else None
    frame = whole_number(row["frame"], "frame", file, line) if row.get("frame") else None
    return camid, frame


def _compile(pattern: str) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern, re.ASCII)
    except re.error as broken:
        raise UsageError(f"camera={pattern!r} is not a regular expression: {broken}.") from broken
    if not compiled.groups:
        raise UsageError(rf"camera={pattern!r} has no group; put the number in parentheses, as in '_c(\d+)'.")
    return compiled
