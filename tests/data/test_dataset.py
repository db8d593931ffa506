from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resight.data import DATASETS, attribute_columns, hold_out, load_dataset
from resight.data.dataset import Dataset, SplitCounts, check_counts
from resight.data.datasets.market1501 import COUNTS
from resight.data.splits import choose_queries, matches
from resight.errors import DatasetError, UnknownNameError, UsageError
from resight.types import IGNORE, UNKNOWN_CAMERA, Sample

from .made import market, picture, pictures


def test_market_names_say_person_camera_and_frame(tmp_path: Path) -> None:
    dataset = load_dataset("market1501", market(tmp_path / "Market-1501-v15.09.15"), assert_counts="off")
    first = dataset.train[0]
    assert (first.pid, first.camid, first.frame, first.split) == (2, 1, 451, "train")
    assert [sample.pid for sample in dataset.gallery] == [0, 1, 1, 3]
    assert any("junk, pid -1 (1 pictures)" in note for note in dataset.notes)
    assert [sample.path for sample in dataset.train] == sorted(sample.path for sample in dataset.train)


def test_junk_is_kept_on_request_and_never_trains(tmp_path: Path) -> None:
    root = market(tmp_path)
    picture(root / "bounding_box_train" / "-1_c1s1_000001_01.jpg", 99)
    kept = load_dataset("market1501", root, keep_junk=True, assert_counts="off")
    assert [sample.pid for sample in kept.gallery] == [-1, 0, 1, 1, 3]
    assert kept.num_ids == 3


@pytest.mark.parametrize("name", ["Market-1501", "MARKET1501", "market 1501"])
def test_a_data_set_answers_to_what_people_write(name: str, tmp_path: Path) -> None:
    assert load_dataset(name, market(tmp_path), assert_counts="off").name == "market1501"


def test_the_root_may_be_the_folder_or_the_one_around_it(tmp_path: Path) -> None:
    inner = market(tmp_path / "Market-1501-v15.09.15")
    assert (
        load_dataset("market1501", tmp_path, assert_counts="off").root
        == load_dataset("market1501", inner, assert_counts="off").root
    )


def test_a_root_one_level_too_deep_names_its_parent(tmp_path: Path) -> None:
    market(tmp_path)
    with pytest.raises(DatasetError, match=f"one level too deep. Point the root at {tmp_path}"):
        load_dataset("market1501", tmp_path / "query", assert_counts="off")


def test_a_wrong_root_says_what_lies_there(tmp_path: Path) -> None:
    picture(tmp_path / "photo.jpg")
    with pytest.raises(DatasetError, match=r"lacks query and bounding_box_test.*there is photo.jpg"):
        load_dataset("market1501", tmp_path, assert_counts="off")
    with pytest.raises(DatasetError, match="does not exist"):
        load_dataset("market1501", tmp_path / "nowhere", assert_counts="off")


def test_counts_that_differ_are_noted_or_refused(tmp_path: Path) -> None:
    root = market(tmp_path)
    noted = load_dataset("market1501", root, assert_counts="warn")
    assert noted.version == "v15.09.15, partial or altered copy"
    assert any("train holds 6 images, expected 12,936" in note for note in noted.notes)
    with pytest.raises(DatasetError, match="is not the published data set"):
        load_dataset("market1501", root)
    assert not any("counts" in note for note in load_dataset("market1501", root, assert_counts="off").notes)
    with pytest.raises(UsageError, match="found 'loud'; input should be 'strict', 'warn' or 'off'"):
        load_dataset("market1501", root, assert_counts="loud")


def test_the_table_of_market_adds_up() -> None:
    for counts in COUNTS.values():
        assert sum(counts.images_per_camera.values()) == counts.images
    assert COUNTS["gallery"].images == 13115 + 2798 == 19732 - 3819


def test_the_extra_distractors_join_the_gallery(tmp_path: Path) -> None:
    root = market(tmp_path)
    with pytest.raises(DatasetError, match="500k"):
        load_dataset("market1501", root, more_distractors=True, assert_counts="off")
    picture(root / "images" / "0000_c1s1_000001_00.jpg", 50)
    grown = load_dataset("market1501", root, more_distractors=True, assert_counts="off")
    assert len(grown.gallery) == 5 and grown.version.endswith("+500k")


def test_names_are_matched_whole_and_without_their_folders(tmp_path: Path) -> None:
    root = market(tmp_path / "run_3_c2")
    picture(root / "query" / "copy of 0001_c1s1_001051_00.jpg", 70)
    picture(root / "query" / "12_c1s1_001051_00.jpg", 71)  # four digits, in this data set
    (root / "query" / "notes.txt").write_text("x")
    (root / "query" / "Thumbs.db").write_text("x")
    assert 12 in {sample.pid for sample in load_dataset("market", root).query}
    dataset = load_dataset("market1501", root, assert_counts="off")
    assert len(dataset.query) == 2 and {sample.pid for sample in dataset.train} == {2, 7, 10}
    assert any("copy of 0001" in note for note in dataset.notes)
    assert any("notes.txt" in note for note in dataset.notes)
    assert not any("Thumbs" in note for note in dataset.notes)


def test_a_link_out_of_the_root_is_not_followed(tmp_path: Path) -> None:
    root = market(tmp_path / "set")
    secret = picture(tmp_path / "secret.jpg", 80)
    (root / "query" / "0009_c1s1_000001_00.jpg").symlink_to(secret)
    dataset = load_dataset("market", root)
    assert 9 not in {sample.pid for sample in dataset.query}
    assert any("out of the data set's root (1): 0009_c1s1" in note for note in dataset.notes)


def test_a_folder_where_no_name_parses_says_what_was_expected(tmp_path: Path) -> None:
    root = pictures(tmp_path, [f"{folder}/IMG_{i}.jpg" for i, folder in enumerate(["bounding_box_train", "query"])])
    picture(root / "bounding_box_test" / "x.jpg")
    with pytest.raises(DatasetError, match=r"named PID_cC.*the first is 'IMG_0.jpg'"):
        load_dataset("market", root)


def test_unknown_names_and_options_are_answered() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'market1501'"):
        load_dataset("market1510")
    with pytest.raises(UsageError, match="Known: assert_counts, attributes, boxes, keep_junk"):
        load_dataset("market1501", "x", keep_trash=True, assert_counts="off")


def test_without_a_root_the_data_home_is_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    market(tmp_path / "Market-1501-v15.09.15")
    monkeypatch.setenv("RESIGHT_DATA", str(tmp_path))
    assert load_dataset("market1501", assert_counts="off").num_ids == 3
    monkeypatch.delenv("RESIGHT_DATA")
    with pytest.raises(DatasetError, match="RESIGHT_DATA is not set"):
        load_dataset("market1501", assert_counts="off")


def test_cameras_can_be_declared_unknown(tmp_path: Path) -> None:
    dataset = load_dataset("market", market(tmp_path), cameras="ignore")
    assert {sample.camid for sample in dataset.query} == {UNKNOWN_CAMERA}
    assert dataset.counts()["train"].num_cameras == 0 and "cameras ignored" in dataset.notes[0]


def test_attributes_stand_beside_the_pictures(tmp_path: Path) -> None:
    root = market(tmp_path)
    (root / "attributes.csv").write_text("pid,attr.hat,attr.bag\n2,1,\n7,0,3\n")
    columns = attribute_columns(load_dataset("market", root).train)
    assert columns["hat"].tolist() == [1, 1, 0, 0, IGNORE, IGNORE]
    assert columns["bag"].tolist() == [IGNORE, IGNORE, 3, 3, IGNORE, IGNORE]
    (root / "attributes.csv").write_text("pid,attr.hat\n2,red\n")
    with pytest.raises(DatasetError, match=r"line 2: attr.hat is 'red', expected a whole number"):
        load_dataset("market", root)


def test_counts_say_what_is_missing() -> None:
    dataset = Dataset("x", "1", Path(), train=(Sample(Path("a"), 1, 1, "train", "x"),))
    noted = check_counts(dataset, {"train": SplitCounts(2, 1, 1)}, "warn")
    assert noted.notes == ("counts differ from the published table: train holds 1 ids, expected 2",)


# folder per person


def test_a_folder_per_person_may_have_names(tmp_path: Path) -> None:
    root = pictures(
        tmp_path,
        ["train/ann/a1.jpg", "train/ann/a2.jpg", "train/bob/b1.png", "gallery/cy/c1.jpg", "query/cy/c2.jpg"],
    )
    dataset = load_dataset("folder", root)
    assert [sample.pid for sample in dataset.train] == [1, 1, 2]
    assert dataset.query[0].pid == dataset.gallery[0].pid == 3
    assert all(sample.camid == UNKNOWN_CAMERA for sample in dataset.train)


def test_folders_with_numbers_keep_them_and_cameras_come_from_the_name(tmp_path: Path) -> None:
    root = pictures(tmp_path, ["train/0012/x_c3_1.jpg", "train/0040/x_c1_1.jpg", "train/0040/strange.jpg"])
    dataset = load_dataset("folder", root, camera=r"_c(\d+)")
    assert [(sample.pid, sample.camid) for sample in dataset.train] == [
        (12, 3),
        (40, UNKNOWN_CAMERA),
        (40, 1),
    ]
    with pytest.raises(UsageError, match="no group"):
        load_dataset("folder", root, camera="c")
    with pytest.raises(UsageError, match="which is not a number"):
        load_dataset("folder", root, camera="(x)")
    with pytest.raises(UsageError, match="not a regular expression"):
        load_dataset("folder", root, camera="(")


def test_pictures_of_nobody_do_not_train(tmp_path: Path) -> None:
    names = ["train/1/a.jpg", "train/2/b.jpg", "query/3/c.jpg", "gallery/3/d.jpg"]
    nobody = ["train/distractor/e.jpg", "query/junk/f.jpg", "gallery/distractor/g.jpg", "gallery/junk/h.jpg"]
    root = pictures(tmp_path, [*names, *nobody, "train/loose.jpg"])
    dataset = load_dataset("folder", root, keep_junk=True)
    assert {sample.pid for sample in (*dataset.train, *dataset.query)} == {1, 2, 3}
    assert {sample.pid for sample in dataset.gallery} == {3, 0, -1}
    assert "train: left out pictures in no person's folder (1): loose.jpg" in dataset.notes
    picture(root / "cameras.csv.jpg")
    (root / "cameras.csv").write_text("file,camera\ntrain/1/a.jpg,4\n")
    with pytest.raises(DatasetError, match="has no column path or camid; it has file, camera"):
        load_dataset("folder", root)


def test_minus_one_is_junk_whatever_the_others_are_called(tmp_path: Path) -> None:
    root = pictures(tmp_path, ["a.jpg", "b.jpg", "c.jpg"])
    (root / "people.csv").write_text("path,pid,split\na.jpg,ann,train\nb.jpg,bob,train\nc.jpg,-1,gallery\n")
    dataset = load_dataset("csv", root, keep_junk=True)
    assert [sample.pid for sample in dataset.train] == [1, 2] and dataset.gallery[0].pid == -1


def test_cameras_come_from_a_side_table(tmp_path: Path) -> None:
    root = pictures(tmp_path, ["train/1/a.jpg", "train/1/b.jpg"])
    (root / "cameras.csv").write_text("path,camid\ntrain/1/a.jpg,4\n")
    assert [sample.camid for sample in load_dataset("folder", root).train] == [4, UNKNOWN_CAMERA]


def test_missing_queries_are_chosen_one_per_person_and_camera(tmp_path: Path) -> None:
    names = [f"gallery/{pid}/c{cam}_{i}.jpg" for pid in (1, 2) for cam in (1, 2) for i in range(3)]
    root = pictures(tmp_path, ["train/9/c1_0.jpg", *names])
    dataset = load_dataset("folder", root, camera=r"c(\d)")
    assert sorted((sample.pid, sample.camid) for sample in dataset.query) == [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert len(dataset.gallery) == 8 and all(sample.split == "query" for sample in dataset.query)
    assert dataset.query == load_dataset("folder", root, camera=r"c(\d)").query
    assert not load_dataset("folder", root, auto_query="never").query


# csv and lists


def test_a_table_says_it_all(tmp_path: Path) -> None:
    root = pictures(tmp_path, ["a.jpg", "b.jpg", "c.jpg", "d.jpg"])
    (root / "people.csv").write_text(
        "path,pid,camid,split,frame,attr.hat\n"
        "a.jpg,5,1,train,10,1\nb.jpg,7,2,query,,\nc.jpg,7,,gallery,,0\nd.jpg,,3,distractor,,\n"
    )
    dataset = load_dataset("csv", root)
    assert dataset.train[0] == Sample(root / "a.jpg", 5, 1, "train", "csv", 10, {"hat": 1})
    assert [(sample.pid, sample.camid) for sample in dataset.gallery] == [(7, UNKNOWN_CAMERA), (0, 3)]
    assert load_dataset("csv", root / "people.csv") == dataset


def test_columns_nobody_reads_are_said(tmp_path: Path) -> None:
    root = pictures(tmp_path, ["a.jpg", "b.jpg"])
    (root / "people.csv").write_text("path,pid,camera,split,attr.hat\na.jpg,1,1,train,0\nb.jpg,2,2,train,1\n")
    (note,) = load_dataset("csv", root).notes
    assert (
        note
        == "people.csv: columns that are not read: camera; those that are: path, pid, camid, split, frame, attr.NAME"
    )
    (root / "people.csv").write_text("path,pid,camid,split\na.jpg,1,1,train\nb.jpg,2,2,train\n")
    assert load_dataset("csv", root).notes == ()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "has no rows"),
        ("path,person,split\na.jpg,1,train\n", "has no column pid; it has path, person, split"),
        (
            "path,pid,split\na.jpg,1,test\n",
            "line 2: split is 'test', expected train, query, gallery or distractor",
        ),
        ("path,pid,split\n../a.jpg,1,train\n", "is not a path inside"),
        ("path,pid,split\n/etc/passwd,1,train\n", "is not a path inside"),
        ("path,pid,split\na.jpg,1,train\na.jpg,1,query\n", "line 3: a.jpg is already in line 2"),
        ("path,pid,split\nz.jpg,1,train\n", "none of its 1 pictures exists"),
        ("path,pid,camid,split\na.jpg,1,one,train\n", "camid is 'one', expected a whole number"),
        ("path,pid,split\na.jpg,1,train,extra\n", "more cells than the header"),
        ("path,pid,split\na.jpg,,train\n", "line 2: pid is empty"),
        ("path,pid,pid,split\na.jpg,1,2,train\n", "two columns named 'pid'"),
        ("path;pid;split\na.jpg;1;train\n", "Save it with commas between the cells"),
        ("path,pid,camid,split\na.jpg,1,-2,train\n", "camid is '-2', expected a whole number from -1"),
        ("path,pid,split,frame\na.jpg,1,train,-5\n", "frame is '-5', expected a whole number from 0"),
        ("path,pid,split,attr.hat\na.jpg,1,train,-1\n", "attr.hat is '-1', expected a whole number from 0"),
    ],
)
def test_a_table_with_a_mistake_is_told_which(tmp_path: Path, text: str, sentence: str) -> None:
    root = pictures(tmp_path, ["a.jpg"])
    (root / "people.csv").write_text(text)
    with pytest.raises(DatasetError, match=sentence):
        load_dataset("csv", root)


def test_a_table_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_bytes(b"path,pid,split\n\xff\xfe\x00,1,train\n")
    with pytest.raises(DatasetError, match="is not UTF-8 text"):
        load_dataset("csv", tmp_path)


def test_lists_name_pictures_and_persons(tmp_path: Path) -> None:
    root = pictures(tmp_path, ["train/0001/x_c1.jpg", "0002/y_c2.jpg", "test/0005/z_c3.jpg", "test/0005/w_c1.jpg"])
    (root / "list_train.txt").write_text("0001/x_c1.jpg 1\n0002/y_c2.jpg 2 9\n\n")
    (root / "list_query.txt").write_text("0005/z_c3.jpg 5\n")
    (root / "list_gallery.txt").write_text("0005/w_c1.jpg 5\n0005/gone.jpg 5\n")
    dataset = load_dataset("list", root, camera=r"c(\d)")
    assert [(sample.pid, sample.camid) for sample in dataset.train] == [(2, 9), (1, 1)]
    assert (dataset.query[0].camid, dataset.gallery[0].camid) == (3, 1)
    assert "gallery: left out listed pictures that do not exist (1): 0005/gone.jpg" in dataset.notes
    (root / "list_query.txt").write_text("0005/z_c3.jpg five\n")
    with pytest.raises(DatasetError, match=r"line 1.*expected `path pid`"):
        load_dataset("list", root)
    (root / "list_query.txt").write_text("0005/z_c3.jpg 5\n0005/z_c3.jpg 6\n")
    with pytest.raises(DatasetError, match=r"0005/z_c3.jpg stands in the lists of query twice"):
        load_dataset("list", root)


# keeping persons from training


def _people(draw: list[tuple[int, int]]) -> tuple[Sample, ...]:
    return tuple(Sample(Path(f"{i:04d}.jpg"), pid, cam, "gallery", "made") for i, (pid, cam) in enumerate(draw))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(-1, 5), st.integers(-1, 3)), max_size=40),
    st.integers(0, 5),
)
def test_every_chosen_query_can_be_answered(draw: list[tuple[int, int]], seed: int) -> None:
    samples = _people(draw)
    query, gallery = choose_queries(samples, np.random.default_rng(seed))
    assert sorted(s.path for s in (*query, *gallery)) == [s.path for s in samples]
    assert len({(s.pid, s.camid) for s in query}) == len(query)
    assert all(any(matches(asked, kept) for kept in gallery) for asked in query)
    answerable = {s.pid for s in samples if any(matches(s, other) for other in samples if other is not s)}
    assert {s.pid for s in query} == answerable


@pytest.mark.parametrize(
    ("query", "other", "counts"),
    [
        ((1, 1), (1, 2), True),
        ((1, 1), (1, 1), False),
        ((1, 1), (2, 2), False),
        ((1, UNKNOWN_CAMERA), (1, UNKNOWN_CAMERA), True),
        ((1, 1), (1, UNKNOWN_CAMERA), True),
        ((0, 1), (0, 2), False),
        ((-1, 1), (-1, 2), False),
    ],
)
def test_which_picture_answers_a_query(query: tuple[int, int], other: tuple[int, int], counts: bool) -> None:
    asked, kept = _people([query, other])
    assert matches(asked, kept) is counts


def test_persons_held_out_leave_training_and_can_be_asked_for() -> None:
    train = tuple(replace(s, split="train") for s in _people([(pid, cam) for pid in range(1, 21) for cam in (1, 2, 2)]))
    dataset = Dataset("made", "1", Path(), train=train, query=_people([(99, 1)]))
    validation = hold_out(dataset, 0.25, seed=3)
    held = {sample.pid for sample in validation.query}
    assert len(held) == 5 and not held & {sample.pid for sample in validation.train}
    assert 99 not in held and validation == hold_out(dataset, 0.25, seed=3)
    assert validation != hold_out(dataset, 0.25, seed=4)
    assert len(validation.query) + len(validation.gallery) == 15


def test_one_camera_cannot_be_held_out_and_says_so() -> None:
    dataset = Dataset("made", "1", Path(), train=_people([(pid, 1) for pid in (1, 1, 2, 2)]))
    with pytest.raises(DatasetError, match="cameras='ignore'"):
        hold_out(dataset, 0.5, 0)
    with pytest.raises(UsageError, match="between 0 and 1"):
        hold_out(dataset, 1.5, 0)


def test_the_bundled_sample_is_found_where_there_is_one(tmp_path: Path) -> None:
    copied = market(tmp_path)
    (copied / "attributes.csv").write_text("pid,attr.hat\n2,1\n")
    dataset = load_dataset("sample", copied, assert_counts="off")
    assert dataset.name == "sample" and "Apache-2.0" in dataset.terms
    shutil.rmtree(copied)


def test_real_crops_have_the_published_counts(pku_root: Path) -> None:
    dataset = load_dataset("pku_reid_mini", pku_root, assert_counts="strict")
    assert (dataset.num_ids, len(dataset.train), len(dataset.query), len(dataset.gallery)) == (
        30,
        480,
        112,
        112,
    )
    assert load_dataset("market", pku_root).counts() == dataset.counts()
    assert "NC" in dataset.terms


def test_the_table_of_readers_is_sorted() -> None:
    assert list(DATASETS) == sorted(DATASETS)


def test_attributes_follow_the_names_of_a_folder(tmp_path: Path) -> None:
    """Words, and numbers from 0 that each become one more: attributes.csv says what the folders are called."""
    words = pictures(tmp_path / "words", ["train/ann/a.jpg", "train/bob/b.jpg", "gallery/cy/c.jpg"])
    (words / "attributes.csv").write_text("pid,attr.hat\nbob,1\nann,0\n")
    assert [sample.attributes.get("hat") for sample in load_dataset("folder", words).train] == [0, 1]
    zero = pictures(tmp_path / "zero", ["train/0000/a.jpg", "train/0001/b.jpg", "gallery/0002/c.jpg"])
    (zero / "attributes.csv").write_text("pid,attr.hat\n0,5\n0001,6\n2,7\n")
    dataset = load_dataset("folder", zero)
    assert [(sample.pid, sample.attributes["hat"]) for sample in (*dataset.train, *dataset.gallery)] == [
        (1, 5), (2, 6), (3, 7),
    ]  # fmt: skip
    (zero / "attributes.csv").write_text("path,attr.hat\ntrain/0001/b.jpg,3\n")
    assert [sample.attributes.get("hat") for sample in load_dataset("folder", zero).train] == [None, 3]
