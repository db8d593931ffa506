"""`resight synth` as a user meets it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from resight.cli import synth
from resight.synth import DIALS, PRESETS

TINY = ["--identities", "4", "--cameras", "2", "--images", "1", "--distractors", "0", "--junk", "0", "--samples", "1"]


def test_the_command_knows_every_dial_and_preset() -> None:
    assert tuple(synth.DIALS) == DIALS
    assert tuple(synth.PRESETS) == tuple(PRESETS)


def test_help_ends_with_an_example_and_needs_no_renderer() -> None:
    code = (
        "import sys; from click.testing import CliRunner; from resight.cli.synth import command;"
        "print(CliRunner().invoke(command, ['--help']).output);"
        "assert not {'mitsuba', 'numpy', 'torch'} & set(sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.rstrip().endswith("--seed 7 people")


def test_making_and_making_again(tmp_path: Path) -> None:
    pytest.importorskip("mitsuba", reason="the renderer is not installed")
    arguments = [*TINY, "--resolution", "1", "--workers", "1", "--seed", "4", str(tmp_path / "people"), "--json"]
    first = json.loads(CliRunner().invoke(synth.command, arguments, catch_exceptions=False).stdout)
    assert first["made"] == first["pictures"] == 8
    assert (first["train"], first["query"], first.get("gallery", 0)) == (4, 2, 2)
    again = json.loads(CliRunner().invoke(synth.command, arguments, catch_exceptions=False).stdout)
    assert again["made"] == 0
    declared = json.loads((tmp_path / "people" / "synth.json").read_text())["config"]
    assert (declared["seed"], declared["resolution"], declared["misalign"]) == (4, 1.0, PRESETS["sample"].misalign)


@pytest.mark.parametrize("wrong", [["--misalign", "2"], ["--preset", "impossible"], ["--cameras", "1"]])
def test_a_wrong_question_makes_nothing(wrong: list[str], tmp_path: Path) -> None:
    result = CliRunner().invoke(synth.command, [*wrong, str(tmp_path / "people")])
    assert result.exit_code != 0
    assert not (tmp_path / "people").exists()
