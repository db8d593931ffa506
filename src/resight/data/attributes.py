"""Attributes in CSV: one column `attr.NAME` per attribute, whole numbers from 0, empty where nobody knows.

`attributes.csv` beside a data set has a column `path` (relative to the root, one row per picture) or `pid`
(one row per person).
"""

from __future__ import annotations

import csv
from dataclasses import replace
from typing import TYPE_CHECKING

from resight.data.dataset import Dataset, add_notes
from resight.data.layout import map_samples
from resight.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from resight.types import Sample

SIDECAR = "attributes.csv"
PREFIX = "attr."


def with_sidecar(dataset: Dataset) -> Dataset:
    """The data set with the attributes of its `attributes.csv`; itself where there is none."""
    file = dataset.root / SIDECAR
    if not file.is_file():
        return dataset
    rows = list(rows_of(file))
    columns = set(rows[0][1]) if rows else set()
    key = next((name for name in ("path", "pid") if name in columns), None)
    if key is None:
        raise DatasetError(f"{file} has the columns {sorted(columns)}; it needs path or pid, and attr.NAME.")
    table = {row[key]: attributes_of(row, file, line) for line, row in rows}

    def lookup(sample: Sample) -> Sample:
        name = sample.path.relative_to(dataset.root).as_posix() if key == "path" else str(sample.pid)
        return replace(sample, attributes={**sample.attributes, **table.get(name, {})})

    named = map_samples(dataset, lookup)
    everyone = (*named.train, *named.query, *named.gallery)
    missing = sum(not sample.attributes for sample in everyone if sample.pid > 0)
    return add_notes(named, [f"{missing:,} pictures of persons have no attributes in {SIDECAR}"] if missing else [])


def rows_of(file: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Line numbers and rows of a UTF-8 CSV file with a header; DatasetError where it is not one."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines, restval="")
            for row in reader:
                if None in row:
                    raise DatasetError(f"{file}, line {reader.line_num}: more cells than the header has columns.")
                yield reader.line_num, {name.strip(): cell.strip() for name, cell in row.items()}
    except (UnicodeDecodeError, csv.Error) as broken:
        raise DatasetError(f"{file} is not a UTF-8 CSV file: {broken}.") from broken


def attributes_of(row: Mapping[str, str], file: Path, line: int) -> dict[str, int]:
    """The `attr.NAME` cells of a row; an empty cell is not annotated."""
    cells = {name.removeprefix(PREFIX): cell for name, cell in row.items() if name.startswith(PREFIX) and cell}
    return {name: whole_number(cell, f"{PREFIX}{name}", file, line) for name, cell in cells.items()}


def whole_number(cell: str, column: str, file: Path, line: int) -> int:
    """A cell as an integer; DatasetError that names the line where it is none."""
    try:
        return int(cell)
    except ValueError:
        raise DatasetError(
            f"{file}, line {line}: {column} is {cell!r}, expected a whole number. "
            f"Number persons, cameras and attribute classes before reading."
        ) from None
