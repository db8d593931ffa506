"""Cameras and attributes beside a data set: matched as people write paths, never silently unknown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from resight.data import load_dataset
from resight.data.formats.unsplit import read_unsplit
from resight.errors import DatasetError
from resight.types import UNKNOWN_CAMERA

from . import forms
from .made import market, pictures

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("query", "gallery"),
    [
        ("query/3/c.jpg", "gallery/3/d.jpg"),
        ("./query/3/c.jpg", ".//gallery/3/./d.jpg"),
        (r"query\3\c.jpg", r".\gallery\3\d.jpg"),
        ("{root}/query/3/c.jpg", "{root}/gallery/3/d.jpg"),
        ("c.jpg", "d.jpg"),
    ],
)
def test_cameras_are_found_however_a_path_is_written(query: str, gallery: str, tmp_path: Path) -> None:
    root = forms.people(tmp_path)
    rows = [query.format(root=root) + ",1", gallery.format(root=root) + ",2.0"]
    (root / "cameras.csv").write_text("\n".join(["path,camid", *rows]))
    dataset = load_dataset("folder", root)
    assert [sample.camid for sample in (*dataset.query, *dataset.gallery)] == [1, 2]
    assert any("pictures without a row (2): train/1/a.jpg" in note for note in dataset.notes)


def test_cameras_that_match_nothing_are_an_error(tmp_path: Path) -> None:
    root = forms.people(tmp_path)
    with pytest.raises(DatasetError, match=r"matches none of the 4 names, as a.jpg"):
        load_dataset("folder", root, camera=r"_cam(\d+)")
    assert load_dataset("folder", root, camera=r"_cam(\d+)", cameras="ignore").query[0].camid == UNKNOWN_CAMERA
    (root / "cameras.csv").write_text("path,camid\nelsewhere/c.jpg,1\n")
    with pytest.raises(DatasetError, match=r"none of its 1 rows is about a picture.*elsewhere/c.jpg.*as in .*/a.jpg"):
        load_dataset("folder", root)
    with pytest.raises(DatasetError, match="matches none"):
        read_unsplit(pictures(tmp_path / "people", ["ann/1.jpg", "bob/1.jpg"]), camera=r"_c(\d)")


def test_cameras_that_match_some_are_counted_and_named(tmp_path: Path) -> None:
    root = pictures(tmp_path, ["train/1/a_c1.jpg", "train/2/b.jpg", "query/3/c_c1.jpg", "gallery/3/d_c2.jpg"])
    dataset = load_dataset("folder", root, camera=r"_c(\d)")
    assert any("does not match (1): b.jpg" in note for note in dataset.notes)
    (root / "cameras.csv").write_text("path,camid\nquery/3/c_c1.jpg,1\nlost/x.jpg,2\n")
    notes = load_dataset("folder", root).notes
    assert any("rows without a picture (1): lost/x.jpg" in note for note in notes)


def test_two_rows_about_one_picture_are_an_error(tmp_path: Path) -> None:
    root = forms.people(tmp_path)
    (root / "cameras.csv").write_text("path,camid\nquery/3/c.jpg,1\n./query/3/c.jpg,2\n")
    with pytest.raises(DatasetError, match=r"line 3: query/3/c.jpg is already in line 2"):
        load_dataset("folder", root)


def test_a_bare_name_of_two_pictures_is_an_error(tmp_path: Path) -> None:
    root = pictures(tmp_path, ["train/1/a.jpg", "train/2/a.jpg", "gallery/3/b.jpg"])
    (root / "cameras.csv").write_text("path,camid\na.jpg,1\n")
    with pytest.raises(DatasetError, match=r"a.jpg is the name of train/1/a.jpg and of train/2/a.jpg"):
        load_dataset("folder", root)


def test_attributes_are_matched_the_same_way(tmp_path: Path) -> None:
    root = market(tmp_path)
    name = "bounding_box_train/0002_c1s1_000451_03.jpg"
    (root / "attributes.csv").write_text(f"path,attr.hat\n./{name},1.0\n")
    dataset = load_dataset("market", root)
    assert {sample.path.name: dict(sample.attributes) for sample in dataset.train}[name.split("/")[1]] == {"hat": 1}
    for text, sentence in (
        ("path,attr.hat\nx/y.jpg,1\n", "none of its 1 rows is about a picture"),
        (f"path,attr.hat\n{name},1\n./{name},0\n", "line 3: .* already in line 2"),
        ("pid,attr.hat\n900,1\n", "none of its 1 persons is in the data set"),
        ("pid,attr.hat\n2,1\n0002,0\n", "line 3: person 0002 is already in line 2"),
    ):
        (root / "attributes.csv").write_text(text)
        with pytest.raises(DatasetError, match=sentence):
            load_dataset("market", root)


def test_numbers_as_pandas_writes_them(tmp_path: Path) -> None:
    root = forms.table(tmp_path)
    text = (root / "people.csv").read_text()
    (root / "people.csv").write_text(text.replace(",1,1,", ",1.0,1.0,").replace(",3,2,", ",3.0,2.0,"))
    dataset = load_dataset("csv", root)
    assert [(sample.pid, sample.camid) for sample in (*dataset.train, *dataset.gallery)] == [(1, 1), (2, 1), (3, 2)]
    assert not dataset.people
