"""Rows of a CSV file, with their line numbers, and the numbers in their cells; else a sentence that names the line."""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING

from resight.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    Row = dict[str, str]

NUMBER = re.compile(r"-?[0-9]{1,18}", re.ASCII)  # what 64 bits hold


def rows_of(file: Path, needed: Sequence[str], expected: str) -> list[tuple[int, Row]]:
    """Line numbers and rows of a UTF-8 CSV file whose header names the columns needed.

    Raises DatasetError that says what was `expected`, as in "path,pid,camid,split", where it is none, or empty.
    """
    rows = list(_read(file))
    if not rows:
        raise DatasetError(f"{file} has no rows. Expected a header {expected} and a row per picture.")
    columns = list(rows[0][1])
    missing = [name for name in needed if name not in columns]
    if missing:
        parted = "Save it with commas between the cells." if re.search(r"[;\t]", columns[0]) else ""
        raise DatasetError(
            f"{file} has no column {' or '.join(missing)}; it has {', '.join(columns)}. "
            f"Expected {expected}. {parted}".rstrip()
        )
    return rows


def columns_of(file: Path) -> tuple[str, ...]:
    """The header alone; nothing where the file cannot be read as a table."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            return tuple(name.strip() for name in next(csv.reader(lines), ()))
    except (OSError, UnicodeDecodeError, csv.Error):
        return ()


def _read(file: Path) -> Iterator[tuple[int, Row]]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines, restval="")
            header = [name.strip() for name in reader.fieldnames or ()]
            twice = sorted({name for name in header if header.count(name) > 1})
            if twice:
                raise DatasetError(f"{file} has two columns named {twice[0]!r}. Rename or remove one.")
            reader.fieldnames = header
            for row in reader:
                if None in row:
                    raise DatasetError(f"{file}, line {reader.line_num}: more cells than the header has columns.")
                yield reader.line_num, {name: cell.strip() for name, cell in row.items()}
    except (UnicodeDecodeError, csv.Error) as broken:
        raise DatasetError(f"{file} is not a UTF-8 CSV file: {broken}.") from broken


def whole_number(cell: str, column: str, file: Path, line: int, least: int = 0) -> int:
    """A cell as an integer of at least `least`; DatasetError that names the line where it is none."""
    if NUMBER.fullmatch(cell) is None or int(cell) < least:
        raise DatasetError(
            f"{file}, line {line}: {column} is {cell[:40]!r}, expected a whole number from {least}. "
            f"Number cameras, frames and attribute classes before reading."
        )
    return int(cell)
