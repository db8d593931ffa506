"""A named data set is the published one, or is refused."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from resight.data import DATASETS, load_dataset
from resight.data.dataset import SplitCounts
from resight.data.doctor.detect_format import detect_format
from resight.data.doctor.examine import examine
from resight.data.doctor.label_checks import refuse_unusable
from resight.errors import DatasetError
from resight.types import JUNK

from . import forms
from .made import market, picture

NAMED = sorted(name for name, entry in DATASETS.items() if entry.counts)
BUILD: dict[str, Callable[[Path], Path]] = {
    "msmt17": forms.msmt17, "cuhk03": forms.cuhk_repacked, "dukemtmcreid": forms.duke, "folder": forms.people,
    "synergyreid": forms.synergy, "list": forms.lists}  # fmt: skip
ONES = {"train": SplitCounts(3, 6, 5), "query": SplitCounts(2, 2, 2), "gallery": SplitCounts(2, 4, 3)}


def test_names_with_a_repeated_ending_are_part_of_market(tmp_path: Path) -> None:
    root = market(tmp_path)
    picture(root / "query" / "1488_c4s4_025360_00.jpg", 70).rename(root / "query" / "1488_c4s4_025360_00.jpg.jpg")
    picture(root / "bounding_box_test" / "1488_c1s1_1_01.jpg", 71).rename(
        root / "bounding_box_test" / "1488_c1s1_000001_01.jpg.JPG"
    )
    for name in ("market1501", "market"):
        options = {"assert_counts": "off"} if name == "market1501" else {}
        dataset = load_dataset(name, root, **options)
        assert 1488 in {sample.pid for sample in dataset.query} & {sample.pid for sample in dataset.gallery}
        assert not any("not named" in note for note in dataset.notes)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("dukemtmcreid", "0005_c2_f0046985.jpg.jpg"),
        ("dukemtmcreid", "0005_c2_f0046985.JPG"),
        ("market1501", "0001_c1s1_001051_00.png"),
        ("synergyreid", "00436_12_00.jpeg.jpg"),
        ("market", "0001_c1s1_001051_00.JPEG.jpg"),
    ],
)
def test_grammars_take_any_picture_ending(name: str, file: str) -> None:
    module = {"market": "formats.split_folders"}.get(name, f"datasets.{name}")
    found = __import__(f"resight.data.{module}", fromlist=["x"])
    assert (found.MARKET if name == "market" else found.GRAMMAR).read(file) is not None


def test_msmt_and_cuhk_take_repeated_endings() -> None:
    from resight.data.datasets import cuhk03, msmt17

    assert cuhk03.parse("1_001_1_01.png.png") is not None
    assert msmt17.NAME.fullmatch("0000_000_01_0303morning_0008_0.jpg.jpg")


@pytest.mark.parametrize("name", NAMED)
def test_another_data_set_is_not_read_under_a_published_name(name: str, tmp_path: Path) -> None:
    built = BUILD.get(name, market)(tmp_path / "set")
    options = dict(DATASETS[name].doctor_options)
    with pytest.raises(DatasetError, match=r"is not the published data set: .* expected .*resight data check"):
        load_dataset(name, built, **options)
    warned = load_dataset(name, built, assert_counts="warn", **options)
    assert warned.version.endswith("partial or altered copy")
    assert load_dataset(name, built, assert_counts="off", **options).version.endswith("counts not checked")


def test_a_home_with_another_set_alone_is_not_market(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder of all data sets holds one only, which has Market-1501's names."""
    market(tmp_path / "pku-reid-mini")
    monkeypatch.setenv("RESIGHT_DATA", str(tmp_path))
    with pytest.raises(DatasetError, match="pku-reid-mini is not the published data set"):
        load_dataset("market1501")


def test_what_was_left_out_is_said_with_the_refusal(tmp_path: Path) -> None:
    root = market(tmp_path)
    picture(root / "query" / "holiday.jpg", 72)
    with pytest.raises(DatasetError, match=r"left out pictures not named PPPP_cCsS.*holiday.jpg"):
        load_dataset("market1501", root)


def test_equal_counts_are_the_published_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resight.data.datasets.market1501.COUNTS", ONES)
    assert load_dataset("market1501", market(tmp_path)).version == "v15.09.15"


def test_the_doctor_calls_an_altered_copy_an_error_unless_it_is_meant(tmp_path: Path) -> None:
    root = market(tmp_path)
    found = examine(root, name="market1501", pictures=False)
    assert not found.sound and [f.level for f in found.findings if f.code == "counts"] == ["error"]
    assert "assert_counts" not in found.form.options
    meant = examine(root, name="market1501", options={"assert_counts": "warn"}, pictures=False)
    assert [f.level for f in meant.findings if f.code == "counts"] == ["warning"]


# query and gallery are enough to evaluate

TRAINING = {
    "market": ["bounding_box_train"], "market1501": ["bounding_box_train"], "pku_reid_mini": ["bounding_box_train"],
    "sample": ["bounding_box_train"], "dukemtmcreid": ["bounding_box_train"], "synergyreid": ["reid_training"],
    "msmt17": ["MSMT17_V1/train", "MSMT17_V1/list_train.txt", "MSMT17_V1/list_val.txt"],
    "cuhk03": ["cuhk03-np/detected/bounding_box_train"], "folder": ["train"], "list": ["train", "list_train.txt"],
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(TRAINING))
def test_query_and_gallery_are_enough_to_evaluate(name: str, tmp_path: Path) -> None:
    root = BUILD.get(name, market)(tmp_path / "set")
    for place in TRAINING[name]:
        gone = root / place
        shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    options = dict(DATASETS[name].doctor_options) | ({"assert_counts": "warn"} if DATASETS[name].counts else {})
    dataset = load_dataset(name, root, **options)
    assert not dataset.train and dataset.query and dataset.gallery
    assert not any("train holds" in note for note in dataset.notes)
    refuse_unusable(dataset, "evaluate")
    with pytest.raises(DatasetError, match="no training pictures"):
        refuse_unusable(dataset, "train")
    if name not in ("market1501", "pku_reid_mini", "sample", "cuhk03"):  # recognized by size or by name
        assert detect_format(root).name == name


def test_counts_of_a_copy_for_evaluation_are_those_of_its_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resight.data.datasets.market1501.COUNTS", ONES)
    root = market(tmp_path)
    shutil.rmtree(root / "bounding_box_train")
    assert load_dataset("market1501", root).version == "v15.09.15"
    (root / "query" / "0001_c1s1_001051_00.jpg").unlink()
    with pytest.raises(DatasetError, match="query holds 1 ids"):
        load_dataset("market1501", root)


@pytest.mark.slow
def test_the_real_market_has_the_published_counts() -> None:
    root = Path(os.environ.get("RESIGHT_DATA", "")) / "Market-1501-v15.09.15"
    if not (root / "query").is_dir():
        pytest.skip("RESIGHT_DATA holds no Market-1501-v15.09.15")
    dataset = load_dataset("market1501", root, keep_junk=True)
    counts = load_dataset("market1501", root).counts()
    assert (counts["train"].ids, counts["train"].images) == (751, 12_936)
    assert (counts["query"].ids, counts["query"].images) == (750, 3_368)
    assert (counts["gallery"].ids, counts["gallery"].images) == (750, 15_913)
    assert np.sum([sample.pid == JUNK for sample in dataset.gallery]) == 3_819
