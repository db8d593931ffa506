"""What every reader promises: it reads its own form, built small, and answers a broken one with a sentence."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from resight.data import DATASETS, load_dataset
from resight.data.dataset import SPLITS
from resight.errors import DatasetError
from resight.types import UNKNOWN_CAMERA
from tests.data import forms
from tests.data.made import market, picture

if TYPE_CHECKING:
    from collections.abc import Callable

OPTIONS: dict[str, dict[str, Any]] = {
    name: ({"assert_counts": "off"} if entry.counts else {}) | dict(entry.doctor_options)
    for name, entry in DATASETS.items()
}
FORMS: dict[str, Callable[[Path], Path]] = {
    "csv": forms.table,
    "cuhk03": forms.cuhk_repacked,
    "dukemtmcreid": forms.duke,
    "folder": forms.people,
    "list": forms.lists,
    "market": market,
    "market1501": market,
    "msmt17": forms.msmt17,
    "pku_reid_mini": market,
    "sample": market,
    "synergyreid": forms.synergy,
}


def _break(root: Path, name: str) -> str:
    """Spoil one thing; -> what the sentence must say."""
    if name == "csv":
        (root / "people.csv").write_text("path,pid,split\na.jpg,1,evaluation\n")
        return "line 2: split is 'evaluation'"
    if name == "list":
        (root / "list_query.txt").write_text("c.jpg three 1\n")
        return "list_query.txt, line 1"
    if name == "folder":
        (root / "train").rename(root / "training")
        (root / "gallery").rename(root / "answers")
        return "lacks train"
    if name == "msmt17":
        shutil.rmtree(root / "MSMT17_V1" / "test")
        return "holds no MSMT17"
    if name == "cuhk03":
        shutil.rmtree(root / "cuhk03-np")
        return "neither detected/bounding_box_train nor cuhk03_new_protocol_config_detected.mat"
    folder = {"synergyreid": "data_reid/reid_test", "dukemtmcreid": "DukeMTMC-reID/query"}.get(name, "query")
    shutil.rmtree(root / folder if name in ("synergyreid", "dukemtmcreid") else root / "query")
    return "lacks .*(query|reid_test)"


@pytest.fixture
def root(tmp_path: Path, name: str) -> Path:
    built = FORMS[name](tmp_path / "set")
    return built.parent if name in ("dukemtmcreid", "synergyreid") else built


def test_every_reader_has_a_form_here() -> None:
    assert set(FORMS) == set(DATASETS)


@pytest.mark.parametrize("name", sorted(FORMS))
def test_a_reader_reads_its_form(name: str, root: Path) -> None:
    dataset = load_dataset(name, root, **OPTIONS.get(name, {}))
    assert dataset.name == name and dataset.version
    for split in SPLITS:
        samples = dataset.split(split)
        assert samples and list(samples) == sorted(samples, key=lambda sample: sample.path)
        assert all(sample.path.is_file() and sample.split == split for sample in samples)
        assert all(sample.camid >= 0 or sample.camid == UNKNOWN_CAMERA for sample in samples)
    assert all(sample.pid > 0 for sample in (*dataset.train, *dataset.query))
    assert all(sample.pid >= 0 for sample in dataset.gallery)
    assert {sample.pid for sample in dataset.query} <= {sample.pid for sample in dataset.gallery}
    assert not {sample.pid for sample in dataset.train} & {sample.pid for sample in dataset.query}
    assert dataset.num_ids == len({sample.pid for sample in dataset.train})


@pytest.mark.parametrize("name", sorted(FORMS))
def test_a_broken_form_gets_a_sentence(name: str, root: Path) -> None:
    expected = _break(root, name)
    with pytest.raises(DatasetError, match=expected) as caught:
        load_dataset(name, root, **OPTIONS.get(name, {}))
    assert str(caught.value).rstrip().endswith((".", "?"))


@pytest.mark.parametrize("name", sorted(FORMS))
def test_a_stray_file_changes_nothing(name: str, root: Path) -> None:
    before = load_dataset(name, root, **OPTIONS.get(name, {}))
    for split in SPLITS:
        folder = before.split(split)[0].path.parent
        (folder / "Thumbs.db").write_bytes(b"x")
        (folder / ".hidden.jpg").write_bytes(b"x")
    assert load_dataset(name, root, **OPTIONS.get(name, {})).counts() == before.counts()


@pytest.mark.parametrize("name", sorted(FORMS))
def test_a_root_that_does_not_exist_gets_a_sentence(name: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"(does not exist|holds n)"):
        load_dataset(name, tmp_path / "nowhere", **OPTIONS.get(name, {}))


@pytest.mark.parametrize("name", sorted(set(FORMS) - {"csv"}))
def test_an_empty_root_gets_a_sentence(name: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="Point"):
        load_dataset(name, tmp_path, **OPTIONS.get(name, {}))


@pytest.mark.parametrize("name", ["market", "market1501", "dukemtmcreid", "synergyreid", "pku_reid_mini", "sample"])
def test_a_folder_of_other_names_gets_the_pattern(name: str, root: Path) -> None:
    folder = load_dataset(name, root, **OPTIONS.get(name, {})).query[0].path.parent
    for path in folder.iterdir():
        path.unlink()
    picture(folder / "holiday.jpg")
    with pytest.raises(DatasetError, match=r"is named .* as in .*holiday.jpg"):
        load_dataset(name, root, **OPTIONS.get(name, {}))
