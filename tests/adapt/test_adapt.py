"""Adapting a model to pictures without labels: what is left behind, what is refused, when to doubt the result."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from resight import models
from resight.adapt import Adaptation, adapt, advice, ask, crops, together
from resight.adapt.plan import plan_for, recipe_for
from resight.cli import group
from resight.clustering.history import save_groups
from resight.data import load_dataset
from resight.errors import CheckpointError, DatasetError, RecipeError, TrainingError
from resight.recipe import Recipe
from resight.reporting.adaptation import changes_by_epoch, draw_answers, draw_groups
from resight.run import Run
from resight.training.checkpointing.checkpoint import load_state
from resight.training.monitoring.progress import Silent
from resight.types import UNKNOWN_CAMERA
from tests.people import write_people
from tests.ranks import PRELOAD, launch

OFTEN = ("train.save_seconds=0", "train.log_every=1")
STEADY = ("optim.name=sgd", "optim.lr=0.01")  # Adam would make much of the last digit of a small gradient
SMALL = (
    "feed.main.ids=4", "feed.main.images=2", "labels.cluster.k1=6", "labels.cluster.k2=3",
    "labels.cluster.min_samples=2", "train.epochs=2", "train.steps_per_epoch=3", "data.pixels=memory",
    "train.precision=fp32",
)  # fmt: skip


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    backbone = {"name": "resnet10", "width": 8}
    model = models.build("strong_baseline", 5, input_size=(64, 32), backbone=backbone)
    return models.save_model(model, tmp_path_factory.mktemp("start"))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_people(tmp_path_factory.mktemp("pictures"), train_ids=10, test_ids=0, shots=4) / "bounding_box_train"


@pytest.fixture(scope="module")
def done(start: Path, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Adaptation:
    return run(start, pictures, tmp_path_factory.mktemp("out"))


def run(start: Path, pictures: Path, out: Path, *settings: str, **options: Any) -> Adaptation:
    return adapt(start, crops(pictures), out, settings=(*SMALL, *settings), device="cpu", **options)


def test_what_is_left_behind(done: Adaptation, start: Path) -> None:
    folder = done.run.folder
    record = json.loads((folder / "adaptation.json").read_text())
    assert record["labels_used"] == 0
    assert record["pictures"] == 80
    assert record["source"] == models.load_model(start, num_ids=0).fingerprint()
    assert record["first"]["clusters"] >= 2
    assert done.run.card["data"]["labels_used"] == 0
    kept = models.read_model(folder / "start.safetensors")
    weights = dict(models.load_model(start, num_ids=0).named_parameters())
    assert all(torch.equal(tensor, weights[name]) for name, tensor in kept.named_parameters())  # only statistics moved
    assert kept.fingerprint() != record["source"]
    assert done.model.fingerprint() not in (record["source"], kept.fingerprint())


def test_the_same_call_again_changes_nothing(done: Adaptation, start: Path, pictures: Path) -> None:
    again = run(start, pictures, done.run.folder)
    assert again.model.fingerprint() == done.model.fingerprint()


def test_another_model_is_another_adaptation(done: Adaptation, pictures: Path) -> None:
    with pytest.raises(CheckpointError, match="another model"):
        run(Path("synth_small"), pictures, done.run.folder)


def test_a_table_that_names_persons_is_not_read_for_them(pictures: Path, tmp_path: Path) -> None:
    table = tmp_path / "crops.csv"
    names = sorted(path.name for path in pictures.iterdir())
    table.write_text("path,pid,camid\n" + "".join(f"{pictures / name},{n % 7},3\n" for n, name in enumerate(names)))
    found = crops(table)
    assert {sample.pid for sample in found.train} == {-2}
    assert {sample.camid for sample in found.train} == {3}
    assert {sample.camid for sample in crops(pictures).train} == {-1}
    assert {sample.camid for sample in crops(pictures, r"_c(\d)").train} == {1, 2}


def test_statistics_alone_change_no_weight(start: Path, pictures: Path, tmp_path: Path) -> None:
    found = run(start, pictures, tmp_path, statistics_only=True)
    before, after = models.load_model(start, num_ids=0), found.model
    for name, tensor in after.named_parameters():
        assert torch.equal(tensor, before.get_parameter(name)), name
    moved = (after.get_buffer("backbone.bn1.running_mean") - before.get_buffer("backbone.bn1.running_mean")).abs()
    assert moved.max() > 0
    assert found.record["first"] is None


def test_statistics_are_those_of_the_pictures(start: Path, pictures: Path, tmp_path: Path) -> None:
    model = run(start, pictures, tmp_path, statistics_only=True).model
    seen = []
    model.get_submodule("backbone.conv1").register_forward_hook(lambda *given: seen.append(given[2]))
    shown = torch.stack([torch.from_numpy(np.array(Image.open(p))) for p in sorted(pictures.iterdir())])
    with torch.no_grad():
        model(shown.permute(0, 3, 1, 2))
    torch.testing.assert_close(
        model.get_buffer("backbone.bn1.running_mean"), seen[0].mean(dim=(0, 2, 3)), rtol=1e-4, atol=1e-5
    )


def test_it_may_go_on_with_larger_pictures(start: Path, pictures: Path, tmp_path: Path) -> None:
    done = run(start, pictures, tmp_path / "out", "model.input_size=[80, 40]", "train.epochs=1")
    assert done.model.input_size == (80, 40)
    begun = models.load_model(tmp_path / "out" / "start.safetensors", num_ids=0)
    assert begun.input_size == (80, 40)
    source = models.load_model(start, num_ids=0).state_dict()
    weights = {name for name, _ in begun.named_parameters()}
    assert all(torch.equal(begun.state_dict()[name], source[name]) for name in weights)


@pytest.mark.parametrize("setting", ["model.backbone.width=16", "model.name=hacnn", "model=hacnn"])
def test_another_network_is_refused(setting: str, start: Path, pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"that of the model adapted.*model\.input_size"):
        run(start, pictures, tmp_path / "out", setting)


def test_a_size_taken_away_is_that_of_the_model(start: Path) -> None:
    source = models.load_model(start, num_ids=0)
    plan = plan_for(source, Recipe.load("cluster_contrast_small"), ["model.input_size="], 500)
    assert tuple(plan.model.options["input_size"]) == source.input_size


def test_positions_learned_for_one_size_stay_with_it(pictures: Path, tmp_path: Path) -> None:
    options = {"backbone": {"name": "vit_tiny_patch16_224", "pretrained": False}, "input_size": (64, 32)}
    start = models.save_model(models.build("transreid", 0, **options), tmp_path)
    with pytest.raises(CheckpointError, match="64 x 32 pixels do not fit 96 x 48"):
        run(start, pictures, tmp_path / "out", "model.input_size=[96, 48]")


def test_each_feature_that_is_compared_has_a_memory(pictures: Path, tmp_path: Path) -> None:
    trunk = {"name": "resnet10", "width": 8}
    members = {name: {"name": "baseline", "backbone": trunk} for name in ("one", "two")}
    both = models.build("ensemble", 0, input_size=(64, 32), members=members)
    found = run(models.save_model(both, tmp_path), pictures, tmp_path / "out")
    parts = next(line["parts"] for line in found.run.journal if line["event"] == "train")
    assert set(parts) == {"cluster_contrast/one", "cluster_contrast/two"}


def test_too_few_pictures(start: Path, pictures: Path, tmp_path: Path) -> None:
    few = tmp_path / "few.txt"
    few.write_text("\n".join(str(path) for path in sorted(pictures.iterdir())[:9]))
    with pytest.raises(DatasetError, match="9 pictures"):
        run(start, few, tmp_path / "out")


def test_one_person(start: Path, pictures: Path, tmp_path: Path) -> None:
    one = tmp_path / "one"
    one.mkdir()
    original = np.array(Image.open(sorted(pictures.iterdir())[0])).astype(float)
    for number in range(20):
        noisy = original + np.random.default_rng(number).normal(0, 3, original.shape)
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(one / f"{number}.png")
    with pytest.raises(TrainingError, match=r"groups of alike ones.*start\.safetensors"):
        run(start, one, tmp_path / "out", "labels.cluster.k1=15")


def test_pictures_of_nobody_end_in_a_model_or_a_sentence(start: Path, tmp_path: Path) -> None:
    noise = tmp_path / "noise"
    noise.mkdir()
    for number in range(40):
        pixels = np.random.default_rng(number).integers(0, 255, (64, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(noise / f"{number}.png")
    try:
        found = run(start, noise, tmp_path / "out")
    except TrainingError as error:
        assert "groups" in str(error)
    else:
        assert found.advice


def test_labelled_pictures_of_another_set_may_be_kept(start: Path, pictures: Path, tmp_path: Path) -> None:
    known = load_dataset("market", root=write_people(tmp_path / "known", train_ids=6, shots=3))
    found = run(start, pictures, tmp_path / "out", keep=known)
    assert found.record["labels_used"] == 0
    assert found.record["kept"] == {"name": "market", "labels": len(known.train)}
    assert found.record["pictures"] == 80
    assert found.run.card["data"]["labels_used"] == len(known.train)
    assert found.run.recipe.labels.keep
    both = together(crops(pictures, r"_c(\d)"), known)
    cameras = {sample.pid > 0: set[int]() for sample in both.train}
    for sample in both.train:
        cameras[sample.pid > 0].add(sample.camid)
    assert not cameras[True] & cameras[False]


def test_known_cameras_have_proxies_unless_a_recipe_is_named(start: Path, pictures: Path, tmp_path: Path) -> None:
    seen = crops(pictures, r"_c(\d)")
    found = adapt(start, seen, tmp_path / "out", settings=SMALL, device="cpu")
    assert found.run.recipe.name == "cluster_contrast_cameras_small"
    assert [term.loss for term in found.run.recipe.objective.terms] == ["cluster_contrast", "camera_proxies"]
    known = load_dataset("market", root=write_people(tmp_path / "known", train_ids=6, shots=3))
    kept = adapt(start, seen, tmp_path / "kept", settings=SMALL, device="cpu", keep=known)
    assert kept.record["kept"]["labels"] == len(known.train)
    one_unknown = replace(seen, train=(*seen.train[:-1], replace(seen.train[-1], camid=UNKNOWN_CAMERA)))
    one_camera = replace(seen, train=tuple(sample for sample in seen.train if sample.camid == seen.train[0].camid))
    assert recipe_for(one_unknown) == recipe_for(one_camera) == "cluster_contrast_small"


def test_a_set_without_persons_cannot_be_kept(start: Path, pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="at least 2 persons"):
        run(start, pictures, tmp_path, keep=crops(pictures))


def test_two_networks_that_teach_each_other(start: Path, pictures: Path, tmp_path: Path) -> None:
    found = run(start, pictures, tmp_path, "train.ema=0.9", recipe="mmt_small")
    terms = {term.name: term.on for term in found.run.recipe.objective.terms}
    assert terms == {"identity": "features.neck", "triplet": "features.global"}
    assert found.record["labels_used"] == 0


def test_sheets_and_what_changed_for_queries(start: Path, pictures: Path, done: Adaptation, tmp_path: Path) -> None:
    folder = done.run.folder
    assert [change["epoch"] for change in done.record["changes"]] == [1]
    assert len(list((folder / "clusters").glob("*.npy"))) == 2
    queries = sorted(pictures.iterdir())[:2]
    before = models.load_model(start, num_ids=0)
    same = ask(before, before, crops(pictures), queries, k=5, device="cpu")
    assert [change["shared"] for change in same] == [5, 5]
    assert all(change["before"] == change["after"] for change in same)
    changed = ask(before, done.model, crops(pictures), queries, k=5, device="cpu")
    assert [change["query"] for change in changed] == list(map(str, queries))
    assert all(Path(change["after"][0]["path"]).samefile(query) for change, query in zip(changed, queries, strict=True))
    sheet, table = draw_answers(tmp_path, changed)
    with Image.open(sheet) as image:
        assert image.width > image.height / 4
    assert json.loads(table.read_text())[1]["hits"] == 5


def test_sheets_of_groups_that_stayed_and_fell_apart(pictures: Path, tmp_path: Path) -> None:
    names = sorted(pictures.iterdir())[:20]
    before = np.repeat([0, 1], 10).astype(np.int32)
    after = np.repeat([3, 0, 1], [10, 5, 5]).astype(np.int32)
    save_groups(tmp_path, 0, before, names)
    assert draw_groups(tmp_path, 4) == []
    save_groups(tmp_path, 1, after, names)
    assert changes_by_epoch(tmp_path) == [{"epoch": 1, "kept": 1, "split": 1, "merged": 0}]
    assert [path.name for path in draw_groups(tmp_path, 4)] == ["group-kept-01.jpg", "group-split-01.jpg"]
    assert draw_groups(tmp_path, 0) == []


class KilledAt(Silent):
    """Kill -9 when training has got so far."""

    def __init__(self, step: int) -> None:
        self.step = step

    def advance(self, done: int, note: str = "") -> None:
        if note and done >= self.step:
            os.kill(os.getpid(), signal.SIGKILL)


def _killed(start: Path, pictures: Path, out: Path) -> None:
    torch.set_num_threads(1)
    run(start, pictures, out, *OFTEN, display=KilledAt(4))


def test_killed_in_the_middle_it_goes_on_to_equal_weights(start: Path, pictures: Path, tmp_path: Path) -> None:
    multiprocessing.set_forkserver_preload(PRELOAD)
    child = multiprocessing.get_context("forkserver").Process(target=_killed, args=(start, pictures, tmp_path / "cut"))
    child.start()
    child.join(120)
    assert child.exitcode == -signal.SIGKILL
    assert not (tmp_path / "cut" / "model.safetensors").exists()
    step = load_state(tmp_path / "cut" / "state.pt")["step"]  # type: ignore[index]
    assert 0 < step < 6
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        halves = run(start, pictures, tmp_path / "cut", *OFTEN)
        whole = run(start, pictures, tmp_path / "whole", *OFTEN)
    finally:
        torch.set_num_threads(threads)
    assert halves.model.fingerprint() == whole.model.fingerprint()
    assert halves.record == whole.record


def _shared(start: Path, pictures: Path, out: Path) -> str:
    return run(start, pictures, out, *STEADY).model.fingerprint()


def test_two_processes_adapt_as_one_does(start: Path, pictures: Path, tmp_path: Path) -> None:
    one = run(start, pictures, tmp_path / "one", *STEADY)
    both = launch(2, _shared, start, pictures, tmp_path / "two")
    assert both[0] == both[1]
    two = Run.open(tmp_path / "two")
    found, expected = ([(line["epoch"], line["clusters"], line["largest"]) for line in each.journal
                        if line["event"] == "clusters"] for each in (two, one.run))  # fmt: skip
    assert found == expected
    weights = one.model.state_dict()
    for name, tensor in two.model.state_dict().items():
        torch.testing.assert_close(tensor, weights[name], rtol=1e-3, atol=1e-4, msg=name)


def line(**values: Any) -> dict[str, Any]:
    return {"clusters": 100, "left_out": 0.3, "largest": 30, **values}


def test_advice() -> None:
    assert advice([line(), line()], 2000, 0.8, 0.7) == []
    assert advice([], 2000, 0.8, 0.8) == []
    doubted = {
        "too few people": advice([line(clusters=5), line(clusters=5)], 2000, 0.8, 0.8),
        "were merged": advice([line(), line(clusters=40)], 2000, 0.8, 0.8),
        "fit no group": advice([line(), line(left_out=0.9)], 2000, 0.8, 0.8),
        "look like one": advice([line(), line(largest=900)], 2000, 0.8, 0.8),
        "is lost": advice([line(), line()], 2000, 0.8, 0.3),
    }
    for words, said in doubted.items():
        assert len(said) == 1, words
        assert words in said[0]


def test_on_the_command_line(start: Path, pictures: Path, tmp_path: Path) -> None:
    settings = [part for setting in SMALL for part in ("--set", setting)]
    command = ["adapt", start, pictures, "--out", tmp_path / "out", "--device", "cpu", *settings]
    done = CliRunner().invoke(group, [*map(str, command), "--json"])
    assert done.exception is None, done.exception
    record = json.loads(done.stdout)
    assert record["labels_used"] == 0
    said = CliRunner().invoke(group, list(map(str, command)))
    assert "0 labels used" in said.stdout
    assert ("not recommended" in said.stdout) == (not record["recommended"])
    command[command.index("--out") + 1] = tmp_path / "statistics"
    alone = CliRunner().invoke(group, [*map(str, command), "--statistics-only"])
    assert "0 labels used) by new batch statistics alone" in alone.stdout
