"""A data set is somebody else's files: whatever they are, reading them ends in samples or in a sentence."""

from __future__ import annotations

import io
import os
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from resight.cli.data.data import command
from resight.data import load_dataset
from resight.data.datasets.attribute_mat import MARKET1501, read_attribute_file
from resight.data.doctor.examine import examine
from resight.data.formats.filenames import first_few, list_pictures
from resight.data.formats.side_table import inner_path
from resight.errors import UNSAFE, DatasetError, ResightError, printable

from . import forms
from .made import market, picture, pictures

if TYPE_CHECKING:
    from collections.abc import Callable


# links and trees


def test_links_in_circles_are_passed_over(tmp_path: Path) -> None:
    root = market(tmp_path / "set")
    query = root / "query"
    (query / "0007_c1s1_000001_00.jpg").symlink_to(query / "0007_c1s1_000001_00.jpg")  # to itself
    (query / "0008_c1s1_000001_00.jpg").symlink_to(root / "gone.jpg")  # to nothing
    (query / "round").symlink_to(root)  # to a folder around it
    dataset = load_dataset("market", root)
    assert {sample.pid for sample in dataset.query} == {1, 3}
    assert list_pictures(root, root, recursive=True).links == (query / "round",)
    assert len(list_pictures(root, root, recursive=True).pictures) == 13


@pytest.mark.parametrize("ending", ["/" + 300 * "b" + ".jpg", 200 * "\\b" + ".jpg"])
def test_a_name_longer_than_the_system_takes_is_of_no_picture(ending: str, tmp_path: Path) -> None:
    table, lists = forms.table(tmp_path / "table"), forms.lists(tmp_path / "lists")
    with (table / "people.csv").open("a") as rows:
        rows.write(f"a{ending},2,1,gallery\n")
    with (lists / "list_gallery.txt").open("a") as rows:
        rows.write(f"a{ending} 2 1\n")
    for dataset in (load_dataset("csv", table), load_dataset("list", lists)):
        assert any("left out" in note for note in dataset.notes)
    assert inner_path(f"a{ending}", lists).startswith("a/b")


@pytest.mark.parametrize("name", ["csv", "list", "folder"])
def test_no_form_follows_a_link_out_of_its_root(name: str, tmp_path: Path) -> None:
    secret = picture(tmp_path / "secret.jpg", 99)
    build: dict[str, Callable[[Path], Path]] = {"csv": forms.table, "list": forms.lists, "folder": forms.people}
    root = build[name](tmp_path / "set")
    taken = load_dataset(name, root).train[0].path
    taken.unlink()
    taken.symlink_to(secret)
    dataset = load_dataset(name, root)
    assert taken not in {sample.path for sample in dataset.train}
    assert any(taken.name in note for note in dataset.notes)


# names


STRANGE = ["--help.jpg", "a\nb.jpg", "\x1b[2Jcls.jpg", "gpj.‮txt.jpg", "名前 名.jpg", "[bold]x[red].jpg", "a\"b',;.jpg"]


@pytest.mark.parametrize("name", [*STRANGE, os.fsdecode(b"\xff\xfe.jpg")])
def test_strange_names_are_data_and_are_shown_harmlessly(name: str, tmp_path: Path) -> None:
    root = market(tmp_path / "set")
    (root / "query" / name).write_bytes(b"no picture")
    result = CliRunner().invoke(command, ["check", str(root)])
    assert result.exit_code == 0, result.output
    said = result.output.replace("\n", "")
    assert "left out pictures not named" in said and not UNSAFE.search(said)
    people = pictures(tmp_path / "people", [f"{pid}/{i}.jpg" for pid in "abcd" for i in (1, 2)])
    picture(people / "a" / name)
    result = CliRunner().invoke(command, ["split", str(people), "--form", "folder", "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.exception
    assert sum(counts.images for counts in load_dataset("folder", tmp_path / "out").counts().values()) == 9


def test_a_folders_name_in_a_result_is_harmless(tmp_path: Path) -> None:
    dataset = load_dataset("market", market(tmp_path / "\x1b[2Jmine"))
    assert dataset.version == r"\x1b[2Jmine" and not UNSAFE.search(str(dataset))


def test_errors_and_lists_spell_out_what_is_unsafe(tmp_path: Path) -> None:
    name = "a\x1b[31mb\n\udcff‮.jpg"
    assert not UNSAFE.search(first_few([name])) and not UNSAFE.search(printable(name))
    assert printable("Ünïcode 名前 – fine") == "Ünïcode 名前 – fine"
    with pytest.raises(DatasetError) as caught:
        load_dataset("market", tmp_path / name)
    assert not UNSAFE.search(str(caught.value).replace("\n", ""))


# tables and lists


CELL = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=12) | st.sampled_from(
    ["a.jpg", "1", "-1", "0", "9" * 30, "9" * 5000, "../a.jpg", "/etc/passwd", "~", "", "train", "query", "a.jpg\0"]
)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.sampled_from(["path", "pid", "camid", "split", "frame", "attr.hat", "x", ""]), max_size=7),
    st.lists(st.lists(CELL, max_size=7), max_size=5),
    st.sampled_from([",", ";", "\t", '"']),
)
def test_any_table_gives_samples_or_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, header: list[str], rows: list[list[str]], comma: str
) -> None:
    root = tmp_path_factory.getbasetemp() / "tables"
    if not root.is_dir():
        pictures(root, ["a.jpg", "b.jpg"])
    lines = [comma.join(header), *(comma.join(row) for row in rows), "a.jpg,1,1,train,5,2,,,,"]
    (root / "people.csv").write_text("\n".join(lines), "utf-8")
    for read in (lambda: load_dataset("csv", root), lambda: examine(root, pictures=False)):
        try:
            read()
        except ResightError as error:
            assert str(error).rstrip()[-1] in ".?`"


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=80) | st.lists(CELL, max_size=4).map(lambda cells: " ".join(cells).encode()))
def test_any_list_gives_samples_or_a_sentence(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    root = tmp_path_factory.getbasetemp() / "lists"
    if not root.is_dir():
        forms.lists(root)
    (root / "list_query.txt").write_bytes(content)
    try:
        load_dataset("list", root)
    except ResightError as error:
        assert str(error).rstrip()[-1] in ".?`"


def test_numbers_beyond_all_measure_are_refused(tmp_path: Path) -> None:
    root = forms.table(tmp_path / "t")
    for column, cell in (("camid", "1" * 19), ("camid", "1_0"), ("camid", "٣"), ("camid", "1" * 5000)):
        (root / "people.csv").write_text(f"path,pid,{column},split\na.jpg,1,{cell},train\n", "utf-8")
        with pytest.raises(DatasetError, match=r"line 2: camid is .*expected a whole number"):
            load_dataset("csv", root)
    (root / "people.csv").write_text(f"path,pid,split\na.jpg,{'7' * 40},train\nb.jpg,3,train\n")
    assert {sample.pid for sample in load_dataset("csv", root).train} == {1, 2}  # no number: a name like another
    lists = forms.lists(tmp_path / "l")
    (lists / "list_query.txt").write_text(f"c.jpg {'9' * 5000}\n")
    with pytest.raises(DatasetError, match="list_query.txt, line 1"):
        load_dataset("list", lists)


# MATLAB files


class _Trap:
    """Unpickled, it would leave a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


def test_a_pickle_called_mat_is_not_run(tmp_path: Path) -> None:
    scipy_io = pytest.importorskip("scipy.io")
    file = tmp_path / "market_attribute.mat"
    file.write_bytes(pickle.dumps(_Trap(tmp_path / "mark")))
    with pytest.raises(DatasetError, match="cannot be read as a MATLAB v5 file"):
        read_attribute_file(file, MARKET1501)
    scipy_io.savemat(file, {"market_attribute": np.frombuffer(pickle.dumps(_Trap(tmp_path / "mark")), np.uint8)})
    with pytest.raises(DatasetError, match=r"is not market_attribute.mat"):
        read_attribute_file(file, MARKET1501)
    assert not (tmp_path / "mark").exists()


# pictures


def test_pictures_with_more_behind_them_are_read_and_reported(tmp_path: Path) -> None:
    root = market(tmp_path)
    frames = [Image.new("RGB", (32, 64), color) for color in ("red", "green", "blue")]
    out = io.BytesIO()
    frames[0].save(out, "TIFF", save_all=True, append_images=frames[1:])
    query = root / "query"
    (query / "0001_c1s1_001051_00.jpg").write_bytes(out.getvalue())
    (query / "0003_c5s1_001052_00.jpg").write_bytes(out.getvalue()[:-90])
    said = " ".join(str(finding) for finding in examine(root).findings)
    assert "the first of several frames" in said or "damaged behind its first frame" in said
    assert "0001_c1s1_001051_00.jpg" in said
