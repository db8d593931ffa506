"""Hits of a search as a CSV and as a page."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resight.reporting.contact_sheet import search_sheet
from resight.reporting.hits import save_hits


@pytest.fixture
def answers(tmp_path: Path) -> list[dict[str, object]]:
    picture = tmp_path / "a&b" / "one.png"
    picture.parent.mkdir()
    Image.fromarray(np.zeros((40, 20, 3), np.uint8)).save(picture)
    hits = [
        {"rank": 1, "path": str(picture), "id": "one", "similarity": 0.9},
        {"rank": 2, "path": "gone.png", "id": "2"},
    ]
    return [{"query": str(picture), "hits": hits}]


def test_a_csv_has_the_full_paths(answers: list[dict[str, object]], tmp_path: Path) -> None:
    save_hits(answers, tmp_path / "hits.csv")
    with (tmp_path / "hits.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert rows[0]["path"] == str(tmp_path / "a&b" / "one.png") and rows[0]["similarity"] == "0.9"
    assert rows[1]["similarity"] == "" and list(rows[0]) == ["query", "rank", "similarity", "id", "path"]


def test_a_spreadsheet_takes_no_path_for_a_formula(tmp_path: Path) -> None:
    hit = {"rank": 1, "similarity": -0.5, "pid": -1, "id": "=1+1", "path": "@one.png"}
    save_hits([{"query": "-2+3.png", "hits": [hit]}], tmp_path / "hits.csv")
    with (tmp_path / "hits.csv").open(newline="") as handle:
        (row,) = csv.DictReader(handle)
    assert (row["query"], row["id"], row["path"]) == ("'-2+3.png", "'=1+1", "'@one.png")
    assert (row["similarity"], row["pid"]) == ("-0.5", "-1")


def test_a_page_shows_pictures_and_full_paths_and_fetches_nothing(
    answers: list[dict[str, object]], tmp_path: Path
) -> None:
    save_hits(answers, tmp_path / "hits.html")
    page = (tmp_path / "hits.html").read_text()
    assert page.count("data:image/jpeg") == 2 and "http" not in page
    assert "a&amp;b/one.png" in page


def test_a_long_list_is_wrapped() -> None:
    hit = {"rank": 1, "path": "gone.png", "id": "2", "similarity": 0.5}
    one, many = (search_sheet([{"query": "q", "hits": [hit] * count}], height=64) for count in (10, 35))
    assert many.width == one.width and many.height > 3 * one.height
