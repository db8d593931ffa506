"""resight cluster: groups on the disk, corrections that are kept, questions without answer."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from resight.cli import group
from resight.errors import CheckpointError, DatasetError, UsageError
from resight.inference import Vectors
from tests.clustering.crowds import crowd


@pytest.fixture
def crops(tmp_path: Path) -> Path:
    """An embedding file of twelve people with a picture for each vector."""
    vectors, truth = crowd(people=6, shots=24, spread=0.3)
    names = tuple(f"{row:03d}.png" for row in range(len(truth)))
    for name in names:
        Image.new("RGB", (8, 16), (90, 90, 90)).save(tmp_path / name)
    unknown = np.full(len(truth), -1)
    held = Vectors(vectors, names, names, truth + 1, unknown, str(tmp_path), "made", "cosine")
    held.save(tmp_path / "crops.npz")
    return tmp_path / "crops.npz"


def call(*arguments: object) -> Result:
    return CliRunner().invoke(group, ["cluster", *map(str, arguments)])


def facts(*arguments: object) -> dict[str, Any]:
    done = call(*arguments, "--json")
    assert done.exception is None, done.exception
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def rows(out: Path) -> dict[str, str]:
    with (out / "groups.csv").open(newline="") as lines:
        return {row["path"]: row["group"] for row in csv.DictReader(lines)}


def test_groups_as_table_links_and_sheets(crops: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    found = facts(crops, "--out", out, "--sheets", 2)
    assert found["clusters"] == 6
    assert found["labels_used"] == 0
    assert found["agreement"]["pair_f1"] == 1
    assert set(rows(out).values()) == set("123456")
    links = sorted((out / "groups" / "0001").iterdir())
    assert len(links) == 24
    assert links[0].resolve().parent == tmp_path
    assert sorted(path.name for path in (out / "sheets").iterdir()) == ["0001.jpg", "0002.jpg"]


def test_again_replaces_its_own_groups_and_nobody_elses(crops: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    facts(crops, "--out", out)
    facts(crops, "--out", out)
    assert len(list((out / "groups").glob("0*"))) == 6
    other = tmp_path / "other" / "groups"
    other.mkdir(parents=True)
    (other / "mine.txt").write_text("mine")
    done = call(crops, "--out", other.parent)
    assert isinstance(done.exception, DatasetError)
    assert (other / "mine.txt").read_text() == "mine"


def test_corrections_are_kept(crops: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    facts(crops, "--out", out)
    before = rows(out)
    one = next(name for name in before if before[name] == "1")
    other = next(name for name in before if before[name] == "2")
    third = [name for name in before if before[name] == "3"][:2]
    facts(crops, "--out", out, "--merge", one, tmp_path / other, "--split", *third)
    for _ in range(2):
        after = rows(out)
        assert after[one] == after[other]
        assert after[third[0]] != after[third[1]] or not after[third[0]]
        facts(crops, "--out", out)


def test_in_words(crops: Path, tmp_path: Path) -> None:
    said = call(crops, "--out", tmp_path / "out").stdout
    assert "6 groups" in said
    assert "no label was used" in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--method", "agglomerative"), "threshold"),
        (("--fmr", "0.01"), "agglomerative"),
        (("--center-cameras",), "no camera is known"),
        (("--merge", "nobody.jpg", "000.png"), "none of the pictures"),
    ],
)
def test_questions_without_answer(crops: Path, tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    done = call(crops, "--out", tmp_path / "out", *arguments)
    assert isinstance(done.exception, UsageError)
    assert words in str(done.exception)


def test_a_threshold_is_of_the_model_that_made_the_vectors(crops: Path, tmp_path: Path) -> None:
    """synth_small has a calibration, but these vectors are not its own."""
    done = call(crops, "--out", tmp_path / "out", "--method", "agglomerative", "--fmr", "0.01")
    assert isinstance(done.exception, CheckpointError)
    assert "another model" in str(done.exception)


def test_camera_means_are_of_cosine_vectors(crops: Path, tmp_path: Path) -> None:
    held = Vectors.load(crops)
    replace(held, metric="euclidean", camids=np.arange(len(held)) % 2).save(crops)
    done = call(crops, "--out", tmp_path / "out", "--center-cameras")
    assert isinstance(done.exception, UsageError)
    assert "compared by distance" in str(done.exception)


def test_frames_of_a_table_keep_pictures_apart(tmp_path: Path) -> None:
    """Three equal pictures, two of them in one frame."""
    for number in range(3):
        noise = np.random.default_rng(7).integers(0, 255, (64, 32, 3), dtype=np.uint8)
        noise[0, 0, 0] = number  # else they are one picture listed thrice
        Image.fromarray(noise).save(tmp_path / f"{number}.png")
    table = tmp_path / "crops.csv"
    table.write_text("path,camid,frame\n0.png,1,5\n1.png,1,5\n2.png,1,6\n")
    out = tmp_path / "out"
    facts(table, "--out", out, "--min-crops", 2, "--device", "cpu", "--k1", 3)
    found = rows(out)
    assert found["0.png"] != found["1.png"] or not found["0.png"]
