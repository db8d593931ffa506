"""Where the time goes: every moment has one owner, and looking leaves nothing behind."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from resight.cli import main
from resight.recipe import Recipe
from resight.run import profile, train
from resight.training.monitoring.profiler import PHASES
from resight.training.monitoring.timing import REST, Stopwatch, phase, watching
from tests.tiny import tiny


@pytest.fixture(scope="module")
def plan(people: Path) -> Recipe:
    return tiny(people, "train.epochs=2", "train.steps_per_epoch=2")


def test_every_moment_belongs_to_the_innermost_phase(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([0.0, 1.0, 3.0, 6.0, 10.0, 15.0])  # made, outer, inner, inner ends, outer ends, the end
    monkeypatch.setattr(time, "perf_counter", lambda: next(moments))
    with watching(Stopwatch()) as watch, phase("outer"), phase("inner"):
        pass
    assert watch.seconds == {REST: 1 + 5, "outer": 2 + 4, "inner": 3}


def test_nobody_watching_costs_no_phase() -> None:
    watch = Stopwatch()
    with phase("alone"):
        pass
    assert not watch.seconds


def test_a_profile_accounts_for_the_whole_step_and_leaves_only_itself(plan: Recipe, tmp_path: Path) -> None:
    found = profile(plan, tmp_path / "run", steps=2)
    assert tuple(found.phases) == PHASES
    assert sum(found.phases.values()) == pytest.approx(found.seconds, rel=0.02)
    assert all(found.phases[name] > 0 for name in PHASES)
    assert found.images == 6
    assert any("conv" in operator.name for operator in found.operators)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["profile"]
    trace = json.loads((tmp_path / "run" / "profile" / "trace.json").read_text())
    assert {"forward", "loss", "backward", "optimizer"} <= {event.get("name") for event in trace["traceEvents"]}


def test_a_run_is_left_as_it_was(plan: Recipe, tmp_path: Path) -> None:
    train(plan, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    profile(plan, tmp_path, steps=1)
    assert before == {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}


def test_on_the_command_line(plan: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "tiny.toml"
    file.write_text(plan.to_toml())
    main(["train", str(file), "--out", str(tmp_path / "run"), "--profile", "1"])
    said = capsys.readouterr().out
    assert "1 steps of 6 images on cpu, fp32" in said
    assert all(name in said for name in PHASES)
    with pytest.raises(SystemExit, match="2"):
        main(["train", str(file), "--out", str(tmp_path / "run"), "--fresh", "--profile"])
