"""A contact sheet shows flags that can be told apart, and never stumbles over a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from resight.errors import UsageError
from resight.reporting import contact_sheet, result_sheet, search_sheet
from resight.reporting.contact_sheet import FRAMES
from resight.reporting.ranked_lists import Hit, Picture, RankedRow

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from resight.inference import Result


def pixels(image: Image.Image) -> NDArray[np.int64]:
    return np.asarray(image, dtype=np.int64)


def count(image: Image.Image, kind: str) -> int:
    """Pixels in a frame's colour."""
    return int((pixels(image) == FRAMES[kind][0]).all(axis=2).sum())


def one(flag: str, path: Path | None = None) -> RankedRow:
    picture = Picture(path, 3, 1, "somebody.jpg")
    return RankedRow(picture, (Hit(picture, 0.25, flag, int(flag != "junk")),), "cosine")  # type: ignore[arg-type]


@pytest.mark.parametrize("flag", ["right", "wrong", "junk", "unknown"])
def test_a_frame_has_the_colour_of_its_flag(flag: str) -> None:
    sheet = contact_sheet([one(flag)], height=64)
    assert count(sheet, flag) > 150
    assert not any(count(sheet, other) for other in {"right", "wrong", "junk", "unknown"} - {flag})


def test_flags_differ_without_colour() -> None:
    """Solid, dashed, dotted: the upper edge of the frame is one line, a few pieces, many."""
    breaks = {}
    for flag in ("right", "wrong", "junk"):
        sheet = pixels(contact_sheet([one(flag)], height=128))
        inked = (sheet == FRAMES[flag][0]).all(axis=2)
        top = inked[np.flatnonzero(inked.any(axis=1))[0]]
        breaks[flag] = int((np.diff(top.astype(int)) == 1).sum())
    assert breaks["right"] == 1 < breaks["wrong"] < breaks["junk"]


def test_a_result_becomes_a_sheet_as_large_as_its_lists(result: Result) -> None:
    small, large = (
        result_sheet(result, queries=2, k=3, height=64),
        result_sheet(result, queries=4, k=6, height=64),
    )
    assert small.width < large.width and small.height < large.height
    assert count(large, "right") and count(large, "query")
    assert np.array_equal(pixels(large), pixels(result_sheet(result, queries=4, k=6, height=64)))


def test_pictures_of_any_shape_fit_their_cell(tmp_path: Path) -> None:
    for name, size in (("tall", (10, 400)), ("wide", (400, 10)), ("dot", (1, 1))):
        Image.new("RGB", size, (200, 60, 60)).save(tmp_path / f"{name}.png")
    hits = [
        {"rank": 1 + n, "path": str(tmp_path / f"{name}.png"), "similarity": 0.5}
        for n, name in enumerate(("tall", "wide", "dot"))
    ]
    sheet = search_sheet([{"query": str(tmp_path / "tall.png"), "hits": hits}], height=64)
    assert sheet.height < 200 and sheet.width < 800


def test_missing_pictures_and_unknown_people_are_no_trouble() -> None:
    nobody = Picture(None, None, -1, "\udcff[bold]\x1b \u202e.jpg")
    row = RankedRow(nobody, (Hit(nobody, 1.5, "unknown", 1),), "euclidean")
    assert contact_sheet([row, row], title="\x00 two \n lines").size[0] > 100
    empty = search_sheet([{"query": "/nowhere/at/all.jpg", "hits": []}])
    assert count(empty, "query")


@pytest.mark.parametrize(
    ("rows", "height", "says"),
    [(0, 64, "at least one query"), (1, 4, "16 to 1024"), (20_000, 512, "fewer rows")],
)
def test_a_sheet_that_makes_no_sense_is_refused(rows: int, height: int, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        contact_sheet([one("right")] * rows, height=height)
