"""The table of a data set: a row per picture, as CSV and, where asked for, as Parquet."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resight.errors import MissingExtraError
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


def require_parquet() -> Any:
    """pyarrow, or MissingExtraError where it is not installed."""
    try:
        import pyarrow.csv
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError("a .parquet table", "parquet") from error
    return pyarrow


def write_parquet(root: Path) -> None:
    """The CSV once more, with types: what is empty in a column of numbers is null."""
    arrow = require_parquet()
    part = root / f".{PARQUET}.part"
    words = arrow.csv.ConvertOptions(column_types=dict.fromkeys(_WORDS, arrow.string()))
    arrow.parquet.write_table(arrow.csv.read_csv(root / NAME, convert_options=words), part)
    part.replace(root / PARQUET)
