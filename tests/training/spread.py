"""Small trainings that any number of processes may share, in float64, and what each process ends with."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.distributed.tensor import DTensor

import resight.assembly
from resight.assembly import build_objective
from resight.data import Dataset
from resight.data.augment import random_patch
from resight.dist import rank
from resight.errors import ResightError
from resight.models.base import ModelOptions, ReIDModel
from resight.models.registry import MODELS
from resight.recipe import Recipe
from resight.run import train
from resight.training import parallel
from resight.training.batches.feed import Feed
from resight.training.objective.weighting import DynamicFocal
from resight.training.trainer import Trainer
from resight.types import UNKNOWN_PID, Batch, ReIDOutput

BASE = """
name = "spread"
data = { name = "market", pixels = "memory" }
model = { name = "plain", input_size = [64, 32] }
feed.main = { ids = 4, images = 3 }
augment = { pad = 4, erase = 0.5 }
optim = { name = "sgd", lr = 0.05, clip_norm = 1.0, momentum = 0.9 }
train = { epochs = 2, steps_per_epoch = 2, log_every = 1, precision = "fp32", ema = 0.9 }
"""
IDENTITY = {"name": "identity", "loss": "cross_entropy", "on": "logits.identity"}
TRIPLET = {"name": "triplet", "loss": "trihard", "on": "features.global"}
DRAWN = {"name": "drawn", "loss": "curriculum_triplet", "on": "features.global"}
PAIRS = {"name": "pairs", "loss": "verification", "on": "features.global"}
RESTING = {**PAIRS, "weight": 0.0}
CENTERS = {"name": "centres", "loss": "center", "on": "features.global", "update": "learned", "weight": 0.01}
SHARDED = {"name": "many", "loss": "sharded", "on": "features.global", "head": "arcface", "scale": 8.0}
CLUSTERS = {"name": "clusters", "loss": "cluster_contrast", "on": "features.global"}
SAID = {"name": "said", "loss": "mutual_identity", "on": "features.global"}
NEARER = {"name": "nearer", "loss": "mutual_triplet", "on": "features.global"}
PROXIES = {"name": "proxies", "loss": "camera_proxies", "on": "features.global", "start": 1}

GROUPS = {"labels": {"source": "clusters", "cluster": {"k1": 4, "k2": 2, "min_samples": 2}}}
KEPT = {"labels": {**GROUPS["labels"], "keep": True, "separate_statistics": True}}
NETWORK = {"model": {"name": "strong_baseline", "backbone": {"name": "resnet10", "width": 4}, "pooling": "gem"}}
FROZEN = {"optim": {"groups": [{"match": "backbone.*", "lr": 0.0}]}}
ADAM = {"optim": {"name": "adam", "lr": 1e-3}}
CONTROLLER = {
    "objective": {"weighting": {"name": "dynamic_focal", "alone": "other", "together": "main", "delta": 0.3}},
    "feed": {"other": {"sampler": "random", "batch_size": 12}},
    "train": {"epochs": 4},
}
assembly: Any = resight.assembly  # of which parts are replaced below
STOPPED = ("in pieces", "plain", "clustered")
READY = 5  # patches in the pool before any is pasted

CASES: dict[str, tuple[list[dict[str, Any]], dict[str, Any]]] = {
    "plain": ([IDENTITY, TRIPLET, RESTING], {"augment": {"patch": 0.9}}),
    "drawing": ([IDENTITY, DRAWN, PAIRS], {}),
    "in pieces": ([SHARDED, CENTERS], ADAM),
    "batch norm": ([IDENTITY, TRIPLET], NETWORK),
    "frozen": ([IDENTITY, TRIPLET], {**NETWORK, **FROZEN}),
    "controller": ([IDENTITY, TRIPLET], CONTROLLER),
    "remembered": ([IDENTITY, {**TRIPLET, "memory": 24}], {}),
    "clustered": ([CLUSTERS], GROUPS),
    "cameras": ([CLUSTERS, PROXIES], GROUPS),
    "mutual": ([SAID, NEARER], {**GROUPS, **ADAM}),
    "mutual batch norm": ([SAID, {**NEARER, "on": "features.neck"}], {**GROUPS, **NETWORK}),
    "kept": ([CLUSTERS], {**KEPT, **NETWORK}),
    "cached": ([IDENTITY, TRIPLET, CENTERS], {"train": {"gradient_cache": 3}}),
    "recovered": ([IDENTITY, TRIPLET], {"optim": {"lr": 1e300}, "train": {"recover": 1, "recover_factor": 5e-302}}),
}


def half_known(dataset: Dataset) -> Dataset:
    """Of every second person nobody says who it is."""
    unknown = set(sorted({sample.pid for sample in dataset.train})[::2])
    hidden = (replace(s, pid=UNKNOWN_PID) if s.pid in unknown else s for s in dataset.train)
    return replace(dataset, train=tuple(hidden))


class Plain(ReIDModel):
    """Two layers and no batch statistics."""

    name, paper, year = "plain", "none", 2026
    Options: ClassVar[type[ModelOptions]] = ModelOptions

    def __init__(self, num_ids: int, options: ModelOptions) -> None:
        super().__init__(num_ids, options, widths={"global": 8}, retrieval=("global",), metric="cosine")
        self.body = nn.Sequential(nn.Conv2d(3, 6, 5, stride=4), nn.Tanh(), nn.AdaptiveAvgPool2d((4, 2)), nn.Flatten())
        self.feature, self.classifier = nn.Linear(48, 8), nn.Linear(8, num_ids)

    def describe(self, x: Tensor) -> dict[str, Tensor]:
        return {"global": self.feature(self.body(x))}

    def forward(self, images: Tensor) -> ReIDOutput:
        features = self.describe(self.normalize(images))
        return self.output(features, {"identity": self.classifier(features["global"])})


class Kept(Trainer):
    """The last one made in this process is remembered."""

    last: ClassVar[Trainer]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        Kept.last = self


def prepare() -> None:
    """In a process of its own: float64, a model without statistics, pools and blocks small enough to be used."""
    MODELS["plain"] = Plain
    assembly.Trainer = Kept
    assembly._placed = lambda model, *_, **__: model.double()
    assembly.build_objective = lambda *given: build_objective(*given).double()
    random_patch.READY = READY
    parallel.BLOCK = 500


def recipe(people: str, case: str, **tables: Any) -> Recipe:
    terms, changes = CASES[case]
    values = Recipe.from_toml(BASE).to_dict()
    merge(values, {"data": {"root": people}, "objective": {"terms": terms}})
    merge(values, changes)
    merge(values, tables)
    return Recipe.from_dict(values)


def merge(into: dict[str, Any], changes: dict[str, Any]) -> None:
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = value


def trained(plan: Recipe, folder: str) -> dict[str, Any]:
    """What this process ends with: weights, average, what losses own, and what the journal says."""
    dataset = half_known(assembly.load_data(plan)) if plan.labels.keep else None
    journal = train(plan, folder, dataset=dataset).journal
    last = Kept.last
    assert last.average is not None
    tensors = {f"model.{name}": value for name, value in last.parallel.state(last.model, everywhere=True).items()}
    average = last.parallel.state(last.average.model, everywhere=True)
    owned = last.parallel.state(last.objective, everywhere=True)
    tensors |= {f"average.{name}": value for name, value in average.items()}
    tensors |= {f"loss.{name}": value for name, value in owned.items() if isinstance(value, Tensor)}
    lines = [line for line in journal if line["event"] == "train"]
    weighting = last.objective.weighting
    facts = weighting.get_extra_state() if isinstance(weighting, DynamicFocal) else {}
    pool = last.feed.augment.pool.patches
    return {"tensors": tensors, "lines": lines, "facts": facts, "patches": len(pool)}


def cases(people: str, folder: str, names: Sequence[str]) -> dict[str, Any]:
    prepare()
    return {case: trained(recipe(people, case), f"{folder}/{case}") for case in names}


def other_ways(people: str, folder: str) -> dict[str, Any]:
    """In pieces; with statistics of each process's own; stopped on one process's word."""
    prepare()
    pieces = recipe(people, "batch norm", train={"parallel": "fsdp", "recover": 1})
    chunks = recipe(people, "cached", train={"parallel": "fsdp"})
    frozen = recipe(people, "frozen", train={"parallel": "fsdp"})
    own = recipe(people, "batch norm", train={"sync_batch_norm": False})
    return {
        "fsdp": trained(pieces, f"{folder}/fsdp"),
        "pieces": {name: tuple(each.to_local().shape) for name, each in local_parts()},
        "fsdp, cached": trained(chunks, f"{folder}/chunks"),
        "fsdp, frozen": trained(frozen, f"{folder}/frozen"),
        "own statistics": trained(own, f"{folder}/own"),
        "stopped": {case: stopped(recipe(people, case), f"{folder}/{case}") for case in STOPPED},
        "differs": refused(recipe(people, "plain", seed=rank()), f"{folder}/differs"),
        "unshared": refused(recipe(people, "plain", feed={"main": {"ids": 5}}), f"{folder}/unshared"),
    }


def local_parts() -> list[tuple[str, Any]]:
    return [(name, each) for name, each in Kept.last.model.named_parameters() if isinstance(each, DTensor)]


class Told(Feed):
    """A scheduler tells one process to stop, in the middle of a step."""

    def next(self, name: str, step: int) -> Batch:
        if step == 2 and rank() == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return super().next(name, step)


def stopped(plan: Recipe, folder: str) -> str:
    """Trains until one process is told to stop; what this one then says."""
    assembly.Feed = Told
    return refused(plan, folder)


def refused(plan: Recipe, folder: str) -> str:
    try:
        train(plan, folder)
    except ResightError as error:
        return f"{type(error).__name__}: {error}"
    return "nothing was said"


def resumed(people: str, folder: str, names: Sequence[str], parallel: str) -> dict[str, Any]:
    """Trainings that others began."""
    prepare()
    return {name: trained(recipe(people, name, train={"parallel": parallel}), f"{folder}/{name}") for name in names}
