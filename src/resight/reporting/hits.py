"""The hits of a search as a file: a CSV, or an HTML page with pictures, both with full paths."""

from __future__ import annotations

import csv
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resight.files import write_atomically, write_text
from resight.reporting.text import NONE, printable, spreadsheet_text
from resight.reporting.thumbnails import Album

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

COLUMNS = ("rank", "similarity", "distance", "probability", "accepted", "pid", "camera", "id", "path")
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>resight search</title>
<style>body{{font:14px sans-serif;margin:2em}}table{{border-collapse:collapse}}
td,th{{padding:.3em .8em;text-align:left}}
tr{{border-top:1px solid #ddd}}img{{max-height:128px}}</style><body>{body}</body></html>
"""


def save_hits(answers: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write answers (`Answer.to_dict`) as a CSV, or as a page that shows the pictures and needs no other file."""
    if path.suffix.lower() == ".csv":
        write_atomically(path, lambda draft: _write_csv(answers, draft))
    else:
        album = Album(sum(1 + len(answer["hits"]) for answer in answers))
        body = "".join(_section(answer, album) for answer in answers)
        write_text(path, PAGE.format(body=body))


def _write_csv(answers: Sequence[Mapping[str, Any]], draft: Path) -> None:
    columns = _known(answers)
    with draft.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(["query", *columns])
        for answer in answers:
            for hit in answer["hits"]:
                writer.writerow([_cell(answer["query"]), *(_cell(hit.get(name, "")) for name in columns)])


def _cell(value: object) -> str:
    shown = printable(value, 5000)
    return spreadsheet_text(shown) if isinstance(value, str) else shown


def _known(answers: Sequence[Mapping[str, Any]]) -> list[str]:
    """The columns that some hit has."""
    return [name for name in COLUMNS if any(name in hit for answer in answers for hit in answer["hits"])]


def _section(answer: Mapping[str, Any], album: Album) -> str:
    columns = _known([answer])
    head = "".join(f"<th>{escape(name)}</th>" for name in ("picture", *columns))
    rows = "".join(
        f"<tr><td>{_picture(hit.get('picture', hit['path']), album)}</td>"
        + "".join(f"<td>{escape(printable(hit.get(name, NONE), 5000))}</td>" for name in columns)
        + "</tr>"
        for hit in answer["hits"]
    )
    query = escape(printable(answer["query"], 5000))
    return (
        f"<h2>{query}</h2>{_picture(answer.get('picture', answer['query']), album)}<table><tr>{head}</tr>{rows}</table>"
    )


def _picture(path: str, album: Album) -> str:
    uri = album.uri(Path(path))
    return "" if uri is None else f'<img src="{uri}" alt="">'
