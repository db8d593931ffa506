"""Where results about a run are kept, and that a run is found from any folder."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from resight.cli.common.run_folder import dataset_for, evaluation_folder, home
from resight.cli.evaluation.evaluate_options import Chosen
from resight.data import Dataset, load_dataset
from resight.recipe import Recipe
from tests.data import forms

OPTIONS = {
    "k1": (), "k2": (), "lam": (), "variant": "paper", "context": "all", "expand": False, "expand_gallery": False,
    "expand_k": 5, "alpha": 3.0, "ap_mode": None, "camera_rule": None, "no_match": None, "ties": None, "on_nan": None,
    "separate_camera": False, "no_distractors": False, "multi_query": None, "single_shot": False, "memory": None,
    "rerank": False,
}  # fmt: skip


def _keep(folder: Path, dataset: Dataset) -> Path:
    folder.mkdir(parents=True)
    context = {"version": dataset.version, "root": str(dataset.root.resolve())}
    (folder / "result.json").write_text(json.dumps({"context": context}))
    return folder


def test_a_second_table_does_not_replace_the_first(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    sets = [load_dataset("csv", forms.table(tmp_path / name)) for name in ("shop", "mall", "square")]
    folders = [_keep(evaluation_folder(run, dataset), dataset) for dataset in sets]
    assert len(set(folders)) == 3 and folders[0] == run / "evaluation" / "csv"
    assert [evaluation_folder(run, dataset) for dataset in sets] == folders, "the same evaluation finds its folder"


def test_versions_and_rules_of_a_published_set_stand_side_by_side(tmp_path: Path) -> None:
    market = Dataset("market1501", "v15.09.15", tmp_path)
    plain = _keep(evaluation_folder(tmp_path, market), market)
    assert plain == tmp_path / "evaluation" / "market1501"
    assert evaluation_folder(tmp_path, replace(market, root=tmp_path / "moved")) == plain
    hand = replace(market, version="v15.09.15, hand-drawn boxes")
    assert evaluation_folder(tmp_path, hand).name == "market1501-v15.09.15-hand-drawn-boxes"
    assert evaluation_folder(tmp_path, market, "rerank-20-6-0.3").name == "market1501-rerank-20-6-0.3"


@pytest.mark.parametrize(
    ("options", "slug"),
    [
        ({}, ""),
        ({"rerank": True}, "rerank-20-6-0.3"),
        ({"rerank": True, "variant": "fastreid", "context": "gallery_only"}, "rerank-20-6-0.3-fastreid-gallery_only"),
        ({"expand": True}, "expand-queries-5-3"),
        ({"multi_query": "mean", "ap_mode": "trapezoid"}, "ap-mode-trapezoid-multi-query-mean"),
    ],
)
def test_rules_have_a_name(options: dict[str, object], slug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resight.cli.evaluation.evaluate_options.given", lambda _: False)
    assert Chosen.of(OPTIONS | options).slug == slug


@pytest.mark.parametrize(
    ("model", "kept"), [("synth_small", "runs/synth_small"), ("somebody/model", "runs/somebody--model")]
)
def test_results_of_models_without_a_folder_are_kept_under_runs(
    model: str, kept: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert home(Path(model)) == Path(kept)


def test_a_run_finds_its_data_from_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The root given to `train` as a relative path is kept as an absolute one."""
    from resight.cli import main

    monkeypatch.chdir(tmp_path)
    forms.table(tmp_path / "data" / "mine")
    kept: list[Recipe] = []

    def train(recipe: Recipe, *_: object, **__: object) -> None:
        kept.append(recipe)
        raise SystemExit(0)

    monkeypatch.setattr("resight.run.train", train)
    relative = ["--set", "data.name=csv", "--set", "data.root=data/mine"]
    with pytest.raises(SystemExit):
        main(["train", "strong_baseline_sample", *relative, "--out", "run"])
    asked = Recipe.load("strong_baseline_sample").override("data.name=csv", "data.root=data/mine")
    assert kept[0].hash == asked.hash, "a run begun before is not refused"
    run = tmp_path / "run"
    run.mkdir(exist_ok=True)
    (run / "recipe.toml").write_text(kept[0].to_toml())
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    dataset, context = dataset_for(run, None, None, {})
    assert len(dataset.train) == 2 and context["root"] == str(tmp_path / "data" / "mine")
