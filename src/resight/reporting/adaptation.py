"""What an adaptation changed: sheets of groups that stayed and that fell apart, and answers before and after."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from resight.clustering.history import compare, load_groups, members, pictures_of
from resight.files import write_atomically, write_text
from resight.reporting.contact_sheet import search_sheet
from resight.reporting.group_sheet import group_sheet

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL.Image import Image

QUALITY = 85


def changes_by_epoch(folder: Path) -> list[dict[str, int]]:
    """For each clustering of the run but the first: how many groups of the one before were kept, split, merged."""
    found = load_groups(folder)
    return [
        {"epoch": later.epoch, **compare(earlier.labels, later.labels).counts()} for earlier, later in pairwise(found)
    ]


def draw_groups(folder: Path, most: int) -> list[Path]:
    """Sheets of the largest groups of the first clustering that the last one kept, and that it split, in report/.

    most: of either kind.  None where the run clustered less than twice.
    """
    found = load_groups(folder)
    if len(found) < 2:
        return []
    first, last, pictures = found[0].labels, found[-1].labels, pictures_of(folder)
    changes = compare(first, last)
    drawn = []
    for word, groups in (("kept", changes.kept), ("split", changes.split)):
        for number, group in enumerate(groups[:most], start=1):
            sheet = _sheet(first, last, group, pictures, word)
            drawn.append(_saved(sheet, folder / "report" / f"group-{word}-{number:02d}.jpg"))
    return drawn


def _sheet(first: NDArray[np.int32], last: NDArray[np.int32], group: int, pictures: Sequence[Path], word: str) -> Image:
    """The members of a group by the groups they are in now, the largest first; those in none are marked."""
    rows = members(first, group)
    now = last[rows]
    names, counts = np.unique(now[now >= 0], return_counts=True)
    place = {int(name): number for number, name in enumerate(names[np.argsort(-counts, kind="stable")], start=1)}
    numbers = [place.get(int(each), 0) for each in now]
    order = sorted(range(len(rows)), key=lambda row: (numbers[row] or len(rows), row))
    title = f"{word}: {len(rows)} pictures of one group, now {len(names)} groups and {numbers.count(0)} in none"
    shown = [pictures[rows[row]] for row in order]
    return group_sheet(shown, [str(numbers[row]) for row in order], [numbers[row] == 0 for row in order], title)


def answer_changes(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Answers of two models to the same queries over the same pictures, and how many hits they share."""
    changes = []
    for old, new in zip(before, after, strict=True):
        earlier, later = ({hit["path"] for hit in answer["hits"]} for answer in (old, new))
        changes.append({"query": old["query"], "hits": len(later), "shared": len(earlier & later),
                        "before": old["hits"], "after": new["hits"]})  # fmt: skip
    return changes


def draw_answers(folder: Path, changes: Sequence[Mapping[str, Any]]) -> list[Path]:
    """A sheet with two rows a query, before and after, and the numbers, in report/."""
    rows = [{"query": each["query"], "hits": each[when]} for each in changes for when in ("before", "after")]
    table, text = folder / "report" / "queries.json", json.dumps(list(changes), indent=1)
    sheet = _saved(search_sheet(rows, title="each query before and after"), folder / "report" / "queries.jpg")
    write_text(table, text + "\n")
    return [sheet, table]


def _saved(sheet: Image, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda draft: sheet.save(draft, format="JPEG", quality=QUALITY))
    return path
