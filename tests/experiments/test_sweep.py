"""A sweep asks for what its page says, goes on where it stopped, and claims no difference it cannot show."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import time
from dataclasses import replace
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from resight import models
from resight.assembly import build_model, build_objective, load_data
from resight.cli.training.sweep import command
from resight.data import hold_out, load_dataset
from resight.data.formats.writer import write
from resight.data.loading.decode import decode
from resight.errors import (
    CheckpointError,
    DatasetError,
    Interrupted,
    RecipeError,
    TrainingError,
    UnknownNameError,
    UsageError,
)
from resight.evaluation import compare, evaluate_features
from resight.experiments import comparison, runner
from resight.experiments.comparison import compare_runs, pooled
from resight.experiments.differences import SAME
from resight.experiments.runner import SweepRunner, results_of
from resight.experiments.sweep import Sweep, SweepDataset, budgeted, sweeps
from resight.experiments.tables import comma_separated, markdown, page, write_tables
from resight.inference import Result
from resight.recipe import Recipe
from resight.run import train
from tests.people import write_people
from tests.tiny import tiny

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from resight.data import Dataset
    from resight.evaluation import Report

SETTINGS = ("train.steps_per_epoch=2", "schedule.name=step", "schedule.warmup=1", "schedule.milestones=[2]")
SWEEP = """
name = "small"
seeds = [0, 1]
[[variants]]
name = "both"
recipe = "tiny.toml"
[[variants]]
name = "identity | only"
recipe = "tiny.toml"
drop = ["triplet"]
set = ["train.epochs=2"]
[[variants]]
name = "before the neck"
weights_of = "both"
set = ['model.retrieval=["global"]']
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweep")
    people = write_people(folder / "people")
    (folder / "tiny.toml").write_text(tiny(people, *SETTINGS).to_toml())
    (folder / "small.toml").write_text(SWEEP)
    return folder


@pytest.fixture(scope="module")
def finished(home: Path) -> tuple[Sweep, Path]:
    sweep, out = Sweep.load(home / "small.toml"), home / "out"
    assert SweepRunner(sweep, out, "cpu").run() == []
    return sweep, out


@pytest.fixture(scope="module")
def sample() -> Dataset:
    return load_dataset("sample")


@pytest.mark.parametrize("name", sweeps())
def test_every_packaged_sweep_can_be_trained(name: str, sample: Dataset) -> None:
    """Each variant's objective fits its model, on the meta device; no two variants are alike."""
    sweep = Sweep.load(name)
    assert sweep.name == name and sweep.about and len(sweep.seeds) >= 2 and len(sweep.variants) >= 3
    assert len({sweep.recipe(variant).hash for variant in sweep.variants}) == len(sweep.variants)
    fitted = set()
    for variant in sweep.variants:
        recipe = sweep.recipe(variant, 1)
        assert recipe.seed == 1
        pair = repr((recipe.model, recipe.objective, list(recipe.feed), recipe.labels.source))
        if pair not in fitted:
            fitted.add(pair)
            with torch.device("meta"):
                build_objective(recipe, sample)
        if sweep.presentations is not None:
            assert budgeted(recipe, sweep.presentations, len(sample.train)).train.epochs >= 1


@pytest.mark.parametrize("name", ["mancs", "hacnn", "pyramid", "mdpr"])
def test_each_system_has_a_sweep_that_measures_a_drop(name: str) -> None:
    """Three rows, two seeds, one budget, trained on the bundled people, evaluated on an easy and a hard set."""
    sweep = Sweep.load(f"dials_{name}")
    assert len(sweep.variants) == 3 and len(sweep.seeds) == 2 and sweep.presentations == 8960
    assert sweep.change == tuple(target.label for target in sweep.evaluate)
    assert all(sweep.recipe(variant).data.name == "sample" for variant in sweep.variants)
    head = (resources.files("resight.sweeps") / f"dials_{name}.toml").read_text("utf-8")
    for target in sweep.evaluate:
        assert re.search(rf"resight synth {re.escape(target.root or '-')} ", head)


def test_a_root_may_name_a_variable_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEOPLE", "/somewhere")
    assert SweepDataset("market", "$PEOPLE/clean").place == "/somewhere/clean"
    assert SweepDataset("market", "plain/clean").place == "plain/clean" and SweepDataset("market").place is None
    monkeypatch.delenv("PEOPLE")
    with pytest.raises(RecipeError, match="the environment has no PEOPLE"):
        _ = SweepDataset("market", "${PEOPLE}/clean").place


def test_runs_are_trained_where_a_variable_says(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEOPLE", str(home))
    sweep = Sweep.load(home / "small.toml").moved(("market=$PEOPLE/people",))
    trial, runner = sweep.trials()[0], SweepRunner(sweep, tmp_path, "cpu")
    recipe = runner.recipe(trial)
    assert recipe.data.root == str(home / "people") and len(load_data(recipe).train)
    (target,) = runner.evaluated_on(trial, recipe)
    assert len(runner._dataset(target, recipe).query)
    assert list(runner._data) == [f"{recipe.data}"]  # that of the recipe itself


@pytest.mark.parametrize("content", [b"\xff", b"{", b"{}", b"[]"])
def test_a_damaged_result_is_named(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "evaluation" / "market" / "result.json"
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match="result.json is damaged"):
        results_of(tmp_path)


def test_the_methods_and_the_lecture_are_provided() -> None:
    assert {"mancs", "hacnn", "pyramid", "mdpr", "lecture", "heads", "systems"} <= set(sweeps())


def test_a_grid_is_the_product_of_its_values(home: Path) -> None:
    text = '[[variants]]\nname = "k"\nrecipe = "tiny.toml"\ngrid = { "optim.lr" = [1e-3, 2e-3], "seed" = [0, 1, 2] }\n'
    sweep = Sweep.from_toml('name = "g"\n' + text, folder=home)
    assert len(sweep.variants) == 6
    assert sweep.variants[4].name == "k lr=0.002 seed=1"
    assert sweep.recipe(sweep.variants[4]).optim.lr == 2e-3


def test_a_selected_variant_brings_every_one_that_its_weights_come_from(home: Path) -> None:
    chain = (home / "small.toml").read_text() + '[[variants]]\nname = "after it"\nweights_of = "before the neck"\n'
    sweep = Sweep.from_toml(chain.replace('weights_of = "both"', 'weights_of = "identity | only"'), folder=home)
    assert sweep.only(("after it",)).variants == sweep.variants
    assert [variant.name for variant in sweep.only(("identity | only",)).variants] == ["both", "identity | only"]


def test_seeds_come_last_so_that_a_whole_table_stands_early(home: Path) -> None:
    trials = Sweep.load(home / "small.toml").trials()
    assert [trial.seed for trial in trials] == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name = 1 =", "not TOML"),
        ('name = "x"\nvariants = []', "at least one"),
        ('name = "x"\nvariant = []', "variants"),
        ('name = "x"\n[[variants]]\nname = "a"\n', "names no recipe"),
        ('name = "x"\n[[variants]]\nname = "a"\nrecpe = "b"\n', "recipe"),
        ('name = "x"\n[[variants]]\nname = "a"\nrecipe = "t"\n[[variants]]\nname = "A"\nrecipe = "t"\n', "no folder"),
        ('name = "x"\n[[variants]]\nname = "../.."\nrecipe = "t"\n', "no folder"),
        ('name = "x"\n[[variants]]\nname = "a"\nweights_of = "b"\n', "no variant before"),
        ('name = "x"\npresentations = 0\n[[variants]]\nname = "a"\nrecipe = "t"\n', "at least 1"),
        ('name = "x"\nseeds = ["a"]\n[[variants]]\nname = "a"\nrecipe = "t"\n', "seeds.0"),
        ('name = "x"\n[[variants]]\nname = "a"\nrecipe = "t"\n[[evaluate]]\ndataset = "../m"\n', "plain words"),
        (
            'name = "x"\n[[variants]]\nname = "a"\nrecipe = "t"\n'
            '[[evaluate]]\ndataset = "m"\n[[datasets]]\ndataset = "m"\n',
            "not both",
        ),
    ],
)
def test_a_wrong_page_is_answered_with_the_key(text: str, says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        Sweep.from_toml(text)


def test_what_does_not_exist_is_named(home: Path) -> None:
    with pytest.raises(UnknownNameError, match="hacnn"):
        Sweep.load("hacn")
    sweep = Sweep.load(home / "small.toml")
    wrong = replace(sweep.variants[1], drop=("tripel",))
    with pytest.raises(RecipeError, match=r"identity \| only.*triplet"):
        sweep.recipe(wrong)


def test_a_budget_is_kept_and_the_schedule_stretched(home: Path) -> None:
    recipe = Recipe.load(home / "tiny.toml")  # 2 steps of 6 pictures an epoch
    changed = budgeted(recipe, 96, pictures=36)
    assert changed.train.epochs == 8
    assert [changed.schedule.warmup, *changed.schedule.milestones] == [2, 4]
    free = replace(recipe, train=replace(recipe.train, steps_per_epoch=None))
    assert budgeted(free, 108, pictures=38).train.epochs == 3  # 6 batches of 6
    with pytest.raises(RecipeError, match="budget"):
        budgeted(recipe, 11, pictures=36)
    timed = Recipe.load("mancs_sample")
    doubled = budgeted(timed, 2 * 40 * 7 * 64, pictures=500).objective.terms[0].options
    assert (doubled["t0"], doubled["t1"]) == (16, 32)


def test_finished_runs_are_kept(finished: tuple[Sweep, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    sweep, out = finished
    assert (out / "identity-only" / "seed-1" / "recipe.toml").is_file()
    monkeypatch.setattr(runner, "train", lambda *_, **__: pytest.fail("trained again"))
    assert SweepRunner(sweep, out, "cpu").run() == []


def test_a_folder_of_another_recipe_is_refused(finished: tuple[Sweep, Path]) -> None:
    sweep, out = finished
    with pytest.raises(UsageError, match="another recipe"):
        SweepRunner(sweep, out, "cpu", overrides=("optim.lr=0.5",)).run()


def test_an_interrupted_sweep_goes_on(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep, calls = replace(Sweep.load(home / "small.toml"), seeds=(0,)), []

    def stopping(recipe: Any, out: Any, **how: Any) -> Any:
        calls.append(out)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return train(recipe, out, **how)

    monkeypatch.setattr(runner, "train", stopping)
    with pytest.raises(Interrupted, match="goes on from there"):
        SweepRunner(sweep, tmp_path, "cpu").run()
    assert compare_runs(sweep, tmp_path).done == 1
    assert SweepRunner(sweep, tmp_path, "cpu").run() == []
    assert len(calls) == 3  # the first run was not trained again
    assert compare_runs(sweep, tmp_path).done == 3


def test_every_variant_is_trained_and_evaluated_on_each_data_set(home: Path, tmp_path: Path) -> None:
    others = tmp_path / "others.csv"
    write(load_dataset("market", write_people(tmp_path / "others", seed=7)), "csv", others)
    sweep = replace(Sweep.load(home / "small.toml"), seeds=(0,)).only(("identity | only",))
    sweep = sweep.moved((f"market={home / 'people'}", f"csv={others}"))
    assert SweepRunner(sweep, tmp_path / "out", "cpu").run() == []
    found = compare_runs(sweep, tmp_path / "out")
    assert (found.labels, found.done, found.asked) == (["market", "csv"], 4, 4)
    for trial in sweep.trials():
        kept = Recipe.load(trial.folder(tmp_path / "out") / "recipe.toml")
        assert trial.on is not None
        assert (kept.data.name, kept.data.root) == (trial.on.dataset, trial.on.root)
    assert set(found.lines[1].differences) == {"market", "csv"}
    assert SweepRunner(sweep, tmp_path / "out", "cpu").run() == []  # nothing is left to do


def test_what_is_tuned_is_evaluated_on_people_held_out(home: Path, tmp_path: Path) -> None:
    """As many others under each seed, never the test split; and a run that holds nobody out is refused."""
    sweep = Sweep.load(home / "small.toml").only(("identity | only",))
    sweep = replace(sweep, held_out=True, set=("validate.on=held_out", "validate.fraction=0.4", "train.epochs=1"))
    assert SweepRunner(sweep, tmp_path, "cpu").run() == []
    people = load_dataset("market", home / "people")
    tested = {sample.pid for sample in people.query}
    for trial in sweep.trials():
        record = json.loads((trial.folder(tmp_path) / "evaluation" / "market" / "result.json").read_text())
        asked = set(record["report"]["q_pids"])
        held = hold_out(people, 0.4, trial.seed)
        assert asked == {sample.pid for sample in held.query} and not asked & tested
        assert "held out" in record["context"]["version"]
    assert compare_runs(sweep, tmp_path).done == 4
    with pytest.raises(RecipeError, match="both, seed 0: held_out evaluates"):
        SweepRunner(replace(sweep, set=()), tmp_path / "none", "cpu").run()


def test_a_run_that_fails_does_not_stop_the_others(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = replace(Sweep.load(home / "small.toml"), seeds=(0,))
    sweep = replace(sweep, variants=sweep.variants[:2])

    def failing(recipe: Any, out: Any, **how: Any) -> Any:
        if "both" in str(out):
            raise TrainingError("the loss is not finite")
        return train(recipe, out, **how)

    monkeypatch.setattr(runner, "train", failing)
    (said,) = SweepRunner(sweep, tmp_path, "cpu").run()
    assert said == "both, seed 0: the loss is not finite"
    found = compare_runs(sweep, tmp_path)
    assert [line.seeds for line in found.lines] == [0, 1]
    assert "1 of 2 runs to come" in markdown(found)


def test_borrowed_weights_are_the_lender_s(finished: tuple[Sweep, Path]) -> None:
    """The table's third row is the first model before its neck: same weights, other vectors, no training."""
    sweep, out = finished
    assert not (out / "before-the-neck" / "seed-0" / "model.safetensors").exists()
    found = compare_runs(sweep, out)
    both, _, borrowed = found.lines
    assert borrowed.seconds == both.seconds and both.seconds is not None
    assert borrowed.seeds == 2
    lent, own = (Result.load(out / name / "seed-0" / "evaluation" / "market") for name in ("both", "before-the-neck"))
    assert not np.allclose(lent.query.vectors, own.query.vectors)
    model = models.read_model(out / "both" / "seed-0").eval()
    pictures = torch.from_numpy(np.stack([decode(own.query.path(row), model.input_size) for row in range(3)]))
    with torch.no_grad():
        pooled_maps = model(pictures.permute(0, 3, 1, 2)).features["global"]
    expected = torch.nn.functional.normalize(pooled_maps).numpy()
    np.testing.assert_allclose(own.query.vectors[:3], expected, atol=1e-5)


def test_the_table_says_the_same_in_every_form(finished: tuple[Sweep, Path], tmp_path: Path) -> None:
    sweep, out = finished
    found = compare_runs(sweep, out)
    write_tables(found, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["table.csv", "table.html", "table.json", "table.md"]
    rows = list(csv.DictReader(comma_separated(found).splitlines()))
    first = found.lines[0]
    assert [row["variant"] for row in rows] == [line.name for line in found.lines]
    assert float(rows[0]["mAP"]) == first.scores["market"]["mAP"].mean
    assert str(first.scores["market"]["mAP"]) in markdown(found) and str(first.scores["market"]["mAP"]) in page(found)
    assert "identity \\| only" in markdown(found)
    assert first.parameters == parameters_without_classifiers(sweep) and first.macs
    assert json.loads((tmp_path / "table.json").read_text())["done"] == 6
    assert not first.differences and "market" in found.lines[1].differences


def parameters_without_classifiers(sweep: Sweep) -> int:
    recipe = sweep.recipe(sweep.variants[0])
    model = build_model(recipe, load_data(recipe))
    return sum(p.numel() for name, p in model.named_parameters() if not name.startswith("classifier"))


def test_a_sheet_of_html_cannot_be_written_into(finished: tuple[Sweep, Path]) -> None:
    sweep, out = finished
    named = replace(sweep.variants[0], about="<script>alert(1)</script>")
    found = compare_runs(replace(sweep, variants=(named, *sweep.variants[1:])), out)
    assert "<script>" not in page(found)


def report(noise: float, seed: int) -> Report:
    """Twelve persons, two queries each."""
    rng = np.random.default_rng(seed)
    pids = np.repeat(np.arange(1, 13), 2)
    centers = np.random.default_rng(99).normal(size=(13, 6))
    q, g = (centers[pids] + noise * rng.normal(size=(24, 6)) for _ in range(2))
    return evaluate_features(q, g, pids, pids, np.zeros(24, int), np.ones(24, int), metric="cosine")


def test_pooling_gives_the_mean_over_seeds() -> None:
    good, bad = [report(0.3, s) for s in (0, 1)], [report(3.0, s) for s in (2, 3)]
    found = compare(pooled(good), pooled(bad)).difference["mAP"]
    assert found.value == pytest.approx(np.mean([r.mAP for r in bad]) - np.mean([r.mAP for r in good]))
    assert found.high < 0


def test_the_same_runs_are_not_distinguishable(finished: tuple[Sweep, Path], tmp_path: Path) -> None:
    sweep, out = finished
    twin = replace(sweep.variants[0], name="twin")
    for seed in (0, 1):
        (tmp_path / "twin").mkdir(exist_ok=True)
        (tmp_path / "twin" / f"seed-{seed}").symlink_to(out / "both" / f"seed-{seed}")
        (tmp_path / "both").mkdir(exist_ok=True)
        (tmp_path / "both" / f"seed-{seed}").symlink_to(out / "both" / f"seed-{seed}")
    found = compare_runs(replace(sweep, variants=(sweep.variants[0], twin)), tmp_path)
    difference = found.lines[1].differences["market"]
    assert difference.interval.value == 0 and difference.conclusion == SAME
    assert SAME in markdown(found)


def test_the_verb_lists_shows_and_tables(finished: tuple[Sweep, Path], home: Path) -> None:
    def said(*arguments: str) -> str:
        done = CliRunner().invoke(command, arguments, catch_exceptions=False)
        assert done.exit_code == 0
        return done.stdout

    assert {row["name"] for row in json.loads(said("--list", "--json"))} == set(sweeps())
    assert "weights of both" in said(str(home / "small.toml"), "--show")
    page = str(home / "small.toml")
    record = json.loads(said(page, "--out", str(finished[1]), "--device", "cpu", "--json"))
    assert [line["seeds"] for line in record["lines"]] == [2, 2, 2] and record["failed"] == []
    only = json.loads(said(page, "--out", str(finished[1]), "--table", "--only", "before the neck", "--json"))
    assert [line["name"] for line in only["lines"]] == ["both", "before the neck"]


@pytest.mark.parametrize(("module", "where"), [(runner, "train"), (comparison, "compare_runs")])
def test_a_scheduler_s_sigterm_leaves_a_sweep_resumable(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: ModuleType, where: str
) -> None:
    """Between the steps of runs, where no training loop listens, as while the table is drawn."""

    def ended(*_: Any, **__: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
        pytest.fail("went on")

    monkeypatch.setattr(module, where, ended)
    before = signal.getsignal(signal.SIGTERM)
    asked = [str(home / "small.toml"), "--out", str(tmp_path), *(["--table"] if module is comparison else [])]
    with pytest.raises(Interrupted, match="goes on from there") as stopped:
        CliRunner().invoke(command, asked, catch_exceptions=False, standalone_mode=False)
    assert stopped.value.exit_code == 75
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize("arguments", [(), ("hacnn", "--budget", "epochs=3"), ("hacnn", "--seeds", "a")])
def test_a_wrong_question_is_a_sentence(arguments: tuple[str, ...]) -> None:
    with pytest.raises(UsageError):
        CliRunner().invoke(command, arguments, catch_exceptions=False, standalone_mode=False)


@pytest.fixture(scope="module")
def evaluated_twice(
    finished: tuple[Sweep, Path], home: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Sweep, Path]:
    """The finished runs, evaluated on the people they know and on others."""
    sweep, out = finished[0], tmp_path_factory.mktemp("twice") / "out"
    shutil.copytree(finished[1], out)
    write_people(home / "others", seed=7)
    places = (SweepDataset("market", str(home / "people"), "clean"), SweepDataset("market", "$TINY/others", "hard"))
    twice = replace(sweep, evaluate=places, change=("clean", "hard"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINY", str(home))
        assert SweepRunner(twice, out, "cpu").run() == []
    return twice, out


def test_the_table_shows_what_is_lost_from_one_set_to_the_other(evaluated_twice: tuple[Sweep, Path]) -> None:
    sweep, out = evaluated_twice
    found = compare_runs(sweep, out, ["clean", "hard"])
    first, other = found.lines[:2]
    assert first.change is not None and first.change.difference is None
    lost = [
        results_of(trial.folder(out))["hard"].mAP - results_of(trial.folder(out))["clean"].mAP
        for trial in sweep.trials_of(sweep.variants[0])
    ]
    assert first.change.score.mean == pytest.approx(np.mean(lost))
    assert first.change.score.spread == pytest.approx(np.std(lost, ddof=1))
    assert other.change is not None and other.change.difference is not None
    gap = other.change.score.mean - first.change.score.mean
    assert other.change.difference.interval.value == pytest.approx(gap)
    assert other.change.difference.interval.low <= gap <= other.change.difference.interval.high
    assert other.change.difference.conclusion in ("loses less", "loses more", SAME)
    text = markdown(found)
    assert "| mAP, clean to hard | difference in mAP, clean to hard |" in text
    assert str(first.change) in text and "from clean to hard" in text
    assert str(first.change).startswith(("+", "-"))
    (row,) = [r for r in csv.DictReader(comma_separated(found).splitlines())
              if (r["variant"], r["dataset"]) == ("both", "clean to hard")]  # fmt: skip
    assert float(row["mAP"]) == pytest.approx(first.change.score.mean)


def test_what_is_evaluated_on_has_to_be_there_before_anything_is_trained(
    finished: tuple[Sweep, Path], tmp_path: Path
) -> None:
    missing = replace(finished[0], evaluate=(SweepDataset("market", str(tmp_path / "nowhere")),))
    with pytest.raises(DatasetError):
        SweepRunner(missing, tmp_path / "out", "cpu").run()
    assert not (tmp_path / "out").exists()


def test_a_change_is_between_two_sets_that_are_evaluated() -> None:
    rows = '[[variants]]\nname = "a"\nrecipe = "baseline_sample"\n[[evaluate]]\ndataset = "sample"\n'
    for change in ('["sample"]', '["sample", "sample"]', '["sample", "hard"]'):
        with pytest.raises(RecipeError, match="expected two of these data sets: sample"):
            Sweep.from_toml(f'name = "s"\nchange = {change}\n{rows}')
