"""Results on disk: whole or not at all, side by side by rules and data set, with paths that follow a move."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resight.data import load_dataset
from resight.errors import UsageError
from resight.evaluation import Reranking
from resight.files import refuse_overwriting
from resight.inference import Expansion, RawPixels, Result, Vectors, evaluate
from resight.inference.baselines import with_raw_pixels
from resight.inference.leakage import duplicates
from tests.people import write_people


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_people(tmp_path_factory.mktemp("people"))


@pytest.fixture(scope="module")
def result(people: Path) -> Result:
    return evaluate(RawPixels(), load_dataset("market", root=people), device="cpu")


def test_the_rules_of_a_result_are_named(result: Result) -> None:
    protocol = replace(result.report.protocol, ties="pessimistic")
    others = {
        "": result,
        "rerank-paper-20-6-0.3": replace(result, rerank=Reranking()),
        "expand-q-5-3": replace(result, expansion=Expansion()),
        "multi-query-mean": replace(result, context=result.context | {"multi_query": "mean"}),
        "flip": replace(result, context=result.context | {"embedding": {"flip": True}}),
        "ties-pessimistic": replace(result, report=replace(result.report, protocol=protocol)),
    }
    assert [other.rules for other in others.values()] == list(others)


def test_paths_follow_when_file_and_pictures_move_together(tmp_path: Path) -> None:
    people = write_people(tmp_path / "there" / "people")
    made = evaluate(RawPixels(), load_dataset("market", root=people), device="cpu")
    made.gallery.save(tmp_path / "there" / "vectors" / "g.npz")
    assert Vectors.load(str(tmp_path / "there" / "vectors" / "g.npz")).path(0).is_file()
    shutil.move(tmp_path / "there", tmp_path / "here")
    moved = Vectors.load(tmp_path / "here" / "vectors" / "g.npz")
    assert moved.path(0).is_file() and str(tmp_path / "here") in str(moved.path(0))


def test_a_matrix_that_is_read_from_the_very_file_stays_whole(result: Result, tmp_path: Path) -> None:
    matrix = np.random.default_rng(0).random((len(result.query), len(result.gallery)))
    replace(result, distances=matrix).save(str(tmp_path))
    again = Result.load(str(tmp_path))  # memory-mapped
    again.save(tmp_path)
    np.testing.assert_array_equal(np.load(tmp_path / "distances.npy"), matrix)
    assert not list(tmp_path.glob("*.partial"))


def test_an_output_that_is_an_input_is_refused(tmp_path: Path) -> None:
    (tmp_path / "q.npz").touch()
    (tmp_path / "link.npz").symlink_to(tmp_path / "q.npz")
    refuse_overwriting([tmp_path / "result.json"], [tmp_path / "q.npz", None])
    with pytest.raises(UsageError, match="would be overwritten"):
        refuse_overwriting([tmp_path / "q.npz"], [str(tmp_path / "link.npz")])


def test_duplicates_are_found_where_cameras_are_unknown_and_where_one_file_is_both(result: Result) -> None:
    gallery = result.gallery
    assert not duplicates(gallery, gallery)  # matches of one known camera are not evaluated
    nowhere = replace(gallery, camids=np.full(len(gallery), -1))
    itself = [(row, row) for row in range(len(gallery))]
    assert duplicates(nowhere, nowhere) == itself
    gone = replace(nowhere, root="/nowhere")
    assert duplicates(gone, gone) == itself
    assert not duplicates(gone, replace(gone, vectors=gone.vectors[::-1]))


def test_a_model_no_better_than_raw_pixels_is_told(people: Path, result: Result) -> None:
    dataset = load_dataset("market", root=people)
    worse: Any = replace(result, report=replace(result.report, mAP=0.1), context=result.context | {"model": "mine"})
    told = with_raw_pixels(worse, dataset).context
    assert "no better than raw pixels" in told["findings"][-1]
    assert told["raw_pixels"]["mAP"] == pytest.approx(result.report.mAP)
    better = replace(worse, report=replace(result.report, mAP=1.0))
    assert not with_raw_pixels(better, dataset).context["findings"]
    assert with_raw_pixels(result, dataset) is result


def test_a_result_keeps_the_name_of_its_run(result: Result) -> None:
    named = replace(result, context=result.context | {"run": "a"})
    assert str(named).startswith("a (raw_pixels) on market: ")
