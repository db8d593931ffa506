"""Small tables for the terminal.  Names are shown as plain text: no markup, no control characters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from resight.reporting.text import NONE, percent, printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.table import Table


def hits_table(answer: Mapping[str, Any]) -> Table:
    """The hits of one answer of a search, for a terminal.

    Args:
        answer: as `ranked_lists.answered_rows` takes it, with "probability" and "accepted" where they are known.
    """
    hits = answer["hits"]
    measure = "distance" if any("distance" in hit for hit in hits) else "similarity"
    optional = [name for name in ("pid", "camera") if any(name in hit for hit in hits)]
    calibrated = ["right %"] if any("probability" in hit for hit in hits) else []
    accepted = [f"accepted at {answer['fmr']:g}"] if any("accepted" in hit for hit in hits) else []
    table = _table("rank", measure, *calibrated, *accepted, *optional, title=printable(answer["query"]))
    table.add_column("picture", overflow="fold")
    for hit in hits:
        known = [_text(hit.get(name, NONE)) for name in optional]
        chance = [percent(hit.get("probability"))] if calibrated else []
        taken = ["yes" if hit.get("accepted") else "no"] if accepted else []
        table.add_row(str(hit["rank"]), f"{hit[measure]:.3f}", *chance, *taken, *known, _text(hit["path"]))
    return table


def models_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """A line a model, for a terminal.

    Args:
        rows: the fields of `models.Complexity`, as dicts.
    """
    table = _table("model")
    for name in ("parameters", "without classifier", "multiply-adds", "input", "descriptor"):
        table.add_column(name, justify="right")
    table.add_column("paper")
    for row in rows:
        height, width = row["input_size"]
        counted = [row["parameters"], row["parameters_without_classifiers"], row["macs"]]
        shape = [f"{height} x {width}", str(row["embedding_dim"])]
        table.add_row(_text(row["name"]), *map(_millions, counted), *shape, _text(row["paper"]))
    return table


_NUMBERS = ("rank", "similarity", "distance", "right %")


def _table(*columns: str, title: str | None = None) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, title=Text(title) if title is not None else None, title_justify="left")
    for name in columns:
        table.add_column(name, justify="right" if name in _NUMBERS else "left")
    return table


def _text(value: object) -> Any:
    from rich.text import Text

    return Text(printable(value, 1000))


def _millions(count: float) -> str:
    return f"{count / 1e9:.2f} G" if count >= 1e9 else f"{count / 1e6:.2f} M"
