"""Side tables: `cameras.csv` and `attributes.csv`, one row per picture, matched to pictures by path."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Generic, TypeVar

from resight.data.formats.filenames import first_few, is_file
from resight.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

T = TypeVar("T")


def inner_path(cell: str, root: Path) -> str:
    r"""A path as people write it, relative to `root` with slashes: `./a.jpg`, `a\b.jpg` and absolute ones too."""
    text = cell if "\\" not in cell or is_file(root / cell) else cell.replace("\\", "/")
    if Path(text).is_absolute() or re.match("[A-Za-z]:/", text):
        for base in (root, root.resolve()):
            if Path(text).is_relative_to(base):
                return Path(text).relative_to(base).as_posix()
    return PurePosixPath(text).as_posix()


class SideTable(Generic[T]):
    """Values by picture, looked up by the path below the root or, where a row gives no folder, by the base name.

    Args:
        file: the table, for messages.
        root: what paths are relative to.
        rows: line number, path cell and value of each row.

    Raises:
        DatasetError: two rows are about one picture.
    """

    def __init__(self, file: Path, root: Path, rows: Iterable[tuple[int, str, T]]) -> None:
        self.file, self.root = file, root
        self._values: dict[str, T] = {}
        self._owner: dict[str, Path] = {}  # row -> the picture it was used for
        lines: dict[str, int] = {}
        for line, cell, value in rows:
            key = inner_path(cell, root)
            if lines.setdefault(key, line) != line:
                raise DatasetError(
                    f"{file}, line {line}: {key} is already in line {lines[key]}. Remove one of the two rows."
                )
            self._values[key] = value

    def get(self, path: Path) -> T | None:
        """The value of a picture, None where no row is about it."""
        inside = path.relative_to(self.root).as_posix()
        key = inside if inside in self._values else path.name
        if key not in self._values:
            return None
        owner = self._owner.setdefault(key, path)
        if owner != path:
            raise DatasetError(
                f"{self.file}: {key} is the name of {owner.relative_to(self.root)} and of {inside}. "
                f"Write paths relative to {self.root}."
            )
        return self._values[key]

    def check_matches(self, unmatched: Sequence[Path], asked: int) -> list[str]:
        """Notes on rows without a picture and pictures without a row.

        Args:
            unmatched: pictures no row is about.
            asked: pictures looked up.

        Raises:
            DatasetError: no row is about any picture.
        """
        idle = [key for key in self._values if key not in self._owner]
        if asked and self._values and not self._owner:
            raise DatasetError(
                f"{self.file}: none of its {len(idle):,} rows is about a picture of this data set; the first says "
                f"{idle[0]}. Write paths relative to {self.root}, as in "
                f"{unmatched[0].relative_to(self.root).as_posix()}."
            )
        names = [path.relative_to(self.root).as_posix() for path in unmatched]
        notes = [f"{self.file.name}: pictures without a row ({len(names):,}): {first_few(names)}"] if names else []
        if idle:
            notes.append(f"{self.file.name}: rows without a picture ({len(idle):,}): {first_few(idle)}")
        return notes
