"""The doctor's answers to the commonest mistakes, and what it says of a sound set."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from resight.assembly import load_data
from resight.cli.data.data import command
from resight.data import load_dataset
from resight.data.dataset import Dataset
from resight.data.doctor.detect_format import DetectedFormat, detect_format
from resight.data.doctor.examine import examine
from resight.data.doctor.label_checks import check_labels, refuse_unusable
from resight.data.doctor.statistics import camera_pairs, five_numbers
from resight.errors import DatasetError, ResightError, UsageError
from resight.recipe import Recipe
from resight.types import Sample

from . import forms
from .made import market, picture, pictures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path


def _codes(root: Path, **options: object) -> dict[str, str]:
    return {finding.code: str(finding) for finding in examine(root, **options).findings}  # type: ignore[arg-type]


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


# which form is it


@pytest.mark.parametrize(
    ("build", "name"),
    [
        (market, "market"),
        (forms.duke, "dukemtmcreid"),
        (forms.synergy, "synergyreid"),
        (forms.msmt17, "msmt17"),
        (forms.cuhk_repacked, "cuhk03"),
        (forms.cuhk_protocol, "cuhk03"),
        (forms.table, "csv"),
        (forms.people, "folder"),
        (forms.lists, "list"),
    ],
)
def test_every_form_is_recognised(build: Callable[[Path], Path], name: str, tmp_path: Path) -> None:
    assert detect_format(build(tmp_path / "here")).name == name


def test_a_large_set_in_markets_names_is_market1501(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = market(tmp_path)
    assert detect_format(root).name == "market"
    monkeypatch.setattr("resight.data.datasets.market1501.ENOUGH", 2)
    assert detect_format(root).name == "market1501"


def test_a_sound_set_is_called_sound(tmp_path: Path) -> None:
    checkup = examine(market(tmp_path))
    assert checkup.sound and checkup.form.name == "market"
    assert checkup.statistics["splits"]["gallery"]["distractors"] == 1
    assert checkup.statistics["pictures"]["width"]["median"] == 8


# the ten commonest mistakes


def test_one_camera_for_all(tmp_path: Path) -> None:
    root = forms.table(tmp_path)
    (root / "people.csv").write_text(
        "path,pid,camid,split\na.jpg,1,1,train\nb.jpg,2,1,train\nc.jpg,3,1,query\nd.jpg,3,1,gallery\n"
    )
    said = _codes(root)["no_match"]
    assert "Every picture has camera 1" in said and "cameras='ignore'" in said
    assert "no_match" not in _codes(root, options={"cameras": "ignore"})


def test_query_ids_missing_in_the_gallery(tmp_path: Path) -> None:
    root = market(tmp_path)
    picture(root / "query" / "0042_c1s1_000001_00.jpg", 70)
    said = _codes(root)["some_without_match"]
    assert "1 of 3 queries ask for persons who are not in the gallery (persons 42)" in said
    for path in (root / "bounding_box_test").iterdir():
        path.unlink()
    picture(root / "bounding_box_test" / "0500_c1s1_000001_00.jpg", 71)
    said = _codes(root)["no_match"]
    assert "3 of 3 queries" in said and "check that both come from one set and one numbering" in said


def test_query_and_gallery_sharing_id_and_camera(tmp_path: Path) -> None:
    root = market(tmp_path)
    (root / "bounding_box_test" / "0003_c6s3_001055_01.jpg").rename(
        root / "bounding_box_test" / "0003_c5s3_001055_01.jpg"
    )
    said = _codes(root)["some_without_match"]
    assert "by the query's own camera only (persons 3)" in said and "Move a picture by another camera" in said


def test_labels_not_contiguous_are_no_mistake(tmp_path: Path) -> None:
    checkup = examine(market(tmp_path))
    finding = next(finding for finding in checkup.findings if finding.code == "labels")
    assert finding.level == "note" and "2 to 10, with gaps" in finding.what and "Nothing to do" in finding.cure


@pytest.mark.parametrize("move", ["up", "down"])
def test_the_root_one_level_up_or_down(tmp_path: Path, move: str) -> None:
    root = market(tmp_path / "outer" / "inner")
    said = _codes(tmp_path / "outer" if move == "up" else root / "query")["root"]
    assert "is not the root" in said and f"Use {root}" in said


def test_the_root_some_levels_up_is_no_heap_of_pictures(tmp_path: Path) -> None:
    root = market(tmp_path / "data" / "market" / "inner")
    checkup = examine(tmp_path / "data", pictures=False)
    assert checkup.form.name == "market" and checkup.form.root == root
    assert "2 levels down" in _codes(tmp_path / "data")["root"]
    forms.people(tmp_path / "data" / "own")
    with pytest.raises(DatasetError, match=r"several data sets: market/inner \(market\), own \(folder\)"):
        detect_format(tmp_path / "data")


def test_versions_mixed(tmp_path: Path) -> None:
    forms.msmt17(tmp_path)
    forms.msmt17(tmp_path, "MSMT17_V2", "mask_train_v2", "mask_test_v2")
    with pytest.raises(DatasetError, match="V1 and V2, whose figures cannot be compared"):
        examine(tmp_path)
    v2 = tmp_path / "MSMT17_V2"
    (v2 / "list_query.txt").write_text("0007/0007_000_05_0303morning_0010_0.jpg 7\n")
    with pytest.raises(DatasetError, match="Lists of one version do not fit"):
        examine(v2)


def test_protocols_mixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = forms.cuhk_repacked(tmp_path)
    monkeypatch.setattr("resight.data.datasets.cuhk03.CLASSIC", {"train": 2, "query": 1, "gallery": 1})
    said = " ".join(str(finding) for finding in examine(root).findings)
    assert "classic protocol's 1,367 and 100 persons: pass protocol='classic'" in said
    from resight.data.dataset import SplitCounts
    from resight.data.datasets import cuhk03

    counts = {"train": SplitCounts(2, 2, 2), "query": SplitCounts(1, 1, 1), "gallery": SplitCounts(1, 1, 1)}
    monkeypatch.setitem(cuhk03.COUNTS, "labeled", counts)
    monkeypatch.setattr("resight.data.datasets.cuhk03.CLASSIC", {})
    assert "These are the labeled boxes" in " ".join(str(finding) for finding in examine(root).findings)


def test_pictures_in_train_and_test(tmp_path: Path) -> None:
    root = market(tmp_path)
    (root / "query" / "0001_c1s1_001051_00.jpg").write_bytes(
        (root / "bounding_box_train" / "0002_c1s1_000451_03.jpg").read_bytes()
    )
    checkup = examine(root)
    finding = next(finding for finding in checkup.findings if finding.code == "duplicates")
    assert not checkup.sound and finding.level == "error"
    assert "train/0002_c1s1_000451_03.jpg = query/0001_c1s1_001051_00.jpg" in finding.what
    assert "Remove them from one of the two" in finding.cure


def test_a_folder_of_text_files(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(DatasetError, match=r"holds no picture, but 1 other file \(.txt\)"):
        examine(tmp_path)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DatasetError, match="no picture and no table"):
        examine(empty)


def test_a_pattern_that_catches_the_folders_digits(tmp_path: Path) -> None:
    root = pictures(tmp_path / "run_3_c2", [f"run3_img{i:03d}_p{i // 3}.jpg" for i in range(30)])
    result = _run("split", root, "--pattern", "run{pid}_*")
    assert isinstance(result.exception, DatasetError)
    assert "reads person '3' in all 10 names tried" in str(result.exception)
    assert "perhaps the folder's" in str(result.exception)
    table = forms.table(tmp_path / "t")
    (table / "people.csv").write_text("path,pid,camid,split\na.jpg,3,1,train\nb.jpg,3,2,train\n")
    assert "belong to 1 person" in _codes(table)["one_person"]


# further findings


def _dataset(**splits: Iterable[tuple[str, int, int]]) -> Dataset:
    from pathlib import Path

    made: dict[str, tuple[Sample, ...]] = {
        split: tuple(Sample(Path(name), pid, camid, split, "made") for name, pid, camid in rows)  # type: ignore[arg-type]
        for split, rows in splits.items()
    }
    train, query, gallery = (made.get(split, ()) for split in ("train", "query", "gallery"))
    return Dataset("made", "1", Path(), train, query, gallery)


def test_persons_in_train_and_test_are_found() -> None:
    dataset = _dataset(train=[("a", 1, 1), ("b", 2, 1)], query=[("c", 2, 1)], gallery=[("d", 2, 2), ("a", 1, 1)])
    codes = {finding.code: str(finding) for finding in check_labels(dataset)}
    assert "2 persons are in train and in the test (1, 2)" in codes["overlap"]
    assert "1 picture is in two splits (a)" in codes["shared_files"]


def test_a_declared_query_equal_to_the_gallery_is_no_mistake() -> None:
    both = [("c", 3, 1), ("d", 3, 2)]
    codes = {f.code for f in check_labels(_dataset(train=[("a", 1, 1), ("b", 2, 1)], query=both, gallery=both))}
    assert "shared_files" not in codes


@pytest.mark.parametrize(
    ("purpose", "splits", "sentence"),
    [
        ("train", {"query": [("a", 1, 1)]}, "no training pictures"),
        ("train", {"train": [("a", 1, 1), ("b", 1, 2)]}, "belong to 1 person"),
        ("evaluate", {"train": [("a", 1, 1), ("b", 2, 2)]}, "neither query nor gallery"),
        ("evaluate", {"gallery": [("a", 1, 1)]}, "a gallery and no query"),
        ("evaluate", {"query": [("a", 1, 1)]}, "queries and no gallery"),
        ("evaluate", {"query": [("a", 1, 1)], "gallery": [("b", 1, 1)]}, "Every picture has camera 1"),
        ("evaluate", {"query": [("a", 1, 1)], "gallery": [("b", 2, 1)]}, "not in the gallery"),
    ],
)
def test_training_and_evaluation_stop_with_the_doctors_sentence(
    purpose: str, splits: dict[str, list[tuple[str, int, int]]], sentence: str
) -> None:
    with pytest.raises(DatasetError, match=sentence):
        refuse_unusable(_dataset(**splits), purpose)  # type: ignore[arg-type]


def test_what_can_be_used_is_not_stopped() -> None:
    usable = _dataset(
        train=[("a", 1, 1), ("b", 2, 1)], query=[("c", 3, 1), ("x", 9, 1)], gallery=[("d", 3, 2), ("e", 4, 1)]
    )
    assert {finding.code for finding in refuse_unusable(usable, "evaluate")} == {"some_without_match", "single"}
    assert refuse_unusable(usable, "train")


def test_odd_small_and_unreadable_pictures_are_reported(tmp_path: Path) -> None:
    root = market(tmp_path)
    gallery = root / "bounding_box_test"
    (gallery / "0001_c2s1_001053_01.jpg").write_bytes(b"")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (30, 20)).save(gallery / "0001_c1s1_001054_02.jpg", exif=exif)
    Image.new("CMYK", (20, 20)).save(gallery / "0003_c6s3_001055_01.jpg")
    checkup = examine(root)
    said = " ".join(str(finding) for finding in checkup.findings)
    assert checkup.sound and "1 of 12 pictures cannot be read" in said and "is empty" in said
    assert "turned by EXIF" in said and "mode CMYK" in said and "under 16 pixels" in said
    assert checkup.statistics["unreadable"] == 1


def test_the_same_picture_under_two_persons_is_reported(tmp_path: Path) -> None:
    root = market(tmp_path)
    train = root / "bounding_box_train"
    (train / "0010_c4s1_000003_01.jpg").write_bytes((train / "0007_c1s1_000001_01.jpg").read_bytes())
    (train / "0002_c2s1_000776_01.jpg").write_bytes((train / "0002_c1s1_000451_03.jpg").read_bytes())
    codes = _codes(root)
    assert "1 picture stands under several persons" in codes["two_persons"]
    assert "1 picture has copies in the same split" in codes["copies"]


def test_a_copy_that_ranking_leaves_out_is_no_mistake(tmp_path: Path) -> None:
    root = market(tmp_path)
    query, gallery = root / "query" / "0001_c1s1_001051_00.jpg", root / "bounding_box_test"
    shutil.copyfile(query, gallery / "0001_c1s1_001054_02.jpg")  # as among hand-drawn boxes
    codes = _codes(root)
    assert "of one person by one camera" in codes["copies"] and "duplicates" not in codes
    assert "query and gallery, byte for byte" in _codes(root, options={"cameras": "ignore"})["duplicates"]
    shutil.copyfile(query, gallery / "0001_c2s1_001053_01.jpg")  # another camera: an answer
    assert "duplicates" in _codes(root)


# statistics


def test_the_camera_pair_matrix_counts_persons() -> None:
    dataset = _dataset(train=[("a", 1, 1), ("b", 1, 2), ("c", 2, 2), ("d", 2, 2), ("e", 3, -1), ("f", 0, 1)])
    assert camera_pairs(dataset.train) == {"cameras": [1, 2], "persons": [[1, 1], [1, 2]]}
    assert five_numbers([1, 2, 3, 4, 5]) == {"min": 1, "q1": 2, "median": 3, "q3": 4, "max": 5}
    assert five_numbers([]) == {}


# on the command line


def test_check_prints_the_result_and_its_exit_code(tmp_path: Path) -> None:
    good = market(tmp_path / "good")
    sheet = tmp_path / "sheet.png"
    result = _run("check", good, "--sheet", sheet)
    assert result.exit_code == 0 and "sound" in result.output
    with Image.open(sheet) as image:
        assert image.size[1] == 5 * 130 + 2
    (good / "query" / "0003_c5s1_001052_00.jpg").unlink()
    (good / "query" / "0001_c1s1_001051_00.jpg").rename(good / "query" / "0002_c1s1_001051_00.jpg")
    result = _run("check", good, "--json", "--quick")
    answer = json.loads(result.stdout)
    assert result.exit_code == 1 and answer["sound"] is False
    assert {"overlap", "no_match"} <= {finding["code"] for finding in answer["findings"]}
    assert answer["statistics"]["splits"]["train"]["identities"] == 3


def test_check_reads_as_it_is_told(tmp_path: Path) -> None:
    root = forms.cuhk_repacked(tmp_path)
    result = _run("check", root, "--as", "cuhk03", "--set", "boxes=labeled", "--quick")
    assert isinstance(result.exception, ResightError) and "labeled" in str(result.exception)
    result = _run("check", root, "--set", "boxes", "--quick")
    assert "found no KEY=VALUE" in str(result.exception)
    result = _run("check", forms.duke(tmp_path / "d"), "--quick", "--set", "assert_counts=off")
    assert result.exit_code == 0 and "WITHDRAWN" in result.output


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["ann/1.jpg", "bob/1.jpg"], "2 folders of pictures, no splits. Make train, query and gallery"),
        (["a_1.jpg", "b_1.jpg"], "where person and camera stand in names like a_1.jpg"),
        (["0042_c3_001.jpg", "0043_c1_002.jpg"], "--pattern '{pid}_c{camid}_{frame}'`, which fits their names"),
        (["run/in/p3_x.jpg"], "names like run/in/p3_x.jpg"),  # one folder is no folder per person
        (["cam1/7/1.jpg", "cam2/8/1.jpg"], "--pattern 'cam{camid}/{pid}/*'`, which fits their names"),
        (["my people/ann/1.jpg", "my people/bob/1.jpg"], "resight data split '"),
    ],
)
def test_what_is_not_split_is_sent_to_split(names: list[str], said: str, tmp_path: Path) -> None:
    root = pictures(tmp_path / "set", names)
    result = _run("check", root / "my people" if names[0].startswith("my people") else root)
    assert result.exit_code == 1
    assert said in result.output and "resight data split" in result.output


def test_the_line_it_is_sent_with_can_be_pasted(tmp_path: Path) -> None:
    names = [f"{pid:04d}_c{cam}s1_{pid}{cam}{i}_00.jpg" for pid in range(1, 5) for cam in (1, 2) for i in (1, 2)]
    (finding,) = examine(pictures(tmp_path / "it's here", names)).findings
    line = finding.cure.split("`")[1]
    result = _run(*shlex.split(line)[2:])
    assert result.exit_code == 0, result.exception
    assert load_dataset("csv", tmp_path / "it's here" / "split.csv").counts()["query"].images == 4


def test_a_table_without_splits_is_sent_to_split(tmp_path: Path) -> None:
    root = pictures(tmp_path, ["a.jpg", "b.jpg", "c.jpg"])
    (root / "people.csv").write_text("path,pid\na.jpg,1\nb.jpg,2\nc.jpg,3\n")
    for where in (root, root / "people.csv"):
        result = _run("check", where)
        assert result.exit_code == 1 and f"resight data split {root / 'people.csv'}" in result.output
    assert "Split it first" in str(_run("convert", root, "--form", "csv", "--out", root / "x.csv").exception)
    (root / "split.csv").write_text("path,pid,split\na.jpg,1,train\nb.jpg,2,train\nc.jpg,3,gallery\n")
    assert detect_format(root) == DetectedFormat("csv", root / "split.csv", "the table split.csv")  # made of the other
    (root / "again.csv").write_text("path,pid,split\na.jpg,1,train\n")
    with pytest.raises(DatasetError, match=r"expected one CSV file in .*, found again.csv, people.csv, split.csv"):
        examine(root)
    (root / "notes.csv").write_text("day,weather\nmonday,rain\n")
    (root / "people.csv").unlink()
    (root / "again.csv").unlink()
    assert detect_format(root).root.name == "split.csv"  # a table of something else is passed over


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("0005_c2_f0046985_x.jpg", "dukemtmcreid, PPPP_cC_fFFFFFFF.jpg"),
        ("0001_c1s1_001051.tar.jpg", "market, PID_cC"),
        ("0000_000_01_0303evening_0008_0.jpg", "msmt17, PPPP_III"),
        ("holiday.jpg", None),
    ],
)
def test_names_of_no_form_are_answered_with_the_nearest(name: str, nearest: str | None, tmp_path: Path) -> None:
    root = market(tmp_path)
    for path in (root / "query").iterdir():
        path.unlink()
    picture(root / "query" / name)
    with pytest.raises(DatasetError, match="none of the 1 names in query is PID_cC") as caught:
        examine(root)
    assert (f"Nearest is the format {nearest}" in str(caught.value)) if nearest else "Nearest" not in str(caught.value)
    assert "path,pid,camid,split" in str(caught.value)


def test_half_of_markets_folders_are_not_persons(tmp_path: Path) -> None:
    root = market(tmp_path)
    shutil.rmtree(root / "query")
    with pytest.raises(DatasetError, match="holds bounding_box_train and bounding_box_test, and lacks query"):
        examine(root)


def test_the_boxes_that_are_there_are_read(tmp_path: Path) -> None:
    root = forms.cuhk_repacked(tmp_path, "labeled") / "cuhk03-np"
    for where in (root, root / "labeled"):
        checkup = examine(where, pictures=False)
        assert checkup.form.options == {"boxes": "labeled"} and checkup.dataset is not None
        assert checkup.dataset.version == "new protocol, labeled, partial or altered copy"
        assert not any(finding.code == "root" for finding in checkup.findings)
    with pytest.raises(DatasetError, match="holds the labeled boxes: pass boxes='labeled'"):
        load_dataset("cuhk03", root, assert_counts="off")


def test_the_last_line_of_a_sound_set_trains_on_it(tmp_path: Path) -> None:
    root = market(tmp_path / "here it is")
    last = _run("check", root, "--quick", "--set", "cameras=ignore").output.splitlines()[-1]
    words = shlex.split(last.removeprefix("train:"))
    assert words[:3] == ["resight", "train", "RECIPE"]
    recipe = Recipe.load("strong_baseline_sample").override(*(word for word in words if "=" in word))
    assert load_data(recipe).counts() == load_dataset("market", root, cameras="ignore").counts()


def test_the_last_line_says_what_the_reader_wants_said(tmp_path: Path) -> None:
    done = _run("check", forms.duke(tmp_path / "d"), "--quick", "--set", "assert_counts=off")
    words = shlex.split(done.output.splitlines()[-1])
    assert "data.acknowledge_withdrawn=true" in words and "WITHDRAWN" in done.output
    recipe = Recipe.load("strong_baseline_sample").override(*(word for word in words if "=" in word))
    assert load_data(recipe).counts()


def test_a_sheet_that_cannot_be_is_said(tmp_path: Path) -> None:
    refused = _run("check", market(tmp_path / "m"), "--sheet", tmp_path / "sheet.txt")
    assert isinstance(refused.exception, UsageError) and "must end in .png or .jpg" in str(refused.exception)
    people = pictures(tmp_path / "people", ["ann/1.jpg", "bob/1.jpg"])
    assert "was not drawn" in _run("check", people, "--sheet", tmp_path / "sheet.png").stderr


def test_one_camera_for_all_is_said_as_the_command_line_takes_it(tmp_path: Path) -> None:
    root = market(tmp_path)
    for path in root.rglob("*.jpg"):
        path.rename(path.with_name(re.sub("_c.s", "_c1s", path.name)))
    said = _run("check", root).output
    assert "Every picture has camera 1" in said and "--set cameras=ignore" in said
    cured = _run("check", root, "--set", "cameras=ignore")
    assert cured.exit_code == 0, cured.output


@pytest.mark.parametrize("arguments", [[], ["check"], ["split"], ["convert"]])
def test_every_help_ends_with_an_example(arguments: list[str]) -> None:
    result = _run(*arguments, "--help")
    assert result.exit_code == 0 and result.output.rstrip().splitlines()[-1].strip().startswith("resight data")


def test_several_data_sets_in_one_folder_are_named(tmp_path: Path) -> None:
    market(tmp_path / "one")
    forms.people(tmp_path / "two")
    with pytest.raises(DatasetError, match=r"several data sets: one \(market\), two \(folder\)"):
        detect_format(tmp_path)


def test_the_doctor_opens_real_crops(pku_root: Path) -> None:
    checkup = examine(pku_root)
    assert checkup.sound and checkup.form.name == "pku_reid_mini"
    assert any("0085_c1s1_000004_00.jpg" in str(finding) for finding in checkup.findings)  # twice in the source
    assert load_dataset("pku", pku_root, assert_counts="off").counts()["train"].ids == 30
