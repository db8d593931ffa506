"""The weights that come with the package: small, described, without anybody's labels, and better than pixels."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from resight import models
from resight.cli.common.run_folder import calibration_of
from resight.data import load_dataset
from resight.errors import UnknownNameError
from resight.evaluation import calibrate, labeled_pairs
from resight.inference import Extractor, RawPixels, embed_samples, evaluate
from resight.models.files.model_file import FILE, SHELF

NAMES = models.trained()
MOST = {"synth_small": 10e6, "synth_base": 30e6}  # bytes
REAL = Path(os.environ.get("RESIGHT_DATA", "")) / "pku-reid-mini"


@pytest.mark.parametrize("name", NAMES)
def test_packaged_weights_are_small_and_say_what_they_are(name: str) -> None:
    card = models.trained_card(name)
    assert card["name"] == name
    assert {"data", "licence", "command", "recipe", "seed", "figures", "limits"} <= set(card)
    assert {"name", "terms", "seed", "identities", "pictures", "cameras"} <= set(card["data"])
    assert all(figure["command"] for figure in card["figures"])
    assert (SHELF / name / FILE).stat().st_size < MOST[name]
    assert not list(models.read_model(name).classifiers())


def test_a_folder_of_that_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    mine = models.build("strong_baseline", 2, backbone={"name": "resnet10", "width": 4}, input_size=(64, 32))
    models.save_model(mine, tmp_path / "synth_small")
    assert models.load_model("synth_small").fingerprint() == mine.fingerprint()


def test_an_unknown_card_names_the_known() -> None:
    with pytest.raises(UnknownNameError, match="synth_small"):
        models.trained_card("synth_smal")


@pytest.mark.parametrize("name", NAMES)
def test_it_finds_people_it_never_saw(name: str) -> None:
    people = load_dataset("sample")
    found, raw = (evaluate(model, people).report for model in (models.load_model(name), RawPixels()))
    assert raw.rank(1) + 0.5 < found.rank(1) < 0.95  # and the bundled people stay a question
    assert found.mAP == pytest.approx(figure(name, "sample"), abs=0.005)  # arithmetic differs between processors


@pytest.mark.skipif(not REAL.is_dir(), reason="no real crops here: RESIGHT_DATA")
@pytest.mark.parametrize("name", NAMES)
def test_real_people_too(name: str) -> None:
    report = evaluate(models.load_model(name), load_dataset("pku_reid_mini", root=REAL)).report
    assert report.mAP == pytest.approx(figure(name, "pku_reid_mini"), abs=0.01)


def figure(name: str, dataset: str) -> float:
    """The mAP the card states."""
    stated = next(f for f in models.trained_card(name)["figures"] if f["dataset"].startswith(dataset))
    return float(stated["mAP"])


@pytest.mark.parametrize("name", NAMES)
def test_packaged_weights_bring_a_calibration_on_people_they_never_saw(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # from wherever it is asked
    found = calibration_of(Path(name), models.read_model(name).fingerprint())
    assert found is not None and found.model == models.read_model(name).fingerprint()
    assert found.source == "sample" and not found.test_set


def test_the_calibration_is_what_the_verb_finds() -> None:
    model = models.load_model("synth_small")
    found = calibration_of(Path("synth_small"), model.fingerprint())
    train = load_dataset("sample").train
    made = embed_samples(Extractor(model, device="cpu", precision="fp32"), train, None)[0]
    again = calibrate(labeled_pairs(made.vectors, made.pids, made.camids), fmr=(1e-3,))
    assert found is not None
    assert again.threshold(1e-3) == pytest.approx(found.threshold(1e-3), abs=2e-3)
