"""The bundled people: complete, small, and neither trivial nor the same everywhere."""

from __future__ import annotations

import csv
import hashlib
import json
from collections import Counter

import pytest

from resight import load_dataset
from resight.data import Dataset
from resight.inference import RawPixels, StripeHistogram, evaluate
from resight.synth import SynthConfig, sample_root
from resight.synth.plan import plan

ROOT = sample_root()


@pytest.fixture(scope="module")
def sample() -> Dataset:
    return load_dataset("sample")


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    with (ROOT / "attributes.csv").open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_it_holds_what_its_configuration_plans_and_what_its_manifest_lists() -> None:
    config = SynthConfig(**json.loads((ROOT / "synth.json").read_text())["config"])
    listed = dict(line.split("  ")[::-1] for line in (ROOT / "manifest.sha256").read_text().splitlines())
    assert sorted(listed) == [item.path for item in plan(config)]
    assert all(hashlib.sha256((ROOT / path).read_bytes()).hexdigest() == found for path, found in listed.items())


def test_it_is_small() -> None:
    assert sum(path.stat().st_size for path in ROOT.rglob("*")) < 4_000_000


def test_forty_people_to_train_on_and_forty_to_test_with(sample: Dataset) -> None:
    assert len({one.pid for one in sample.train}) == 40
    assert len({one.pid for one in sample.query}) == 40
    assert len({one.camid for one in sample.train}) == 4
    per_person = Counter(one.pid for one in sample.train)
    assert min(per_person.values()) >= 8


def test_a_fifth_or_more_dress_like_somebody_else(rows: list[dict[str, str]]) -> None:
    wardrobe = {row["pid"]: row["wardrobe"] for row in rows if int(row["pid"]) > 0}
    shared = Counter(wardrobe.values())
    assert sum(shared[number] > 1 for number in wardrobe.values()) >= 0.2 * len(wardrobe)


def test_neither_pixels_nor_colours_solve_it(sample: Dataset) -> None:
    assert evaluate(RawPixels(), sample).report.cmc[0] < 0.35
    assert evaluate(StripeHistogram(), sample).report.cmc[0] < 0.60


def test_attributes_reach_the_samples(sample: Dataset) -> None:
    assert all({"gender", "upcolor", "backpack"} <= set(one.attributes) for one in sample.train)
