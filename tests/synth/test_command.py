"""`resight synth` as a user meets it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from resight.cli.common import output
from resight.cli.data import synth
from resight.synth import DIALS, PRESETS, Summary, SynthConfig
from resight.training.monitoring.progress import Silent

TINY = [
    "--identities", "4", "--cameras", "2", "--images", "1", "--distractors", "0", "--junk", "0", "--samples", "1",
    "--resolution", "1", "--seed", "4",
]  # fmt: skip


def test_the_command_knows_every_dial_and_preset() -> None:
    assert tuple(synth.DIALS) == DIALS
    assert tuple(synth.PRESETS) == tuple(PRESETS)


def test_help_ends_with_an_example_and_needs_no_renderer() -> None:
    code = (
        "import sys; from click.testing import CliRunner; from resight.cli.data.synth import command;"
        "print(CliRunner().invoke(command, ['--help']).output);"
        "assert not {'mitsuba', 'numpy', 'torch'} & set(sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.rstrip().endswith("--seed 7 people")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, int]]:
    """A data set made in one go, and what the command said about it."""
    pytest.importorskip("mitsuba", reason="the renderer is not installed")
    root = tmp_path_factory.mktemp("synth") / "whole"
    return root, asked(root)


def asked(root: Path) -> dict[str, int]:
    answer = CliRunner().invoke(synth.command, [*TINY, "--workers", "1", str(root), "--json"], catch_exceptions=False)
    return dict(json.loads(answer.stdout))


def test_making_and_making_again(whole: tuple[Path, dict[str, int]]) -> None:
    root, first = whole
    assert first["made"] == first["pictures"] == 8
    assert (first["train"], first["query"], first.get("gallery", 0)) == (4, 2, 2)
    assert asked(root)["made"] == 0
    declared = json.loads((root / "synth.json").read_text())["config"]
    assert (declared["seed"], declared["resolution"], declared["misalign"]) == (4, 1.0, PRESETS["sample"].misalign)


def test_options_become_the_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given: list[SynthConfig] = []

    def made(config: SynthConfig, out: Path, **_: object) -> Summary:
        given.append(config)
        return Summary(out, 0, 0, 1.0, {})

    monkeypatch.setattr("resight.synth.generate", made)
    line = "--identities 500 --cameras 6 --images 20 --misalign 0.3 --occlude 0.4 --lookalikes 0.2 --seed 7"
    result = CliRunner().invoke(synth.command, [*line.split(), str(tmp_path)], catch_exceptions=False)
    assert result.exit_code == 0
    changed = {"misalign": 0.3, "occlude": 0.4, "lookalikes": 0.2, "seed": 7}
    assert given == [replace(PRESETS["sample"], identities=500, cameras=6, images=20, **changed)]  # type: ignore[arg-type]


def test_interrupted_then_killed_it_goes_on_to_the_same_bytes(
    whole: tuple[Path, dict[str, int]], tmp_path: Path
) -> None:
    cut = tmp_path / "cut"
    command = [sys.executable, "-m", "resight", "synth", *TINY, str(cut)]
    assert stopped([*command, "--workers", "1"], cut, 2, signal.SIGINT) == 75
    assert not (cut / "manifest.sha256").exists()
    assert stopped([*command, "--workers", "2"], cut, 5, signal.SIGKILL) == -signal.SIGKILL
    assert 0 < asked(cut)["made"] <= 6
    assert contents(cut) == contents(whole[0])


def stopped(command: list[str], root: Path, pictures: int, how: signal.Signals) -> int:
    """The exit code of a run that is sent a signal as soon as there are so many pictures."""
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while run.poll() is None and len(list(root.glob("*/*.jpg"))) < pictures:
        time.sleep(0.005)
    run.send_signal(how)
    return run.wait(120)


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_progress_counts_pictures_and_starts_where_the_work_does() -> None:
    said: list[tuple[object, ...]] = []

    class Told(Silent):
        def begin(self, title: str, total: int, done: int = 0) -> None:
            said.append((title, total, done))

        def advance(self, done: int, note: str = "") -> None:
            said.append((done, note))

    progress = output.counting(Told(), "rendering")
    for done in (1_000, 1_001):
        progress(done, 48_880)
    assert said == [("rendering", 48_880, 1_000), (1_000, "1,000 of 48,880"), (1_001, "1,001 of 48,880")]


@pytest.mark.parametrize("wrong", [["--misalign", "2"], ["--preset", "impossible"], ["--cameras", "1"]])
def test_a_wrong_question_makes_nothing(wrong: list[str], tmp_path: Path) -> None:
    result = CliRunner().invoke(synth.command, [*wrong, str(tmp_path / "people")])
    assert result.exit_code != 0
    assert not (tmp_path / "people").exists()
