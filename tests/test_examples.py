"""Every example runs as it is written."""

from __future__ import annotations

import runpy
import shutil
import sys
from pathlib import Path

import pytest

import resight

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(name: str, *arguments: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")


@pytest.mark.parametrize(("name", "said"), [("embed_and_compare", "1.000"), ("evaluate_other_features", "re-ranked")])
def test_without_pictures_of_ones_own(
    name: str, said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(name, monkeypatch=monkeypatch)
    assert said in capsys.readouterr().out


def test_fine_tuning_on_a_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    train = resight.load_dataset("sample").train
    people = sorted({sample.pid for sample in train})[:16]
    for sample in train:
        if sample.pid in people:
            folder = tmp_path / "people" / f"{sample.pid:04}"
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(sample.path, folder)
    run("finetune_on_folder", str(tmp_path / "people"), str(tmp_path / "run"), "--epochs", "1", monkeypatch=monkeypatch)
    assert "after  mAP" in capsys.readouterr().out


def test_no_example_is_left_out() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {
        "embed_and_compare",
        "evaluate_other_features",
        "finetune_on_folder",
    }
