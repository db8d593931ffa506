"""Attributes from CSV: one column `attr.NAME` per attribute, whole numbers from 0, empty where not annotated.

`attributes.csv` beside a data set has a column `path` (relative to the root, one row per picture) or `pid`
(one row per person).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from resight.data.dataset import Dataset, add_notes
from resight.data.dataset_ops import map_samples
from resight.data.formats.csv_rows import bare_number, rows_of, whole_number
from resight.data.formats.filenames import first_few
from resight.data.formats.side_table import SideTable
from resight.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from resight.types import Sample

    Row = tuple[int, str, dict[str, int]]  # line, path or person, attributes

SIDECAR = "attributes.csv"
PREFIX = "attr."


def with_sidecar(dataset: Dataset, people: Mapping[str, int] | None = None) -> Dataset:
    """Add the attributes of the data set's `attributes.csv`; nothing changes where there is none.

    Args:
        dataset: as a reader made it.
        people: name -> pid, where persons are not called by their numbers.

    Raises:
        DatasetError: the table is malformed, names a picture or person twice, or fits none.
    """
    file = dataset.root / SIDECAR
    if not file.is_file():
        return dataset
    rows = rows_of(file, (), "path or pid, and attr.NAME")
    key = next((name for name in ("path", "pid") if name in rows[0][1]), None)
    if key is None:
        raise DatasetError(f"{file} has the columns {', '.join(rows[0][1])}; it needs path or pid, and attr.NAME.")
    cells = ((line, row[key], attributes_of(row, file, line)) for line, row in rows)
    named = _by_person(dataset, file, cells, people or {}) if key == "pid" else _by_picture(dataset, file, cells)
    missing = sum(not sample.attributes for sample in named.everyone if sample.pid > 0)
    return add_notes(named, [f"pictures of persons without attributes in {SIDECAR}: {missing:,}"] if missing else [])


def _by_picture(dataset: Dataset, file: Path, cells: Iterable[Row]) -> Dataset:
    table = SideTable(file, dataset.root, cells)
    named = map_samples(dataset, lambda sample: _with(sample, table.get(sample.path)))
    paths = [sample.path for sample in dataset.everyone]
    return add_notes(named, [note for note in table.check_matches(paths, len(paths)) if "rows without" in note])


def _by_person(dataset: Dataset, file: Path, cells: Iterable[Row], people: Mapping[str, int]) -> Dataset:
    lines: dict[str, int] = {}
    table: dict[str, dict[str, int]] = {}
    for line, name, attributes in cells:
        if lines.setdefault(bare_number(name), line) != line:
            raise DatasetError(f"{file}, line {line}: person {name} is already in line {lines[bare_number(name)]}.")
        table[bare_number(name)] = attributes
    names = {pid: bare_number(name) for name, pid in people.items()}
    own = {sample.pid: names.get(sample.pid, str(sample.pid)) for sample in dataset.everyone if sample.pid > 0}
    if own and not table.keys() & set(own.values()):
        raise DatasetError(
            f"{file}: none of its {len(table):,} persons is in the data set; the first is {next(iter(table))!r}, the "
            f"data set has {first_few(sorted(own.values()))}. Write the names that the data set uses."
        )
    return map_samples(dataset, lambda sample: _with(sample, table.get(own.get(sample.pid, ""))))


def _with(sample: Sample, attributes: Mapping[str, int] | None) -> Sample:
    return replace(sample, attributes={**sample.attributes, **(attributes or {})})


def attributes_of(row: Mapping[str, str], file: Path, line: int) -> dict[str, int]:
    """Values of the `attr.NAME` cells of a row; an empty cell is not annotated."""
    cells = {name.removeprefix(PREFIX): cell for name, cell in row.items() if name.startswith(PREFIX) and cell}
    return {name: whole_number(cell, f"{PREFIX}{name}", file, line) for name, cell in cells.items()}
