"""Pictures a user names: found once each, numbered as the reader numbers them, nothing left out in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from resight.data import load_dataset
from resight.errors import DatasetError, NotFoundError
from resight.inference.image_sources import find
from resight.types import DISTRACTOR, UNKNOWN_PID
from tests.data.made import picture, pictures


def test_a_folder_is_searched_without_hidden_files_and_says_what_it_left_out(tmp_path: Path) -> None:
    root = pictures(tmp_path / "crops", ["a/1.jpg", "b/2.PNG", "c.gif", ".hidden.jpg", ".ipynb_checkpoints/1.jpg"])
    (root / "readme.txt").write_text("x")
    (root / "linked").symlink_to(pictures(tmp_path / "elsewhere", ["3.jpg"]))
    said: list[str] = []
    samples, base = find(root, say=said.append)
    assert [sample.path.relative_to(base).as_posix() for sample in samples] == ["a/1.jpg", "b/2.PNG", "c.gif"]
    assert any("links to folders" in note and "linked" in note for note in said)
    assert any("not pictures (1): readme.txt" in note for note in said)


def test_persons_are_numbered_as_the_reader_does(tmp_path: Path) -> None:
    pictures(tmp_path, [f"{i}.jpg" for i in range(8)])
    for pids in (["7", "007", "8"], ["0", "1", "2"], ["ann", "bob", "7"], ["1.0", "2.0", "3.0"]):
        rows = [f"{i}.jpg,{pid},{1 + i % 2},train" for i, pid in enumerate(pids)]
        (tmp_path / "people.csv").write_text("\n".join(["path,pid,camid,split", *rows, "7.jpg,x,1,distractor"]))
        mine = {sample.path.name: sample.pid for sample in find(tmp_path / "people.csv")[0]}
        theirs = {sample.path.name: sample.pid for sample in load_dataset("csv", tmp_path / "people.csv").everyone}
        assert mine == theirs and mine["7.jpg"] == DISTRACTOR
        assert len({mine[f"{i}.jpg"] for i in range(len(pids))}) == len(pids), "two persons became one"
        assert min(mine[f"{i}.jpg"] for i in range(len(pids))) > 0


def test_a_person_nobody_named_is_unknown(tmp_path: Path) -> None:
    pictures(tmp_path, ["1.jpg", "2.jpg"])
    (tmp_path / "people.csv").write_text("path,pid\n1.jpg,\n2.jpg,5\n")
    assert [sample.pid for sample in find(tmp_path / "people.csv")[0]] == [UNKNOWN_PID, 5]


@pytest.mark.parametrize(("name", "text"), [("a.csv", "path\n1.jpg\n./1.jpg\n"), ("a.txt", "1.jpg\n1.jpg\n")])
def test_a_picture_listed_twice_is_an_error(name: str, text: str, tmp_path: Path) -> None:
    picture(tmp_path / "1.jpg")
    (tmp_path / name).write_text(text)
    with pytest.raises(DatasetError, match=r"1.jpg is already in line"):
        find(tmp_path / name)


def test_a_table_may_lie_elsewhere(tmp_path: Path) -> None:
    root = pictures(tmp_path / "crops", ["1.jpg"])
    (tmp_path / "table.csv").write_text("path,pid\n1.jpg,1\n")
    samples, base = find(tmp_path / "table.csv", root)
    assert samples[0].path.is_file() and base == root
    with pytest.raises(NotFoundError):
        find(tmp_path / "none")
