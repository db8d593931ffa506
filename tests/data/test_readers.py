"""Facts of single data sets beyond what every reader promises."""

from __future__ import annotations

import importlib
import logging
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from resight.data import load_dataset
from resight.data.datasets import cuhk03, dukemtmcreid, msmt17, synergyreid
from resight.data.datasets.attribute_mat import DUKE, MARKET1501, read_attribute_file
from resight.errors import DatasetError, MissingExtraError, UsageError
from resight.types import DISTRACTOR, JUNK, UNKNOWN_CAMERA

from . import forms
from .made import market, picture

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


# DukeMTMC-reID


def test_duke_wants_the_withdrawal_acknowledged(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"25 April 2019.*consent.*acknowledge_withdrawn=True \(on.* --set"):
        load_dataset("duke", forms.duke(tmp_path), assert_counts="off")
    with pytest.raises(UsageError):
        load_dataset("duke", tmp_path, acknowledge_withdrawn="yes", assert_counts="off")


def test_duke_says_why_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    dukemtmcreid._warn_withdrawn.cache_clear()
    with caplog.at_level(logging.WARNING, "resight.data"):
        for _ in range(2):
            dataset = load_dataset("duke", forms.duke(tmp_path), acknowledge_withdrawn=True, assert_counts="off")
    assert caplog.text.count("taken down by Duke University") == 1
    assert dataset.train[1].camid == 8 and dataset.query[0].frame == 46985 and "WITHDRAWN" in dataset.terms
    assert {sample.pid for sample in dataset.gallery} == {5, 8}


def test_the_table_of_duke_adds_up() -> None:
    counts = dukemtmcreid.COUNTS
    assert sum(counts["train"].images_per_camera.values()) == counts["train"].images == 16522
    assert sum(count.images for count in counts.values()) == 36411
    assert counts["gallery"].ids - counts["query"].ids == 408


# SynergyReID


def test_synergy_has_no_cameras_and_counts_from_zero(tmp_path: Path) -> None:
    dataset = load_dataset("synergy", forms.synergy(tmp_path), assert_counts="off")
    assert [sample.pid for sample in dataset.train] == [1, 1, 2]
    assert {sample.camid for sample in (*dataset.train, *dataset.query)} == {0}
    assert [(sample.pid, sample.camid, sample.frame) for sample in dataset.gallery] == [(437, 1, 4)]
    counts = synergyreid.COUNTS
    assert sum(count.images for count in counts.values()) == 9529
    assert counts["train"].ids + counts["query"].ids == 486


# MSMT17


def test_msmt_keeps_persons_of_train_and_test_apart(tmp_path: Path) -> None:
    dataset = load_dataset("msmt17", forms.msmt17(tmp_path), assert_counts="off")
    assert [(sample.pid, sample.camid) for sample in dataset.train] == [(1, 1), (2, 2), (2, 15)]
    assert dataset.query[0].pid == msmt17.TRAIN_IDS + 1
    assert dataset.version == "V1, train+val, counts not checked"


def test_msmt_trains_on_one_list_or_two_and_says_so(tmp_path: Path) -> None:
    dataset = load_dataset("msmt17", forms.msmt17(tmp_path), train_on="train", assert_counts="off")
    assert len(dataset.train) == 2 and dataset.version == "V1, train, counts not checked"
    assert not any("train holds" in note for note in dataset.notes)
    with pytest.raises(UsageError, match="train_on"):
        load_dataset("msmt17", tmp_path, train_on="all", assert_counts="off")


def test_msmt_versions_are_not_mixed(tmp_path: Path) -> None:
    forms.msmt17(tmp_path)
    forms.msmt17(tmp_path, "MSMT17_V2", "mask_train_v2", "mask_test_v2")
    with pytest.raises(DatasetError, match="holds V1 and V2"):
        load_dataset("msmt17", tmp_path, assert_counts="off")
    assert load_dataset("msmt17", tmp_path, version="v2", assert_counts="off").version.startswith("V2")
    assert load_dataset("msmt17", tmp_path / "MSMT17_V2", assert_counts="off").root.name == "MSMT17_V2"
    with pytest.raises(UsageError, match="version: found 'v3'; input should be 'auto', 'v1' or 'v2'"):
        load_dataset("msmt17", tmp_path, version="v3", assert_counts="off")
    with pytest.raises(DatasetError, match="holds no V1"):
        load_dataset("msmt17", tmp_path / "MSMT17_V2", version="v1", assert_counts="off")


def test_msmt_lists_must_fit_the_pictures(tmp_path: Path) -> None:
    root = forms.msmt17(tmp_path) / "MSMT17_V1"
    (root / "list_query.txt").write_text("0007/0007_000_05_0303morning_0010_0.jpg 7\n")
    with pytest.raises(DatasetError, match="Lists of one version do not fit pictures of the other"):
        load_dataset("msmt17", root, assert_counts="off")
    (root / "list_query.txt").write_text("0007/photo.jpg 7\n")
    with pytest.raises(DatasetError, match="names 0007/photo.jpg and person 7, expected PPPP"):
        load_dataset("msmt17", root, assert_counts="off")
    name = forms.MSMT_NAMES["query"][0]
    (root / "list_query.txt").write_text(f"{name} -1\n")
    with pytest.raises(DatasetError, match=f"names {name} and person -1, expected .* a person from 0"):
        load_dataset("msmt17", root, assert_counts="off")
    (root / "list_query.txt").write_text("\n")
    with pytest.raises(DatasetError, match="list_query.txt in .* name no picture"):
        load_dataset("msmt17", root, assert_counts="off")
    (root / "list_query.txt").write_text(f"{name} 7\n")
    (root / "list_gallery.txt").unlink()
    with pytest.raises(DatasetError, match="does not exist. Unpack the lists"):
        load_dataset("msmt17", root, assert_counts="off")


def test_the_table_of_msmt_adds_up() -> None:
    assert sum(count.images for count in msmt17.COUNTS.values()) == 126441
    assert msmt17.COUNTS["train"].ids + msmt17.COUNTS["query"].ids == 4101


# CUHK03


def test_cuhk_raw_with_the_new_protocol(tmp_path: Path) -> None:
    forms.cuhk_protocol(forms.cuhk_raw(tmp_path / "cuhk03_release"))
    dataset = load_dataset("cuhk03", tmp_path, assert_counts="off")
    assert dataset.version == "new protocol, detected, counts not checked"
    assert [(sample.pid, sample.camid) for sample in dataset.train] == [(2, 1), (2, 2), (3, 1), (3, 2)]
    assert [(sample.pid, sample.camid, sample.frame) for sample in dataset.query] == [
        (1, 1, 1),
        (1, 2, 6),
        (4, 1, 1),
        (4, 2, 6),
    ]
    with Image.open(dataset.gallery[0].path) as image:
        np.testing.assert_array_equal(np.asarray(image), forms.cuhk_pixels(1))
    assert sorted(path.name for path in dataset.root.iterdir()) == sorted(forms.CUHK_NAMES)
    # the pictures are out: neither h5py nor the raw file is needed again
    (tmp_path / "cuhk03_release" / "cuhk-03.mat").unlink()
    assert load_dataset("cuhk03", tmp_path, assert_counts="off") == dataset


def test_cuhk_classic_splits(tmp_path: Path) -> None:
    forms.cuhk_raw(tmp_path)
    first, second = (load_dataset("cuhk03", tmp_path, protocol="classic", split=i, assert_counts="off") for i in (0, 1))
    assert {sample.pid for sample in first.query} == {1} and {sample.pid for sample in second.query} == {2}
    assert [sample.path for sample in first.query] == [sample.path for sample in first.gallery]
    assert {sample.pid for sample in first.train} == {2, 3, 843 + 1}
    assert "no mAP" in first.notes[0] and first.version == "classic split 0, detected, counts not checked"
    with pytest.raises(UsageError, match="splits 0 to 19"):
        load_dataset("cuhk03", tmp_path, protocol="classic", split=20, assert_counts="off")


def test_cuhk_repacked_in_either_kind_of_box(tmp_path: Path) -> None:
    forms.cuhk_repacked(tmp_path)
    forms.cuhk_repacked(tmp_path, "labeled")
    assert load_dataset("cuhk03", tmp_path, boxes="labeled", assert_counts="off").root.name == "labeled"
    assert load_dataset("cuhk03", tmp_path / "cuhk03-np" / "detected", assert_counts="off").query[0].camid == 1


def test_cuhk_protocols_are_told_apart(tmp_path: Path) -> None:
    forms.cuhk_protocol(tmp_path)
    with pytest.raises(DatasetError, match="neither images_detected nor cuhk-03.mat"):
        load_dataset("cuhk03", tmp_path, assert_counts="off")
    with pytest.raises(DatasetError, match=r"classic protocol needs cuhk-03.mat.*protocol='new'"):
        load_dataset("cuhk03", tmp_path, protocol="classic", assert_counts="off")
    for name in forms.CUHK_NAMES[:4]:
        picture(tmp_path / "images_detected" / name)
    partial = load_dataset("cuhk03", tmp_path, assert_counts="off")
    assert any("Are they labeled ones?" in note for note in partial.notes)
    with pytest.raises(UsageError, match="boxes: found 'both'; input should be 'detected' or 'labeled'"):
        load_dataset("cuhk03", tmp_path, boxes="both", assert_counts="off")


def test_cuhk_files_that_are_not_are_refused(tmp_path: Path) -> None:
    scipy_io = pytest.importorskip("scipy.io")
    pytest.importorskip("h5py")
    (tmp_path / "cuhk-03.mat").write_bytes(b"MATLAB 5.0 MAT-file, not HDF5")
    with pytest.raises(DatasetError, match=r"cannot be read as CUHK03's release, MATLAB v7.3"):
        load_dataset("cuhk03", tmp_path, protocol="classic", assert_counts="off")
    config = tmp_path / "cuhk03_new_protocol_config_detected.mat"
    config.write_bytes(b"nonsense")
    with pytest.raises(DatasetError, match=r"cannot be read as a MATLAB v5 file"):
        load_dataset("cuhk03", tmp_path, assert_counts="off")
    scipy_io.savemat(config, {"filelist": ["a"]})
    with pytest.raises(DatasetError, match=r"has no labels, camId, train_idx"):
        load_dataset("cuhk03", tmp_path, assert_counts="off")
    forms.cuhk_protocol(tmp_path)
    table = scipy_io.loadmat(config)
    scipy_io.savemat(config, {**{k: v for k, v in table.items() if k[0] != "_"}, "query_idx": [[99]]})
    with pytest.raises(DatasetError, match=r"an index of query_idx lies outside 1..10"):
        load_dataset("cuhk03", tmp_path, assert_counts="off")


def test_cuhk_protocols_are_numbers_from_one(tmp_path: Path) -> None:
    scipy_io = pytest.importorskip("scipy.io")
    config = forms.cuhk_protocol(tmp_path) / "cuhk03_new_protocol_config_detected.mat"
    table = {key: value for key, value in scipy_io.loadmat(config).items() if key[0] != "_"}
    for key, wrong in (
        ("labels", [["a"] * 10]),
        ("camId", [[0] * 10]),
        ("train_idx", [[0]]),
        ("labels", [[np.nan] * 10]),
    ):
        scipy_io.savemat(config, {**table, key: wrong})
        with pytest.raises(DatasetError, match=f"{key} holds something else than numbers from 1"):
            load_dataset("cuhk03", tmp_path, assert_counts="off")
    scipy_io.savemat(config, {**table, "labels": [[1, 2]]})
    with pytest.raises(DatasetError, match="10 names, 2 labels and 10 cameras"):
        load_dataset("cuhk03", tmp_path, assert_counts="off")


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda file: file.pop("detected"), "detected"),
        (lambda file: file.pop("testsets"), "testsets"),
        (lambda file: _replace(file, "detected", np.zeros((1, 5))), "."),
        (lambda file: _replace(file, "testsets", np.zeros((1, 20))), "."),
        (lambda file: _replace(file, "#refs#/detected1", np.zeros((10, 3), "u1")), "."),
        (
            lambda file: _replace(file, "#refs#/detected/1_001_1_01.png", np.zeros((3, 4, 6))),
            "expected 3 x W x H uint8",
        ),
        (lambda file: _point_nowhere(file["detected"]), "."),
    ],
)
def test_cuhk_release_that_is_spoilt_gets_a_sentence(
    spoil: Callable[[Any], None], sentence: str, tmp_path: Path
) -> None:
    h5py = pytest.importorskip("h5py")
    forms.cuhk_protocol(forms.cuhk_raw(tmp_path))
    with h5py.File(tmp_path / "cuhk-03.mat", "r+") as file:
        spoil(file)
    expected = rf"cannot be read as CUHK03's release.*{sentence}.*Fetch the release again"
    with pytest.raises(DatasetError, match=expected):
        load_dataset("cuhk03", tmp_path, protocol="classic", assert_counts="off")
        load_dataset("cuhk03", tmp_path, assert_counts="off")
    assert not (tmp_path / "images_detected").exists() or sentence == "testsets"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def _point_nowhere(cell: Any) -> None:
    cell[0, 0] = importlib.import_module("h5py").Reference()


def _replace(file: Any, name: str, values: np.ndarray) -> None:
    file.pop(name)
    file[name] = values


def test_cuhk_release_cut_short_gets_a_sentence(tmp_path: Path) -> None:
    raw = forms.cuhk_raw(tmp_path) / "cuhk-03.mat"
    raw.write_bytes(raw.read_bytes()[:4000])
    with pytest.raises(DatasetError, match=r"MATLAB v7.3 \(HDF5\).*Fetch the release again"):
        load_dataset("cuhk03", tmp_path, protocol="classic", assert_counts="off")


def test_cuhk_classic_counts_persons(tmp_path: Path) -> None:
    forms.cuhk_raw(tmp_path)
    with pytest.raises(DatasetError, match="train holds 3 ids, expected 1,367; query holds 1 ids, expected 100"):
        load_dataset("cuhk03", tmp_path, protocol="classic", boxes="labeled", assert_counts="strict")
    with pytest.raises(UsageError, match="splits 0 to 19"):
        load_dataset("cuhk03", tmp_path, protocol="classic", split=20, assert_counts="off")
    with pytest.raises(UsageError, match="split: found 'first'; input should be a valid integer"):
        load_dataset("cuhk03", tmp_path, protocol="classic", split="first", assert_counts="off")


def test_cuhk_names_count_persons_through_the_pairs() -> None:
    first, last = cuhk03.parse("1_001_1_01.png"), cuhk03.parse("5_049_2_10.png")
    assert first is not None and (first.pid, first.camid, first.frame) == (1, 1, 1)
    assert last is not None and (last.pid, last.camid, last.frame) == (1467, 2, 10)
    assert cuhk03.parse("6_001_1_01.png") is None and cuhk03.parse("x1_001_1_01.png") is None
    assert sum(cuhk03.PERSONS) == 1467 == 767 + 700
    for boxes, total in {"detected": 14097, "labeled": 14096}.items():
        assert sum(count.images for count in cuhk03.COUNTS[boxes].values()) == total


def test_a_missing_module_names_the_line_that_installs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cuhk-03.mat").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'resight\[formats\]'"):
        load_dataset("cuhk03", tmp_path, protocol="classic", assert_counts="off")


# attribute files


def test_market_attributes_are_read_by_name(tmp_path: Path) -> None:
    people = read_attribute_file(forms.market_attributes(tmp_path / "market_attribute.mat"), MARKET1501)
    assert set(people) == {1, 2, 3, 7}
    for first, second in ((2, 7), (1, 3)):
        assert people[first]["gender"] == 0 and people[second]["gender"] == 1
        assert people[first]["age"] == 1 and people[second]["age"] == 3
        assert people[first]["upcolor"] == MARKET1501.up.index("green") and "upcolor" not in people[second]
        assert "downcolor" not in people[first] and people[second]["downcolor"] == 0


def test_the_public_colour_codes_are_kept() -> None:
    assert MARKET1501.up == ("black", "white", "red", "purple", "gray", "blue", "green", "yellow")
    assert MARKET1501.down == ("black", "white", "pink", "gray", "blue", "green", "brown", "yellow", "purple")
    assert len(MARKET1501.heads) + len(MARKET1501.up) + len(MARKET1501.down) == 27
    assert len(DUKE.heads) + len(DUKE.up) + len(DUKE.down) == 23


def test_duke_attributes_leave_out_what_is_not_annotated(tmp_path: Path) -> None:
    people = read_attribute_file(forms.duke_attributes(tmp_path / "duke_attribute.mat"), DUKE)
    assert "top" not in people[2] and people[7]["top"] == 1
    assert "downcolor" not in people[2] and people[7]["downcolor"] == 0


def test_a_data_set_takes_its_attributes_along(tmp_path: Path) -> None:
    root = market(tmp_path)
    with pytest.raises(DatasetError, match=r"market_attribute.mat is neither in"):
        load_dataset("market1501", root, attributes=True, assert_counts="off")
    file = forms.market_attributes(root / "attribute" / "market_attribute.mat")
    dataset = load_dataset("market1501", root, attributes=True, assert_counts="off")
    assert dataset.train[0].attributes["backpack"] == 0 and dataset.train[2].attributes["backpack"] == 1
    assert dataset.gallery[0].pid == DISTRACTOR and not dataset.gallery[0].attributes
    assert any("persons without a row in market_attribute.mat: 1" in note for note in dataset.notes)  # person 10
    assert load_dataset("market1501", root, attributes=file, assert_counts="off").train == dataset.train
    with pytest.raises(DatasetError, match="is not duke_attribute.mat"):
        read_attribute_file(file, DUKE)


# Market-1501's other parts


def test_hand_drawn_boxes_replace_the_detectors(tmp_path: Path) -> None:
    root = market(tmp_path)
    with pytest.raises(DatasetError, match="gt_bbox"):
        load_dataset("market1501", root, boxes="hand", assert_counts="off")
    picture(root / "gt_bbox" / "0002_c1s1_000001_00.jpg", 60)
    picture(root / "gt_bbox" / "0001_c4s1_000001_00.jpg", 61)
    hand = load_dataset("market1501", root, boxes="hand", assert_counts="off")
    assert [sample.pid for sample in hand.train] == [2] and [sample.camid for sample in hand.gallery] == [4]
    assert "hand-drawn" in hand.version
    with pytest.raises(UsageError, match="boxes: found 'x'; input should be 'detected' or 'hand'"):
        load_dataset("market1501", root, boxes="x", assert_counts="off")


# persons counted from zero


def test_zero_is_a_person_where_it_trains(tmp_path: Path) -> None:
    root = market(tmp_path)
    picture(root / "bounding_box_train" / "0000_c1s1_000001_01.jpg", 90)
    dataset = load_dataset("market", root)
    assert {sample.pid for sample in dataset.train} == {1, 3, 8, 11}
    assert {sample.pid for sample in dataset.query} == {2, 4}
    assert any("counted from 0" in note for note in dataset.notes)


def test_zero_is_a_person_in_a_folder_and_a_table(tmp_path: Path) -> None:
    people = forms.people(tmp_path / "people")
    picture(people / "train" / "0" / "z.jpg", 40)
    assert {sample.pid for sample in load_dataset("folder", people).train} == {1, 2, 3}
    table = forms.table(tmp_path / "table")
    text = (table / "people.csv").read_text().replace("a.jpg,1", "a.jpg,0")
    (table / "people.csv").write_text(text)
    assert {sample.pid for sample in load_dataset("csv", table).train} == {1, 3}


# several sets as one


def test_joined_sets_keep_persons_and_cameras_apart(tmp_path: Path) -> None:
    market(tmp_path / "Market-1501-v15.09.15")
    forms.msmt17(tmp_path)
    joined = load_dataset("market1501+msmt17", tmp_path, keep_junk=True, train_on="train", assert_counts="off")
    assert joined.name == "market1501+msmt17" and "V1, train" in joined.version
    assert joined.num_ids == 3 + 2
    seen = {(sample.dataset, sample.pid) for sample in joined.train}
    assert len(seen) == len({pid for _, pid in seen})
    cameras = {
        (sample.dataset, sample.camid) for split in ("train", "query", "gallery") for sample in joined.split(split)
    }
    assert len(cameras) == len({camid for _, camid in cameras}) and min(c for _, c in cameras) == 0
    assert {JUNK, DISTRACTOR} <= {sample.pid for sample in joined.gallery}
    assert {sample.pid for sample in joined.query} <= {sample.pid for sample in joined.gallery}
    with pytest.raises(UsageError, match="two or more different"):
        load_dataset("market1501+market1501", tmp_path, assert_counts="off")
    with pytest.raises(UsageError, match="camera_file: there is no option of data set market1501\\+msmt17 named"):
        load_dataset("market1501+msmt17", tmp_path, camera_file=1, assert_counts="off")


def test_the_sample_joins_sets_that_lie_elsewhere(tmp_path: Path) -> None:
    joined = load_dataset("sample+msmt17", forms.msmt17(tmp_path), assert_counts="off")
    assert joined.num_ids == load_dataset("sample").num_ids + 2


def test_joining_leaves_unknown_cameras_unknown(tmp_path: Path) -> None:
    forms.people(tmp_path)
    forms.msmt17(tmp_path)
    joined = load_dataset("folder+msmt17", tmp_path, assert_counts="off")
    assert UNKNOWN_CAMERA in {sample.camid for sample in joined.train}
