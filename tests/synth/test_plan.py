"""The counts and names of a data set, before anything is rendered."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import replace

import pytest

from resight.errors import UsageError
from resight.synth import PRESETS, SynthConfig
from resight.synth.config import DIALS
from resight.synth.plan import cameras_of, plan, wardrobes

CONFIG = SynthConfig(seed=3, identities=30, cameras=5, images=10, distractors=12, junk=7, lookalikes=0.4)
ITEMS = plan(CONFIG)
NAME = re.compile(r"(-1|\d{4})_c([1-6])s(\d)_(\d{6})_(\d{2})\.jpg")


def test_names_follow_market_1501_and_are_unique() -> None:
    for item in ITEMS:
        match = NAME.fullmatch(item.name)
        assert match is not None
        assert (int(match[1]), int(match[2]), int(match[4])) == (item.pid, item.camera, item.frame)
        assert (match[5] == "00") == (item.split == "query")  # 00 is a box drawn by hand
    assert len({item.path for item in ITEMS}) == len(ITEMS)
    assert [item.path for item in ITEMS] == sorted(item.path for item in ITEMS)


def test_one_query_per_test_identity_and_camera() -> None:
    queries = Counter((item.pid, item.camera) for item in ITEMS if item.split == "query")
    seen = {(pid, camera) for pid in range(16, 31) for camera in cameras_of(CONFIG, pid)}
    assert set(queries) == seen
    assert set(queries.values()) == {1}


def test_everybody_is_seen_by_two_cameras_and_every_query_has_a_match() -> None:
    where = defaultdict(set)
    for item in ITEMS:
        if item.kind == "person" and item.split != "query":
            where[item.pid].add(item.camera)
    assert set(where) == set(range(1, 31))
    assert min(len(cameras) for cameras in where.values()) >= 2
    two = SynthConfig(identities=30, cameras=2)
    assert all(cameras_of(two, pid) == [1, 2] for pid in range(1, 31))


def test_with_one_picture_a_camera_the_first_camera_asks_and_the_others_answer() -> None:
    items = [item for item in plan(replace(CONFIG, images=1)) if item.kind == "person" and item.split != "train"]
    for pid in range(16, 31):
        first, *others = cameras_of(CONFIG, pid)
        assert {i.camera for i in items if i.pid == pid and i.split == "query"} == {first}
        assert {i.camera for i in items if i.pid == pid and i.split == "gallery"} == set(others)


def test_train_and_test_share_nobody() -> None:
    people = {split: {item.pid for item in ITEMS if item.split == split} for split in ("train", "query", "gallery")}
    assert people["train"] == set(range(1, 16))
    assert people["query"] == people["gallery"] - {0, -1} == set(range(16, 31))


def test_the_share_to_train_on() -> None:
    config = replace(CONFIG, train_share=0.8)
    assert {item.pid for item in plan(config) if item.split == "train"} == set(range(1, 25))


def test_distractors_and_junk_are_in_the_gallery_only() -> None:
    assert Counter(item.pid for item in ITEMS if item.pid <= 0) == {0: 12, -1: 7}
    assert all(item.split == "gallery" for item in ITEMS if item.pid <= 0)


def test_more_pictures_than_a_visit_holds_make_another_sequence() -> None:
    assert {item.sequence for item in ITEMS if item.kind == "person"} == {1, 2}


@pytest.mark.parametrize("seed", range(6))
def test_the_dial_is_the_share_of_lookalikes(seed: int) -> None:
    wears = wardrobes(replace(CONFIG, seed=seed))
    sizes = Counter(wears.values())
    alike = [pid for pid in wears if sizes[wears[pid]] > 1]
    assert 2 * (0.4 * 15 - 1) <= len(alike) <= 2 * 0.4 * 15  # in twos and threes one a split may be left over
    assert max(sizes.values()) <= 3
    for pids in (range(1, 16), range(16, 31)):  # nobody's double is in the other split
        assert {wears[pid] for pid in pids} <= set(pids)


def test_no_dial_no_lookalikes() -> None:
    wears = wardrobes(SynthConfig(lookalikes=0.0))
    assert all(pid == wardrobe for pid, wardrobe in wears.items())


@pytest.mark.parametrize("name", DIALS)
@pytest.mark.parametrize("value", [-0.1, 1.5])
def test_a_dial_beyond_its_ends_is_refused(name: str, value: float) -> None:
    with pytest.raises(UsageError, match=name):
        SynthConfig(**{name: value})  # type: ignore[arg-type]


def test_one_camera_is_refused() -> None:
    with pytest.raises(UsageError, match="cameras"):
        SynthConfig(cameras=1)


def test_presets_turn_the_dial_they_are_named_for() -> None:
    assert PRESETS["misaligned"].misalign > 0.8 > PRESETS["occluded"].misalign
    assert PRESETS["hard"].resolution > PRESETS["sample"].resolution
