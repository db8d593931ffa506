"""The table of a data set: a row per picture, as CSV and, where asked for, as Parquet."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

from resight.files import pyarrow
from resight.synth.picture import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from resight.synth.picture import Row

NAME, PARQUET = "attributes.csv", "attributes.parquet"
_WORDS = ("path", "split", "obstacle", "sha256")  # all other columns hold numbers


def read(root: Path) -> list[Row]:
    """The rows of a finished table, every value as text; none where there is no table."""
    if not (root / NAME).is_file():
        return []
    with (root / NAME).open(encoding="utf-8", newline="") as lines:
        return [dict(row) for row in csv.DictReader(lines)]


def write(root: Path, rows: Iterable[Row]) -> None:
    """All of it or nothing.  What a row does not know stays empty."""
    part = root / f".{NAME}.part"
    with part.open("w", encoding="utf-8", newline="") as out:
        table = csv.DictWriter(out, COLUMNS, restval="", lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
    part.replace(root / NAME)


def write_parquet(root: Path) -> None:
    """The CSV once more, with types: what is empty in a column of numbers is null."""
    arrow, parquet = pyarrow()
    from pyarrow.csv import ConvertOptions, read_csv

    part = root / f".{PARQUET}.part"
    words = ConvertOptions(column_types=dict.fromkeys(_WORDS, arrow.string()))
    parquet.write_table(read_csv(root / NAME, convert_options=words), part)
    part.replace(root / PARQUET)
