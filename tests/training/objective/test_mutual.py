"""Two networks that teach each other: what a step sees, what the run leaves, exact resume."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from resight import data, models
from resight.assembly import build_trainer
from resight.errors import RecipeError
from resight.run import train
from resight.training.monitoring.progress import Silent
from resight.training.objective.mutual import MutualStep, TwoNetworks
from resight.training.trainer import Trainer
from tests.people import write_people
from tests.training.batches import test_pseudo_labels as clustered

MUTUAL = (
    'objective.terms=[{name = "said", loss = "mutual_identity", on = "features.neck"},'
    ' {name = "nearer", loss = "mutual_triplet", on = "features.global"}]',
)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_people(tmp_path_factory.mktemp("people"), train_ids=8, shots=4)


def trainer(people: Path, out: Path, *settings: str) -> Trainer:
    return clustered.trainer(people, out, *MUTUAL, *settings)


def networks(held: Trainer) -> tuple[TwoNetworks, TwoNetworks]:
    """Those that learn and those that teach."""
    assert held.average is not None
    learning, teaching = held.model, held.average.model
    assert isinstance(learning, TwoNetworks)
    assert isinstance(teaching, TwoNetworks)
    return learning, teaching


def test_each_network_sees_its_own_change_of_the_same_pictures(people: Path, tmp_path: Path) -> None:
    held = trainer(people, tmp_path)
    assert held.labels is not None
    held.labels.renew(held.described_by)
    batch = held.feed.next("main", 0)
    rows = len(batch.pids)
    assert len(batch.images) == 2 * rows
    one, two = batch.images.chunk(2)
    assert not torch.equal(one, two)
    again = trainer(people, tmp_path, "augment.flip=0.0", "augment.pad=0", "augment.crop=none")
    assert again.labels is not None
    again.labels.renew(again.described_by)
    unchanged = again.feed.next("main", 0)
    assert torch.equal(unchanged.images[:rows], unchanged.images[rows:])


def test_the_rows_of_an_output_are_those_of_four_networks(people: Path, tmp_path: Path) -> None:
    held = trainer(people, tmp_path)
    held.train_step()
    step = held.step
    assert isinstance(step, MutualStep)
    step.train()
    batch = held.feed.next("main", 1)
    learning, teaching = networks(held)
    found = step.look(batch).features["neck"].chunk(4)
    views = batch.images.chunk(2)
    members = [(learning.first, 0), (learning.second, 1), (teaching.first, 0), (teaching.second, 1)]
    for rows, (network, view) in zip(found, members, strict=True):
        assert torch.allclose(rows, network(views[view]).features["neck"], atol=1e-5)
    assert not any(parameter.requires_grad for parameter in teaching.parameters())


def test_both_learn_apart_and_their_averages_follow(people: Path, tmp_path: Path) -> None:
    held = trainer(people, tmp_path)
    start = {name: value.clone() for name, value in held.model.named_parameters()}
    for _ in range(3):
        held.train_step()
    learning, teaching = networks(held)
    assert not torch.equal(learning.first.get_parameter("backbone.conv1.weight"),
                           learning.second.get_parameter("backbone.conv1.weight"))  # fmt: skip
    for name, value in teaching.named_parameters():
        now = dict(learning.named_parameters())[name]
        if not torch.equal(now, start[name]):
            assert (value - start[name]).norm() < (now - start[name]).norm()
            assert not torch.equal(value, start[name])
    own, theirs = teaching.first.get_buffer("backbone.bn1.running_mean"), learning.first.get_buffer(
        "backbone.bn1.running_mean"
    )  # fmt: skip
    assert not torch.equal(own, theirs)  # statistics of their own: they see every batch


def test_pictures_are_described_by_the_mean_of_both_averages(people: Path, tmp_path: Path) -> None:
    held = trainer(people, tmp_path)
    for _ in range(2):
        held.train_step()
    _, teaching = networks(held)
    images = torch.rand(3, 3, 64, 32)
    teaching.eval()
    one, two = (network.embed(images) for network in (teaching.first, teaching.second))
    expected = (F.normalize(one, dim=1) + F.normalize(two, dim=1)) / 2
    found = held.described_by.eval()(images).features["neck"]
    assert torch.allclose(found, expected, atol=1e-6)


def test_the_run_leaves_the_average_of_the_first_network(people: Path, tmp_path: Path) -> None:
    held = trainer(people, tmp_path)
    held.run()
    left = models.read_model(tmp_path)
    _, teaching = networks(held)
    assert left.fingerprint() == teaching.first.fingerprint()
    assert teaching.second.fingerprint() != left.fingerprint()


def test_the_classifiers_moments_begin_anew_with_the_clusters(people: Path, tmp_path: Path) -> None:
    held = trainer(people, tmp_path)
    for _ in range(3):
        held.train_step()
    assert held.labels is not None
    (classifiers,) = held.labels.parameters()
    network = networks(held)[0].first.get_parameter("backbone.conv1.weight")
    held.train_step()
    assert held.optimizer.state[classifiers]["step"] == 1
    assert held.optimizer.state[network]["step"] == 4
    assert held.optimizer.state[classifiers]["exp_avg"].shape == classifiers.shape


@pytest.mark.parametrize("stop", [3, 4])
def test_a_run_that_was_stopped_goes_on_exactly(people: Path, tmp_path: Path, stop: int) -> None:
    plan = clustered.recipe(people, *MUTUAL)
    whole = clustered.weights(train(plan, tmp_path / "whole", device="cpu"))
    begun = trainer(people, tmp_path / "halves")
    for _ in range(stop):
        begun.train_step()
    begun.state.save()
    (tmp_path / "halves" / "recipe.toml").write_text(plan.to_toml())
    halves = clustered.weights(train(plan, tmp_path / "halves", device="cpu"))
    assert all(torch.equal(whole[name], halves[name]) for name in whole)


def test_the_second_network_may_start_from_weights_of_its_own(people: Path, tmp_path: Path) -> None:
    first = train(clustered.recipe(people, "train.epochs=1"), tmp_path / "first", device="cpu")
    held = trainer(people, tmp_path / "second", f"model.second={tmp_path / 'first'}")
    learning, _ = networks(held)
    assert learning.second.fingerprint() == first.model.fingerprint()
    assert learning.first.fingerprint() != first.model.fingerprint()


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("train.ema=0.0", "train.ema: .* 0.999"),
        ("train.accumulate=2", "train.accumulate"),
        ("labels.source=data", "labels.source: .* clusters"),
        ("train.gradient_cache=4", "train.gradient_cache"),
        ("train.parallel=fsdp", "train.parallel"),
        ("objective.terms.nearer.loss=trihard", "said judge two networks"),
        ("objective.terms.nearer.memory=8", "memory"),
    ],
)
def test_what_does_not_go_together(people: Path, tmp_path: Path, setting: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        build_trainer(clustered.recipe(people, *MUTUAL).override(setting), data.load_dataset("market", root=people),
                      None, tmp_path, torch.device("cpu"), Silent())  # fmt: skip
