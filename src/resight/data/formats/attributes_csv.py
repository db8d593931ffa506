"""Attributes in CSV: one column `attr.NAME` per attribute, whole numbers from 0, empty where nobody knows.

`attributes.csv` beside a data set has a column `path` (relative to the root, one row per picture) or `pid`
(one row per person).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from resight.data.dataset import Dataset, add_notes
from resight.data.dataset_ops import map_samples
from resight.data.formats.csv_rows import NUMBER, rows_of, whole_number
from resight.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from resight.types import Sample

SIDECAR = "attributes.csv"
PREFIX = "attr."


def with_sidecar(dataset: Dataset, people: Mapping[str, int] | None = None) -> Dataset:
    """The data set with the attributes of its `attributes.csv`; itself where there is none.

    people  the pid of each name, where persons are not called by their numbers
    """
    file = dataset.root / SIDECAR
    if not file.is_file():
        return dataset
    rows = rows_of(file, (), "path or pid, and attr.NAME")
    key = next((name for name in ("path", "pid") if name in rows[0][1]), None)
    if key is None:
        raise DatasetError(f"{file} has the columns {', '.join(rows[0][1])}; it needs path or pid, and attr.NAME.")
    by_pid = key == "pid"
    table = {(_bare(row[key]) if by_pid else row[key]): attributes_of(row, file, line) for line, row in rows}
    names = {pid: _bare(name) for name, pid in (people or {}).items()}

    def lookup(sample: Sample) -> Sample:
        path = sample.path.relative_to(dataset.root).as_posix()
        own = names.get(sample.pid, str(sample.pid)) if by_pid else path
        return replace(sample, attributes={**sample.attributes, **table.get(own, {})})

    named = map_samples(dataset, lookup)
    everyone = (*named.train, *named.query, *named.gallery)
    missing = sum(not sample.attributes for sample in everyone if sample.pid > 0)
    return add_notes(named, [f"pictures of persons without attributes in {SIDECAR}: {missing:,}"] if missing else [])


def _bare(name: str) -> str:
    """0002 and 2 are one person."""
    return str(int(name)) if NUMBER.fullmatch(name) else name


def attributes_of(row: Mapping[str, str], file: Path, line: int) -> dict[str, int]:
    """The `attr.NAME` cells of a row; an empty cell is not annotated."""
    cells = {name.removeprefix(PREFIX): cell for name, cell in row.items() if name.startswith(PREFIX) and cell}
    return {name: whole_number(cell, f"{PREFIX}{name}", file, line) for name, cell in cells.items()}
