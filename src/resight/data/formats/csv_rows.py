"""Rows of a CSV file with their line numbers, and the numbers in their cells."""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING

from resight.errors import DatasetError, ResightError
from resight.files import read_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    Row = dict[str, str]

NUMBER = re.compile(r"(-?[0-9]{1,18})(?:\.0+)?", re.ASCII)  # what 64 bits hold; 1.0 as spreadsheets and pandas write 1


def rows_of(file: Path, needed: Sequence[str], expected: str) -> list[tuple[int, Row]]:
    """Line numbers and rows of a CSV file.

    Args:
        file: UTF-8, or UTF-16 with a byte-order mark; commas between the cells.
        needed: columns the header must name.
        expected: the header in words, for messages, as in "path,pid,camid,split".

    Raises:
        DatasetError: it is no such table, or is empty.
        NotFoundError: there is no such file.
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
    """The header alone; empty where the file cannot be read as a table."""
    try:
        return tuple(name.strip() for name in next(csv.reader(io.StringIO(read_text(file))), ()))
    except (ResightError, csv.Error):
        return ()


def _read(file: Path) -> Iterator[tuple[int, Row]]:
    try:
        reader = csv.DictReader(io.StringIO(read_text(file), newline=""), restval="")
        header = [name.strip() for name in reader.fieldnames or ()]
        twice = sorted({name for name in header if header.count(name) > 1})
        if twice:
            raise DatasetError(f"{file} has two columns named {twice[0]!r}. Rename or remove one.")
        reader.fieldnames = header
        for row in reader:
            if None in row:
                raise DatasetError(f"{file}, line {reader.line_num}: more cells than the header has columns.")
            yield reader.line_num, {name: cell.strip() for name, cell in row.items()}
    except csv.Error as broken:
        raise DatasetError(f"{file} is not a CSV file: {broken}.") from broken


def bare_number(cell: str) -> str:
    """A number without leading zeros or `.0`, so that 0002, 2 and 2.0 are one; any other text unchanged."""
    match = NUMBER.fullmatch(cell)
    return str(int(match[1])) if match else cell


def without_point_zero(cell: str) -> str:
    """1 for 1.0, as pandas writes whole numbers of a column with gaps; any other text unchanged, 007 too."""
    return cell.split(".")[0] if "." in cell and NUMBER.fullmatch(cell) else cell


def whole_number(cell: str, column: str, file: Path, line: int, least: int = 0) -> int:
    """A cell as an integer.

    Raises:
        DatasetError: it is no whole number of at least `least`; the message names the line.
    """
    match = NUMBER.fullmatch(cell)
    if match is None or int(match[1]) < least:
        raise DatasetError(
            f"{file}, line {line}: {column} is {cell[:40]!r}, expected a whole number from {least}. "
            f"Number cameras, frames and attribute classes before reading."
        )
    return int(match[1])
