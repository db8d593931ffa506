"""`resight compare` and `resight calibrate` on files of vectors."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from resight import models
from resight.cli.common.run_folder import NAME as KEPT
from resight.cli.common.run_folder import calibration_for, newest
from resight.cli.evaluation.calibrate import command as calibrate
from resight.cli.evaluation.compare import MOST_FLIPS
from resight.cli.evaluation.compare import command as compare
from resight.errors import CheckpointError, EvaluationError, UsageError
from resight.evaluation import Calibration, Reranking, evaluate_features
from resight.inference import Result
from resight.inference.embeddings import Vectors
from resight.recipe import Recipe
from resight.reporting import write_report
from resight.reporting.run_comparison import different_rules
from tests.people import write_people


def people(noise: float, pictures: int, seed: int, camera: int, fingerprint: str = "m") -> Vectors:
    rng = np.random.default_rng(seed)
    pids = np.repeat(np.arange(1, 41), pictures)
    vectors = np.random.default_rng(0).normal(size=(41, 16))[pids] + noise * rng.normal(size=(len(pids), 16))
    paths = tuple(f"{camera}/{row}.jpg" for row in range(len(pids)))
    cams = np.full(len(pids), camera)
    return Vectors(vectors.astype(np.float32), paths, paths, pids, cams, "/nowhere", fingerprint, "cosine")


def evaluated(folder: Path, noise: float) -> Path:
    q, g = people(noise, 2, 1, 1), people(noise, 4, 2, 2)
    report = evaluate_features(q.vectors, g.vectors, q.pids, g.pids, q.camids, g.camids)
    Result(report, q, g, {"dataset": "made up", "model": "noise"}).save(folder / "evaluation" / "made_up")
    return folder


def call(command: Any, *words: object) -> str:
    result = CliRunner().invoke(command, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_compare_says_which_is_better(tmp_path: Path) -> None:
    a, b = evaluated(tmp_path / "a", 2.0), evaluated(tmp_path / "b", 1.0)
    text = call(compare, a, b, "--draws", 500)
    assert "gained at rank 1" in text
    record = json.loads(call(compare, a, b / "evaluation" / "made_up", "--json", "--draws", 500))
    assert record["difference"]["mAP"]["low"] > 0
    assert record["p_value"]["mAP"] < 0.01
    assert len(record["gained"]) > len(record["lost"])
    assert record["gained"][0]["path"].endswith(".jpg")
    call(compare, a, b, "--draws", 500, "--show", 2, "--sheet", tmp_path / "new" / "flips.png")
    with Image.open(tmp_path / "new" / "flips.png") as sheet:
        assert sheet.height > 4 * 192  # two gained and up to two lost, each answered twice
    call(compare, a, a, "--draws", 500, "--sheet", tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()


def test_runs_keep_their_names_and_a_sheet_its_size(tmp_path: Path) -> None:
    """Both runs are of one recipe; however many queries flip, the sheet shows MOST_FLIPS of them, each twice."""
    for name, noise in (("plain", 2.0), ("better", 0.5)):
        kept = evaluated(tmp_path / name, noise) / "evaluation" / "made_up"
        result = Result.load(kept)
        replace(result, context=result.context | {"run": name, "model": "strong_baseline"}).save(kept)
    words = [tmp_path / "plain", tmp_path / "better", "--draws", 500]
    done = CliRunner().invoke(compare, [*map(str, words), "--show", "100", "--sheet", str(tmp_path / "flips.png")])
    assert "first:  plain (strong_baseline) on made up" in done.stdout
    assert "second: better (strong_baseline) on made up" in done.stdout
    flipped = len(json.loads(call(compare, *words, "--json"))["gained"])
    assert flipped > MOST_FLIPS and f"(the first {MOST_FLIPS} of" in done.stderr
    with Image.open(tmp_path / "flips.png") as sheet:
        assert sheet.height < 5_500, "a page that no screen shows"
        assert sheet.width < 2_000
    other = ("plain", Result.load(tmp_path / "plain" / "evaluation" / "made_up"))
    page = write_report(tmp_path / "page", Result.load(tmp_path / "better" / "evaluation" / "made_up"), other=other)
    text = page.read_text()
    assert "plain" in text and "better" in text


def test_compare_refuses_what_cannot_be_compared(tmp_path: Path) -> None:
    a = evaluated(tmp_path / "a", 1.0)
    with pytest.raises(UsageError, match="no evaluation in"):
        call(compare, a, tmp_path)
    other = Result.load(a / "evaluation" / "made_up")
    q = people(1.0, 2, 1, 5)
    Result(other.report, q, other.gallery, {}).save(tmp_path / "b")
    with pytest.raises(EvaluationError, match="not evaluated on the same pictures"):
        call(compare, a, tmp_path / "b")


def test_calibrate_writes_a_file_that_answers(tmp_path: Path) -> None:
    people(0.5, 3, 1, 1).save(tmp_path / "one.npz")
    people(0.5, 3, 2, 2).save(tmp_path / "two.npz")
    text = call(calibrate, tmp_path / "one.npz", tmp_path / "two.npz", "--fmr", 0.01)
    assert "40 people, isotonic, cosine" in text
    made = Calibration.load(tmp_path / "calibration.json")
    assert made.model == "m"
    assert made.probability(0.99) > 0.9 > 0.1 > made.probability(0.0)
    out = tmp_path / "new" / "c.json"
    record = json.loads(call(calibrate, tmp_path / "one.npz", tmp_path / "two.npz", "--out", out, "--json"))
    assert record["file"] == str(out)
    assert [point["fmr"] for point in record["operating"]] == [1e-4, 1e-3, 1e-2]


def test_calibrate_refuses_two_models(tmp_path: Path) -> None:
    people(0.5, 3, 1, 1).save(tmp_path / "one.npz")
    people(0.5, 3, 2, 2, "other").save(tmp_path / "two.npz")
    with pytest.raises(CheckpointError, match="two models"):
        call(calibrate, tmp_path / "one.npz", tmp_path / "two.npz")
    np.savez(tmp_path / "short.npz", vectors=np.ones((4, 3)), pids=[1, 1, 2, 2])
    np.savez(tmp_path / "long.npz", vectors=np.ones((4, 5)), pids=[1, 1, 2, 2])
    with pytest.raises(CheckpointError, match="of 3 numbers .* of 5"):
        call(calibrate, tmp_path / "short.npz", tmp_path / "long.npz")


def test_calibrate_says_what_so_few_people_cannot_show(tmp_path: Path) -> None:
    people(0.5, 3, 1, 1).save(tmp_path / "one.npz")
    people(0.5, 3, 2, 2).save(tmp_path / "two.npz")
    text = call(calibrate, tmp_path / "one.npz", tmp_path / "two.npz", "--fmr", 1e-6, "--fmr", 0.01)
    assert "28,080 pairs of two people cannot show 1e-06:" in text  # 240 * 239 / 2 less 40 * 15 of one person
    assert Calibration.load(tmp_path / "calibration.json").too_rare == (1e-6,)
    assert "cannot show" not in call(calibrate, tmp_path / "one.npz", tmp_path / "two.npz", "--fmr", 0.01)
    np.savez(tmp_path / "nobody.npz", vectors=np.ones((4, 3)), pids=[-2, -2, -2, -2])
    with pytest.raises(EvaluationError, match="no pairs to calibrate on"):
        call(calibrate, tmp_path / "nobody.npz")


def test_calibrate_keeps_it_with_the_model_that_made_the_vectors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    people(0.5, 3, 1, 1).save(tmp_path / "one.npz")
    people(0.5, 3, 2, 2).save(tmp_path / "two.npz")
    (tmp_path / "run").mkdir()
    made = ["--model", tmp_path / "run", "--fmr", 0.01]
    monkeypatch.setattr("resight.models.load_model", lambda _: SimpleNamespace(fingerprint=lambda: "m"))
    call(calibrate, tmp_path / "one.npz", tmp_path / "two.npz", *made)
    made_of = Calibration.load(tmp_path / "run" / "calibration.json")
    assert made_of.model == "m" and not made_of.test_set
    monkeypatch.setattr("resight.models.load_model", lambda _: SimpleNamespace(fingerprint=lambda: "other"))
    with pytest.raises(CheckpointError, match="embed the people with this one"):
        call(calibrate, tmp_path / "one.npz", tmp_path / "two.npz", *made)


def test_the_test_set_is_not_calibrated_on_by_default(tmp_path: Path) -> None:
    folder = evaluated(tmp_path / "a", 0.5) / "evaluation" / "made_up"
    files = [folder / "query.npz", folder / "gallery.npz"]
    with pytest.raises(UsageError, match="people of an evaluation"):
        call(calibrate, *files)
    assert "40 people" in call(calibrate, *files, "--test-set", "--out", tmp_path / "c.json", "--fmr", 0.01)
    assert Calibration.load(tmp_path / "c.json").test_set


def test_a_model_brings_its_calibration_unless_told_not_to(tmp_path: Path) -> None:
    people(0.5, 3, 1, 1).save(tmp_path / "one.npz")
    people(0.5, 3, 2, 2).save(tmp_path / "two.npz")
    run = tmp_path / "run"
    call(calibrate, tmp_path / "one.npz", tmp_path / "two.npz", "--out", run / "calibration.json", "--fmr", 0.01)
    made = Calibration.load(run / "calibration.json").to_dict()
    for model, file, fmr in ((run, None, None), (run / "m.safetensors", None, 0.01), (tmp_path, run / KEPT, None)):
        found = calibration_for(model, "m", file, fmr, without=False)
        assert found is not None and found.to_dict() == made
    assert calibration_for(run, "m", None, None, without=True) is None
    assert calibration_for(tmp_path, "m", None, None, without=False) is None
    with pytest.raises(CheckpointError, match="go on without: --no-calibration"):
        calibration_for(run, "another", None, None, without=False)
    assert calibration_for(run, "another", None, None, without=True) is None
    with pytest.raises(UsageError, match="choose one"):
        calibration_for(run, "m", None, 0.01, without=True)
    with pytest.raises(UsageError, match="needs a calibration"):
        calibration_for(tmp_path, "m", None, 0.01, without=False)
    with pytest.raises(EvaluationError, match="there are 0.01"):
        calibration_for(run, "m", None, 0.5, without=False)


def test_calibrating_on_people_the_model_was_trained_on_is_told(
    tmp_path: Path,
) -> None:
    root = write_people(tmp_path / "people", train_ids=6)
    run = tmp_path / "run"
    run.mkdir()
    model = models.build("strong_baseline", 6, backbone={"name": "resnet10", "width": 4}, input_size=(64, 32))
    models.save_model(model, run)
    recipe = Recipe.load("strong_baseline_market1501").override("data.name=market", f"data.root={root}")
    (run / "recipe.toml").write_text(recipe.to_toml())
    how = ("--model", run, "--fmr", 0.1, "--folds", 2)
    result = CliRunner().invoke(calibrate, [*map(str, ("--dataset", "market", "--root", root, *how))])
    assert result.exit_code == 0, result.output
    assert "was trained on 36 of these pictures" in result.stderr
    assert Calibration.load(run / "calibration.json").source == "market"
    with pytest.raises(UsageError, match="would flatter"):
        call(calibrate, "--dataset", "market", "--root", root, *how, "--split", "query")
    with pytest.raises(UsageError, match="give VECTORS, or --dataset"):
        call(calibrate)


def test_results_of_different_rules_are_compared_with_a_note(tmp_path: Path) -> None:
    evaluated(tmp_path / "a", 0.5)
    other = evaluated(tmp_path / "b", 0.5) / "evaluation" / "made_up"
    assert different_rules(Result.load(other), Result.load(tmp_path / "a" / "evaluation" / "made_up")) is None
    there = other.with_name("made_up+rerank-paper-20-6-0.3")
    replace(Result.load(other), rerank=Reranking()).save(there)
    assert newest(tmp_path / "b") == other  # a run stands for its plain result
    done = CliRunner().invoke(compare, [str(tmp_path / "a"), str(there)])
    assert "the first result is plain, the second rerank-paper-20-6-0.3" in done.stderr
