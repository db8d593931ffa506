"""Labelled pictures beside those that are clustered: batches of two halves, persons that stay, statistics apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from resight import data
from resight.assembly import build_trainer
from resight.data import Dataset
from resight.errors import RecipeError
from resight.recipe import Recipe
from resight.run import train
from resight.training.batches.samplers import Halves
from resight.training.monitoring.progress import Silent
from resight.training.trainer import Trainer
from tests.people import write_people
from tests.training.batches import test_pseudo_labels as clustered
from tests.training.spread import half_known

KEEP = ("labels.keep=true",)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_people(tmp_path_factory.mktemp("people"), train_ids=12, shots=4)


@pytest.fixture(scope="module")
def dataset(people: Path) -> Dataset:
    return half_known(data.load_dataset("market", root=people))


def plan(people: Path, *settings: str) -> Recipe:
    return clustered.recipe(people, *KEEP, *settings)


def trainer(people: Path, dataset: Dataset, out: Path, *settings: str) -> Trainer:
    return build_trainer(plan(people, *settings), dataset, None, out, torch.device("cpu"), Silent())


def test_known_persons_are_classes_beside_the_clusters(people: Path, dataset: Dataset, tmp_path: Path) -> None:
    held = trainer(people, dataset, tmp_path)
    assert held.labels is not None
    held.labels.renew(held.result)
    labels, given = held.feed.labels.pids, torch.tensor([sample.pid for sample in held.feed.pixels.samples])
    known = given > 0
    clusters = int(labels[~known].max()) + 1
    assert labels[known].min() == clusters
    persons = set(given[known].tolist())
    for one in persons:
        assert len(set(labels[given == one].tolist())) == 1
    assert len(set(labels[known].tolist())) == len(persons) == 6
    assert len(held.labels.losses[0][0].memory) == clusters + 6  # type: ignore[arg-type]


def test_half_of_every_batch_is_known(people: Path, dataset: Dataset, tmp_path: Path) -> None:
    held = trainer(people, dataset, tmp_path)
    assert held.labels is not None
    held.labels.renew(held.result)
    known = torch.tensor([sample.pid > 0 for sample in held.feed.pixels.samples])
    for step in range(12):
        batch = held.feed.next("main", step)
        assert known[batch.index].tolist() == [False, False, True, True] * 2  # two pictures of each of two and two
        assert torch.equal(batch.pids, held.feed.labels.pids[batch.index])


def test_a_pass_of_the_new_takes_as_many_passes_of_the_known_as_it_needs() -> None:
    class Counting:
        def __init__(self, first: int, batches: int) -> None:
            self.first, self.batches = first, batches

        def epoch(self, epoch: int) -> list[NDArray[np.int64]]:
            return [np.arange(4) + self.first + 100 * epoch + 10 * batch for batch in range(self.batches)]

    found = Halves(Counting(0, 5), Counting(10_000, 2), 2).epoch(1)
    assert [batch[:2].tolist() for batch in found] == [[100 + 10 * n, 101 + 10 * n] for n in range(5)]
    assert all(batch.tolist()[2] >= 10_000 for batch in found)
    assert found[0].tolist()[4:6] == [102, 103]
    assert len({tuple(batch[2:4]) for batch in found}) == 5  # no batch of the known twice


@pytest.mark.parametrize("stop", [3, 4])
def test_a_run_that_was_stopped_goes_on_exactly(people: Path, dataset: Dataset, tmp_path: Path, stop: int) -> None:
    asked = plan(people, "labels.separate_statistics=true")
    whole = clustered.weights(train(asked, tmp_path / "whole", device="cpu", dataset=dataset))
    begun = trainer(people, dataset, tmp_path / "halves", "labels.separate_statistics=true")
    for _ in range(stop):
        begun.train_step()
    begun.state.save()
    (tmp_path / "halves" / "recipe.toml").write_text(asked.to_toml())
    run = train(asked, tmp_path / "halves", device="cpu", dataset=dataset)
    assert all(torch.equal(whole[name], value) for name, value in clustered.weights(run).items())
    assert run.card["data"]["labels_used"] == sum(sample.pid > 0 for sample in dataset.train)


def test_running_statistics_are_those_of_the_new_pictures(people: Path, dataset: Dataset, tmp_path: Path) -> None:
    held = trainer(people, dataset, tmp_path, "labels.separate_statistics=true", "train.ema=0.0")
    mixed = trainer(people, dataset, tmp_path / "mixed", "train.ema=0.0")
    for one in (held, mixed):
        assert one.labels is not None
        one.labels.renew(one.result)
    batch = held.feed.next("main", 0)
    step = held.step.train()
    norm = held.model.get_submodule("backbone.bn1")
    before = norm.running_mean.clone()  # type: ignore[operator]
    seen: list[torch.Tensor] = []
    held.model.get_submodule("backbone.conv1").register_forward_hook(lambda *given: seen.append(given[2]))
    step.look(batch)
    new = seen[0][~held.feed.kept[batch.index]].mean(dim=(0, 2, 3))
    assert torch.allclose(norm.running_mean, 0.9 * before + 0.1 * new, atol=1e-5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("setting", "words"),
    [("labels.keep=true", "none to group"), ("labels.separate_statistics=true", "labels.keep")],
)
def test_what_makes_no_sense(people: Path, tmp_path: Path, setting: str, words: str) -> None:
    named = data.load_dataset("market", root=people)
    with pytest.raises(RecipeError, match=words):
        build_trainer(clustered.recipe(people, setting), named, None, tmp_path, torch.device("cpu"), Silent())
