"""Several processes train what one process would have trained, and what one began another number can go on with."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from resight.cli import main
from resight.training.objective.objective import Objective
from resight.training.objective.terms import TermConfig, offered
from resight.types import IGNORE, Batch, ReIDOutput
from tests.people import write_people
from tests.ranks import averaged, backward, launch, own_share, run
from tests.training import spread

FOUR = ["plain", "in pieces"]


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_people(tmp_path_factory.mktemp("people"), train_ids=8, cameras=2, shots=2))


@pytest.fixture(scope="module")
def alone(people: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    found: dict[str, Any] = run(1, spread.cases, people, str(tmp_path_factory.mktemp("alone")), sorted(spread.CASES))[0]
    return found


@pytest.fixture(scope="module")
def two(people: str, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return run(2, spread.cases, people, str(tmp_path_factory.mktemp("two")), sorted(spread.CASES))


@pytest.fixture(scope="module")
def four(people: str, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return run(4, spread.cases, people, str(tmp_path_factory.mktemp("four")), FOUR)


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("begun")


@pytest.fixture(scope="module")
def other(people: str, begun: Path) -> list[dict[str, Any]]:
    return run(2, spread.other_ways, people, str(begun))


def assert_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Weights, averaged weights, statistics, what losses own; and the journal, which only rank 0 writes."""
    assert found["tensors"].keys() == expected["tensors"].keys()
    for name, tensor in expected["tensors"].items():
        torch.testing.assert_close(found["tensors"][name], tensor, rtol=0, atol=1e-10, msg=name)
    for mine, theirs in zip(found["lines"], expected["lines"], strict=True):
        assert mine["step"] == theirs["step"]
        assert mine["parts"] == pytest.approx(theirs["parts"], abs=1e-6)
        assert (mine["total"], mine["spread"]) == pytest.approx((theirs["total"], theirs["spread"]), abs=1e-6)


@pytest.mark.parametrize("case", sorted(spread.CASES))
def test_two_processes_train_what_one_does(case: str, alone: dict[str, Any], two: list[dict[str, Any]]) -> None:
    for each in two:
        assert_same(each[case], alone[case])


@pytest.mark.parametrize("case", FOUR)
def test_four_processes_train_what_one_does(case: str, alone: dict[str, Any], four: list[dict[str, Any]]) -> None:
    for each in four:
        assert_same(each[case], alone[case])


def test_the_trainings_move(alone: dict[str, Any]) -> None:
    """Else nothing above could fail; the controller in fact changes its mind, and the pool of patches is used."""
    for case in spread.CASES:
        assert alone[case]["lines"][0]["total"] != alone[case]["lines"][-1]["total"]
    assert {line["mode"] for line in alone["controller"]["lines"]} == {"id", "joint"}
    assert alone["plain"]["patches"] >= spread.READY


def test_every_process_comes_to_the_same_decision(two: list[dict[str, Any]]) -> None:
    first, second = (each["controller"]["facts"] for each in two)
    assert first == second
    assert first["tasks"]["triplet"][0] is not None  # it was measured


def test_a_model_in_pieces_trains_what_a_whole_one_does(alone: dict[str, Any], other: list[dict[str, Any]]) -> None:
    for each in other:
        assert_same(each["fsdp"], alone["batch norm"])
        assert_same(each["fsdp, cached"], alone["cached"])
        assert_same(each["fsdp, frozen"], alone["frozen"])
        assert each["pieces"]["classifier.weight"] == (4, 32)  # of (8, 32)
        assert "pool.p" not in each["pieces"]  # a scalar cannot be cut


def test_statistics_of_each_process_end_as_their_mean(alone: dict[str, Any], other: list[dict[str, Any]]) -> None:
    """Without the synced norm the processes agree among themselves, on something else than one process finds."""
    first, second = (each["own statistics"]["tensors"] for each in other)
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name
    expected = alone["batch norm"]["tensors"]
    assert (first["model.neck.running_var"] - expected["model.neck.running_var"]).abs().max() > 1e-3


@pytest.mark.parametrize(("world", "mode"), [(1, "ddp"), (4, "fsdp")])
def test_one_told_all_stop_and_another_number_goes_on(
    world: int, mode: str, people: str, begun: Path, other: list[dict[str, Any]], alone: dict[str, Any], tmp_path: Path
) -> None:
    for each in other:
        assert all(said.startswith("Interrupted: stopped at step 3") for said in each["stopped"].values())
    names = list(other[0]["stopped"])
    shutil.copytree(begun, tmp_path / "copy")
    for each in run(world, spread.resumed, people, str(tmp_path / "copy"), names, mode):
        for name in names:
            assert_same(each[name], alone[name])


def _half_annotated() -> dict[str, torch.Tensor]:
    """Heads evaluated in a batch where one process's pictures have no label for one of them, and nobody for another."""
    draws = torch.Generator().manual_seed(0)
    features = torch.randn(8, 5, generator=draws, dtype=torch.float64)
    labels = {"hat": [0, 1, 1, 0] + 4 * [IGNORE], "bag": 8 * [IGNORE], "sex": [0, 1] * 4}
    heads = nn.ModuleDict({name: nn.Linear(5, 2).double() for name in labels})
    for parameter in heads.parameters():
        nn.init.normal_(parameter, generator=draws)
    mine = own_share(features)
    output = ReIDOutput({"global": mine}, {f"attribute/{name}": head(mine) for name, head in heads.items()})
    attributes = {name: own_share(torch.tensor(values)) for name, values in labels.items()}
    pids = own_share(torch.arange(8) // 2)
    batch = Batch(mine, pids, torch.zeros_like(pids), pids, attributes)
    config = TermConfig("attributes", "cross_entropy", "logits.attribute/*", target="attributes.*")
    report = Objective([config], offered(output), 4)(output, batch)
    backward(report.total)
    gradients = {name: averaged(p.grad) for name, p in heads.named_parameters() if p.grad is not None}
    settled = report.settled()
    return gradients | {"total": settled.total, "part": settled.parts["attributes"], "spread": settled.spread}


def test_heads_that_only_some_pictures_are_annotated_for() -> None:
    alone = _half_annotated()
    for each in run(2, _half_annotated):
        assert each.keys() == alone.keys() == {"hat.weight", "hat.bias", "sex.weight", "sex.bias", *list(each)[-3:]}
        for name, tensor in alone.items():
            torch.testing.assert_close(each[name], tensor, rtol=0, atol=1e-12)


def test_processes_that_differ_are_told(other: list[dict[str, Any]]) -> None:
    for each in other:
        assert "TrainingError: the processes differ in their recipe: process 0 has" in each["differs"]
        assert "feed.main.ids is 5, which 2 processes cannot share. Choose a multiple of 2" in each["unshared"]


def _commands(*commands: list[str]) -> list[tuple[int, str, str]]:
    """Exit code, output and errors of each command, one after the other."""
    ends = []
    for command in commands:
        out, err = io.StringIO(), io.StringIO()
        code = 0
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                main(command)
            except SystemExit as ended:
                code = int(ended.code or 0)
        ends.append((code, out.getvalue(), err.getvalue()))
    return ends


def test_the_verbs_speak_and_write_once(people: str, tmp_path: Path) -> None:
    run_folder, settings = str(tmp_path / "run"), ["--device", "cpu", "--json"]
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(_tiny(people))
    wrong = ["train", str(recipe), "--out", run_folder, "--set", "model.name=baselin", "--device", "cpu"]
    trained = ["train", str(recipe), "--out", run_folder, *settings]
    evaluated = ["evaluate", run_folder, *settings]
    first, second = launch(2, _commands, wrong, trained, evaluated)
    alone = launch(1, _commands, ["evaluate", run_folder, "--out", str(tmp_path / "alone"), *settings])[0]
    assert [code for code, _, _ in first] == [code for code, _, _ in second] == [2, 0, 0]
    assert (first[0][2] + second[0][2]).count("there is no model named 'baselin'") == 1
    assert [out for _, out, _ in second[1:]] == ["", ""]
    assert json.loads(first[1][1])["processes"] == 2
    assert [json.loads(out)["report"] for out in (first[2][1], alone[0][1])] == 2 * [json.loads(alone[0][1])["report"]]


def _tiny(people: str) -> str:
    lines = spread.recipe(people, "batch norm").override("train.ema=0.0", "validate.on=test", "validate.every=1")
    return lines.to_toml()
