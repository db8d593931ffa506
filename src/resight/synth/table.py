"""The table of a data set: a row per picture, as CSV and, where asked for, as Parquet."""

from __future__ import annotations

import csv
import io
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


def as_csv(rows: Iterable[Row]) -> bytes:
    """What a row does not know stays empty."""
    out = io.StringIO(newline="")
    table = csv.DictWriter(out, COLUMNS, restval="", lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return out.getvalue().encode()


def as_parquet(table: bytes) -> bytes:
    """A CSV once more, with types: what is empty in a column of numbers is null."""
    arrow, parquet = pyarrow()
    from pyarrow.csv import ConvertOptions, read_csv

    words = ConvertOptions(column_types=dict.fromkeys(_WORDS, arrow.string()))
    out = io.BytesIO()
    parquet.write_table(read_csv(io.BytesIO(table), convert_options=words), out)
    return out.getvalue()
