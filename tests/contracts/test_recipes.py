"""What every packaged recipe promises: it is typed, its parts fit, and everything it trains learns."""

from __future__ import annotations

import copy
import inspect
import re
from dataclasses import fields, replace
from fnmatch import fnmatchcase
from importlib import resources
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from resight import losses
from resight.assembly import build_model, build_objective
from resight.data import DATASETS, Dataset
from resight.data.samplers import PKSampler, RandomSampler
from resight.errors import DatasetError
from resight.models import MODELS, PRESETS
from resight.recipe import ModelConfig, Recipe, recipes
from resight.run import train
from resight.training.batches.pseudo_labels import memories
from resight.training.clock import Clock
from resight.training.objective.mutual import MutualStep, TwoNetworks
from resight.training.objective.objective import Objective
from resight.training.objective.step import Step
from resight.training.objective.terms import TermConfig, flatten
from resight.training.objective.weighting import DynamicFocal
from resight.training.optimization.optimizer import build_optimizer, freeze, named_parameters
from resight.types import Batch, Sample
from tests.people import write_people

if TYPE_CHECKING:
    from pathlib import Path

    from resight.models import ReIDModel

NAMES = recipes()
DISTINCT = [name for name in NAMES if not name.startswith("osnet_x")]  # the widths of OSNet are one network when small
SAMPLES = [name for name in NAMES if name.endswith("_sample")]

TRUNK = 'model.backbone={name = "resnet10", width = 8}'
VIT = 'model.backbone={name = "%s", dim = 64, depth = 2}'
SMALL: dict[str, tuple[str, ...]] = {
    "clip_reid": (
        VIT % "vit_base_patch16_clip_quickgelu_224",
        "model.input_size=[64, 32]",
        "model.projected=16",
    ),
    "ensemble": (
        'model.members.plain={name = "strong_baseline", backbone = {name = "resnet10", width = 8}}',
        'model.members.ibn={name = "strong_baseline", backbone = {name = "resnet10", width = 8, ibn = true}}',
        "model.input_size=[64, 32]",
    ),
    "mgn": (TRUNK, "model.input_size=[96, 32]", "model.dim=8"),
    "synth_base": ("model.backbone.pretrained=false", "model.input_size=[64, 32]"),  # freezes by its trunk's names
    "osnet": ("model.width=0.25", "model.input_size=[64, 32]", "model.dim=16"),
    "pcb": (TRUNK, "model.input_size=[96, 32]", "model.dim=8"),
    "solider": ("model.backbone={dim = 32, depths = [2, 2, 1, 1]}", "model.input_size=[64, 32]"),
    "transreid": (VIT % "vit_base_patch16_224", "model.input_size=[64, 32]"),
    "hacnn": ("model.input_size=[64, 32]", "model.widths=[16, 32, 48]", "model.dim=16"),
    "pyramid": (TRUNK, "model.input_size=[96, 32]", "model.width=8"),
    "mdpr": (TRUNK, "model.input_size=[64, 32]", "model.dim=8"),
    "verification": (TRUNK, "model.input_size=[64, 32]", "model.embedding=8"),
}

# A metric loss alone: the identity classifier stands idle and is dropped at test time like any other.
IDLE = ("lecture_*", "classifier.*")
# What a normalisation takes away again: the gradient is there, and 0 but for rounding.
CANCELED = (
    ("hacnn*", "*.spatial.scale.0.weight"),  # one number: its size is the normalisation's
    ("hacnn*", "*_summary.0.bias"),
    ("hacnn_torchreid*", "*.0.bias"),
    ("pyramid*", "branches.*.reduce.bias"),
    ("osnet*", "fc.0.bias"),
)
ALONE = ("contrastive", "triplet", "quadruplet", "trihard", "adaptive")  # lectures without the identity loss


def source(name: str) -> str:
    return (resources.files("resight.recipes") / f"{name}.toml").read_text(encoding="utf-8")


def figure(recipe: Recipe) -> str:
    """The model's own name behind a preset's."""
    return PRESETS.get(recipe.model.name, (recipe.model.name, {}))[0]


def small(name: str) -> Recipe:
    """The recipe with a narrow, shallow network at its smallest size; nothing else changed."""
    recipe = Recipe.load(name)
    return recipe.override(*SMALL.get(name, SMALL.get(figure(recipe), (TRUNK, "model.input_size=[64, 32]"))))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Six people, four pictures each, two attributes: enough of a data set to put a recipe together."""
    root = tmp_path_factory.mktemp("made")
    pictures = [
        Sample(root / f"{pid}_{shot}.jpg", pid, shot % 2, "train", "made", None, {"hat": pid % 2, "coat": pid % 3})
        for pid, shot in product(range(1, 7), range(4))
    ]
    return Dataset("made", "", root, train=tuple(pictures))


def batch_of(model: ReIDModel, dataset: Dataset) -> Batch:
    pids = torch.tensor([sample.pid - 1 for sample in dataset.train])
    generator = torch.Generator().manual_seed(0)
    return Batch(
        torch.rand(len(pids), 3, *model.input_size, generator=generator),
        pids,
        torch.tensor([sample.camid for sample in dataset.train]),
        torch.arange(len(pids)),
        {key: torch.tensor([sample.attributes[key] for sample in dataset.train]) for key in ("hat", "coat")},
    )


def put_together(recipe: Recipe, dataset: Dataset) -> tuple[ReIDModel, Objective]:
    model, objective = build_model(recipe, dataset).train(), build_objective(recipe, dataset).train()
    objective.set_clock(Clock(10))
    return model, objective


def as_trained(model: ReIDModel, objective: Objective, batch: Batch) -> tuple[torch.nn.Module, Step, Batch]:
    """The step of a run; two networks and two views of the batch where the objective judges two."""
    if objective.networks == 1:
        return model, Step(model, objective), batch
    both = TwoNetworks(model, copy.deepcopy(model))
    step = MutualStep(both, objective)
    step.learn_from(copy.deepcopy(both).requires_grad_(False))
    return both, step, replace(batch, images=torch.cat([batch.images, batch.images.flip(3)]))


def test_no_key_of_a_table_hides_an_option_of_what_it_names() -> None:
    """A term's own `weight`, say, would keep a recipe from setting a loss's option of that name."""
    term = {field.name for field in fields(TermConfig)}
    for name in losses.available():
        assert term.isdisjoint(losses.options_of(name)), name
    for kind in MODELS.values():
        assert {field.name for field in fields(ModelConfig)}.isdisjoint(field.name for field in fields(kind.Options))


@pytest.mark.parametrize("name", NAMES)
def test_the_head_comment_says_what_to_expect_and_how_to_run(name: str) -> None:
    head = source(name).split(f'name = "{name}"')[0]
    assert re.search(r"# Expect(: see docs/results\.md| \([^)]+\): )", head)
    assert f"Run: resight train {name}" in head
    assert all(line.startswith("#") for line in head.splitlines() if line)
    needs_data = Recipe.load(name).data.name != "sample"
    assert ("--set data.root=" in head) == needs_data


@pytest.mark.parametrize("name", NAMES)
def test_the_data_set_exists_and_takes_the_options(name: str) -> None:
    recipe = Recipe.load(name)
    assert recipe.data.name in DATASETS
    assert recipe.data.root is None
    assert set(recipe.data.options) <= set(inspect.signature(DATASETS[recipe.data.name].read).parameters)
    assert ("sample" in name) == (recipe.data.name == "sample")
    if recipe.data.name == "dukemtmcreid":  # to say so is the user's part
        assert "acknowledge_withdrawn" not in recipe.data.options
        assert "data.acknowledge_withdrawn=true" in source(name)


@pytest.mark.parametrize("name", NAMES)
def test_only_what_the_paper_pretrains_starts_from_imagenet(name: str) -> None:
    """HA-CNN and OSNet train from scratch, MDPR and SOLIDER from a file that the user brings, as does fast-reid's MGN
    with its IBN-a; the small ones have to do without, all but the one whose ImageNet weights come as a package."""
    recipe = Recipe.load(name)
    backbone = recipe.model.options.get("backbone", {})
    at_hand = recipe.data.name in ("sample", "pku_reid_mini", "market")
    brought = figure(recipe) in ("mdpr", "solider") or recipe.model.name == "mgn-fastreid"
    scratch = figure(recipe) in ("hacnn", "osnet")
    packaged = "efficientnet_lite2" if name == "synth_base" else False
    assert backbone.get("pretrained", False) == (packaged or (not at_hand and not brought and not scratch))
    if brought and not at_hand:
        assert "--set model.backbone.weights=FILE" in source(name)


@pytest.mark.parametrize("name", NAMES)
def test_at_full_size_the_objective_fits_the_model_on_the_meta_device(name: str, made: Dataset) -> None:
    build_objective(Recipe.load(name), made)


@pytest.mark.parametrize("name", DISTINCT)
def test_every_parameter_learns(name: str, made: Dataset) -> None:
    model, objective = put_together(small(name), made)
    if isinstance(objective.weighting, DynamicFocal):
        objective.weighting.mode = "joint"
    batch = batch_of(model, made)
    for loss, output in memories(objective):
        loss.begin(flatten(model(batch.images))[output].detach(), batch.pids, batch.camids)
    trained, step, batch = as_trained(model, objective, batch)
    report = step(batch)
    report.total.backward()
    assert all(part.isfinite() for part in report.parts.values())
    for parameter, tensor in named_parameters(trained, objective):
        if tensor.grad is None:
            assert all(map(fnmatchcase, (name, parameter), IDLE)), parameter
            continue
        assert tensor.grad.isfinite().all(), parameter
        canceled = any(fnmatchcase(name, who) and fnmatchcase(parameter, what) for who, what in CANCELED)
        assert canceled or tensor.grad.abs().sum() > 0, parameter


@pytest.mark.parametrize("name", [name for name in NAMES if "lecture" in name])
def test_the_classifier_is_idle_only_where_a_metric_loss_is_alone(name: str) -> None:
    used = {term.loss for term in Recipe.load(name).objective.terms}
    assert ("cross_entropy" not in used) == any(name == f"lecture_{word}_sample" for word in ALONE)


@pytest.mark.parametrize("name", [name for name in NAMES if "pyramid" in name])
def test_alone_the_identity_task_teaches_everything_as_well(name: str, made: Dataset) -> None:
    model, objective = put_together(small(name), made)
    assert isinstance(objective.weighting, DynamicFocal)
    report = Step(model, objective)(batch_of(model, made))
    together = objective.weighting.config.decide == "after"  # the later release begins with both tasks
    assert (report.weights["triplet"] > 0) == together
    report.total.backward()
    assert all(tensor.grad is not None for _, tensor in named_parameters(model, objective))


def test_the_batches_of_pyramid() -> None:
    """202 random batches of 64 in a pass over the 12,936 pictures; 8 x 8 of those who have 8 pictures."""
    recipe = Recipe.load("pyramid_market1501")
    drawn, dealt = recipe.feed["random"], recipe.feed["balanced"]
    batches = RandomSampler(12_936, drawn.batch_size).epoch(0)
    assert len(batches) == 202
    assert len(np.unique(np.concatenate(batches))) == 202 * 64  # no picture twice in a pass
    pids = np.repeat(np.arange(20), [*[5] * 8, *[11] * 12])  # eight people have too few
    for batch in PKSampler(pids, dealt.ids, dealt.images, short_id=dealt.short_id).epoch(0):
        people, shown = np.unique(pids[batch], return_counts=True)
        assert shown.tolist() == [8] * 8
        assert people.min() >= 8
        assert len(np.unique(batch)) == 64
    with pytest.raises(DatasetError, match="7 persons with at least 8 pictures"):
        PKSampler(np.repeat(np.arange(9), [5, 5, *[9] * 7]), dealt.ids, dealt.images, short_id=dealt.short_id)


@pytest.mark.parametrize("name", DISTINCT)
def test_the_optimiser_takes_every_parameter_once(name: str, made: Dataset) -> None:
    recipe = small(name)
    model, objective = put_together(recipe, made)
    freeze(recipe.optim, model, objective)
    named = named_parameters(model, objective)
    groups = build_optimizer(recipe.optim, named).param_groups
    assert sum(len(group["params"]) for group in groups) == len(named)
    rates = {group["lr"] for group in groups}
    two = name == "synth_base" or (
        figure(recipe) in ("mancs", "pyramid") and name not in SAMPLES and "youreid" not in name
    )
    assert len(rates) == (2 if two else 1)


def test_mancs_trains_what_is_new_three_times_as_fast(made: Dataset) -> None:
    recipe = small("mancs_market1501")
    model, objective = put_together(recipe, made)
    named = named_parameters(model, objective)
    groups = build_optimizer(recipe.optim, named).param_groups
    rate = {id(p): group["lr"] for group in groups for p in group["params"]}
    for name, parameter in named:
        assert rate[id(parameter)] == pytest.approx(3e-4 if name.startswith("backbone.") else 9e-4)


RATES: dict[str, dict[float, float]] = {  # learning rate of the trunk at the beginning of an epoch
    "mancs_market1501": {0: 3e-4, 100: 3e-4, 101: 2.613e-4, 110: 7.536e-5, 125: 9.487e-6, 149: 3.444e-7},
    "pyramid_market1501": {0: 0.01, 60: 0.005, 70: 0.0025, 80: 0.00125, 90: 6.25e-4, 100: 3.125e-4},
    "mdpr_market1501": {0: 3.5e-5, 20: 1.925e-4, 40: 3.5e-4, 41: 3.4785e-4, 50: 1.7505e-4, 59: 2.254e-6},
    "mdpr_light_market1501": {0: 3.5e-5, 10: 3.4965e-4, 30: 2.1856e-4, 59: 1.0e-7},
    "mdpr_dukemtmcreid": {0: 3.5e-5, 20: 2.366e-4, 32: 3.489e-4, 45: 1.7505e-4, 59: 1.0e-7},
    "mdpr_synergyreid": {0: 3.5e-5, 6: 3.4685e-4, 20: 2.163e-4, 39: 1.0e-7},
    "strong_baseline_market1501": {0: 3.5e-5, 5: 1.925e-4, 10: 3.5e-4, 40: 3.5e-5, 70: 3.5e-6, 119: 3.5e-6},
    "hacnn_market1501": {0: 0.03, 149: 0.03, 150: 0.003, 225: 3e-4},
}


@pytest.mark.parametrize("name", RATES)
def test_the_rate_is_the_papers_epoch_by_epoch(name: str) -> None:
    recipe = Recipe.load(name)
    backbone = next((group.lr for group in recipe.optim.groups if group.match == "backbone.*"), None)
    base = recipe.optim.lr if backbone is None else backbone
    for epoch, rate in RATES[name].items():
        assert base * recipe.schedule.factor(epoch, recipe.train.epochs) == pytest.approx(rate, rel=3e-4), epoch


def test_each_system_has_its_data_sets_and_its_second_reading() -> None:
    known = {
        "mancs": ("market1501", "dukemtmcreid", "cuhk03np_detected", "cuhk03np_labeled", "sample"),
        "hacnn": ("market1501", "dukemtmcreid", "cuhk03np_detected", "cuhk03np_labeled", "sample"),
        "pyramid": ("market1501", "dukemtmcreid", "cuhk03np_detected", "cuhk03np_labeled", "sample"),
        "mdpr": ("market1501", "dukemtmcreid", "synergyreid", "sample"),
        "baseline": ("market1501", "dukemtmcreid", "msmt17", "sample"),
        "strong_baseline": ("market1501", "dukemtmcreid", "msmt17", "pku_reid_mini", "sample"),
    }
    for model, sets in known.items():
        for where in sets:
            assert Recipe.load(f"{model}_{where}").model.name == model
    used = {Recipe.load(name).model.name for name in NAMES}
    assert used == {*MODELS, *PRESETS}


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_people(tmp_path_factory.mktemp("people"), train_ids=8, shots=4)
    rows = [f"{pid},{pid % 2},{pid % 3}" for pid in range(1, 13)]
    (root / "attributes.csv").write_text("\n".join(["pid,attr.hat,attr.coat", *rows]))
    return root


@pytest.mark.parametrize("name", SAMPLES)
def test_a_small_recipe_trains(name: str, people: Path, tmp_path: Path) -> None:
    recipe = small(name)
    batches = [f"feed.{source}.{key}={n}" for source in recipe.feed for key, n in (("ids", 4), ("images", 2))]
    batches += [f"feed.{source}.batch_size=8" for source in recipe.feed]
    place = ("data.name=market", f'data.root="{people}"', "data.pixels=memory")
    short = ("train.epochs=2", "train.steps_per_epoch=1", "train.precision=fp32", "train.log_every=1")
    run = train(recipe.override(*batches, *place, *short), tmp_path / "run", device="cpu")
    lines = [line for line in run.journal if line["event"] == "train"]
    assert len(lines) == 2
    assert set(lines[0]["parts"]) == {term.name for term in recipe.objective.terms}
    with torch.no_grad():
        vectors = run.model.eval().embed(torch.rand(2, 3, *run.model.input_size))
    assert vectors.shape == (2, run.model.embedding_dim)
    assert vectors.isfinite().all()
