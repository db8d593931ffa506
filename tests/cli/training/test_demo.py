"""`resight demo`, with a network and a training so small that it takes seconds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from resight.gallery import Gallery
from resight.models import load_model, trained_card
from resight.recipe import Recipe
from tests.shell import resight

TINY = ("model.backbone.name=resnet10", "model.backbone.width=8", "model.input_size=[64, 32]", "train.epochs=1",
        "train.precision=fp32")  # fmt: skip


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with the demo's recipe made small."""
    recipe = Recipe.load("strong_baseline_sample").override(*TINY)
    (tmp_path / "tiny.toml").write_text(recipe.to_toml(), encoding="utf-8")
    monkeypatch.setattr("resight.cli.training.demo.RECIPE", str(tmp_path / "tiny.toml"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_the_demo_trains_evaluates_searches_reports_and_indexes(tiny: Path) -> None:
    done = resight("demo", "--out", "demo")
    assert done.returncode == 0, done.stderr
    assert f"trained on {trained_card('synth_small')['data']['identities']:,} other synthetic people" in done.stdout
    assert (tiny / "demo" / "report" / "index.html").is_file() and (tiny / "demo" / "search.png").is_file()
    with Gallery.open(tiny / "demo" / "gallery", model=load_model("synth_small")) as gallery:
        assert len(gallery) == 568 and gallery.count(cameras=["camera 1"]) > 0
        assert gallery.settings["model"] == "synth_small"  # so that `resight search` needs no --model

    again = resight("demo", "--out", "demo", "--json")  # goes on from what is there: nothing is trained or added twice
    scores = json.loads(again.stdout)
    assert again.returncode == 0 and scores["raw_pixels"]["rank1"] < scores["synth_small"]["rank1"]
    assert f"mAP {100 * scores['scores']['mAP']:.2f}%" in done.stdout
    with Gallery.open(tiny / "demo" / "gallery", model=load_model("synth_small")) as gallery:
        assert len(gallery) == 568
