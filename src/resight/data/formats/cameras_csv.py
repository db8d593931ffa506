"""Which camera saw a picture: the file name, a `cameras.csv`, or nobody knows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from resight.data.formats.csv_rows import rows_of, whole_number
from resight.errors import UsageError
from resight.types import UNKNOWN_CAMERA

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SIDECAR = "cameras.csv"  # columns path (relative to the root), camid and perhaps frame


class CameraFinder:
    r"""path -> camera.

    pattern  a regular expression searched in the base name, its first group the camera number, as in
             "_c(\d+)"; without one `cameras.csv` in the root is read.  A picture that neither knows has an
             unknown camera.
    """

    def __init__(self, root: Path, pattern: str | None) -> None:
        self.root = root
        self.pattern = _compile(str(pattern)) if pattern is not None else None
        sidecar = root / SIDECAR
        read = self.pattern is None and sidecar.is_file()
        self.table: dict[str, tuple[int | None, int | None]] = {
            row["path"]: (_cell(row, "camid", sidecar, line, UNKNOWN_CAMERA), _cell(row, "frame", sidecar, line))
            for line, row in (rows_of(sidecar, ("path", "camid"), "path,camid") if read else ())
        }

    def __call__(self, path: Path) -> int:
        if self.pattern is None:
            camid, _ = self._row(path)
            return UNKNOWN_CAMERA if camid is None else camid
        found = self.pattern.search(path.name)
        if found is None or found[1] is None:
            return UNKNOWN_CAMERA
        if not found[1].isdecimal():
            raise UsageError(
                f"camera={self.pattern.pattern!r} finds {found[1]!r} in {path.name}, which is no number. "
                rf"Let the group catch the digits only, as in '_c(\d+)'."
            )
        return int(found[1])

    def frame(self, path: Path) -> int | None:
        """The frame `cameras.csv` gives, if any."""
        return self._row(path)[1]

    def _row(self, path: Path) -> tuple[int | None, int | None]:
        return self.table.get(path.relative_to(self.root).as_posix(), (None, None))


def _cell(row: Mapping[str, str], column: str, file: Path, line: int, least: int = 0) -> int | None:
    return whole_number(row[column], column, file, line, least) if row.get(column) else None


def _compile(pattern: str) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern, re.ASCII)
    except re.error as broken:
        raise UsageError(f"camera={pattern!r} is not a regular expression: {broken}.") from broken
    if not compiled.groups:
        raise UsageError(rf"camera={pattern!r} has no group; put the number in parentheses, as in '_c(\d+)'.")
    return compiled
