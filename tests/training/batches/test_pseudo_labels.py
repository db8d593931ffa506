"""Training on clusters: labels nobody gave, renewed each epoch, resumed and shared exactly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from resight import data, models
from resight.assembly import build_trainer
from resight.clustering import centered
from resight.errors import CheckpointError, Interrupted, RecipeError, TrainingError
from resight.recipe import Recipe
from resight.run import Run, train
from resight.training.monitoring.progress import Silent
from resight.training.trainer import Trainer
from tests.people import write_people
from tests.tiny import tiny

CLUSTERS = (
    "data.pixels=memory",
    "model.backbone.width=8",
    'objective.terms=[{name="cluster_contrast", loss="cluster_contrast", on="features.neck"}]',
    "labels.source=clusters",
    "labels.cluster={k1=6, k2=3, min_samples=2}",
    "feed.main.ids=4",
    "optim.lr=1e-3",
    "train.epochs=3",
    "train.log_every=1",
    "train.ema=0.9",
)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_people(tmp_path_factory.mktemp("people"), train_ids=8, shots=4)


def recipe(people: Path, *settings: str) -> Recipe:
    return tiny(people, *CLUSTERS).override(*settings)


def weights(run: Run) -> dict[str, torch.Tensor]:
    return dict(run.model.state_dict())


def clusterings(run: Run) -> list[dict[str, Any]]:
    return [line for line in run.journal if line["event"] == "clusters"]


def trainer(people: Path, out: Path, *settings: str) -> Trainer:
    asked = recipe(people, *settings)
    dataset = data.load_dataset("market", root=people)
    unnamed = replace(dataset, train=tuple(replace(sample, pid=-2) for sample in dataset.train))
    return build_trainer(asked, unnamed, None, out, torch.device("cpu"), Silent())


def test_a_run_says_it_used_no_label_and_what_it_found(people: Path, tmp_path: Path) -> None:
    run = train(recipe(people), tmp_path, device="cpu")
    assert run.card["data"]["labels_used"] == 0
    assert [line["epoch"] for line in clusterings(run)] == [0, 1, 2]
    assert all(line["clusters"] >= 2 for line in clusterings(run))
    assert not list(run.model.classifiers())


def test_the_names_of_files_change_nothing(people: Path, tmp_path: Path) -> None:
    """People are shuffled: were a label read anywhere, other weights would come out."""
    dataset = data.load_dataset("market", root=people)
    order = np.random.default_rng(0).permutation([sample.pid for sample in dataset.train])
    shuffled = replace(
        dataset, train=tuple(replace(s, pid=int(pid)) for s, pid in zip(dataset.train, order, strict=True))
    )
    one = weights(train(recipe(people), tmp_path / "a", device="cpu", dataset=dataset))
    other = weights(train(recipe(people), tmp_path / "b", device="cpu", dataset=shuffled))
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("stop", [3, 4, 6])
def test_a_run_that_was_stopped_goes_on_exactly(people: Path, tmp_path: Path, stop: int) -> None:
    whole = weights(train(recipe(people), tmp_path / "whole", device="cpu"))
    begun = trainer(people, tmp_path / "halves")
    for _ in range(stop):
        begun.train_step()
    begun.state.save()
    (tmp_path / "halves" / "recipe.toml").write_text(recipe(people).to_toml())
    halves = weights(train(recipe(people), tmp_path / "halves", device="cpu"))
    assert all(torch.equal(whole[name], halves[name]) for name in whole)


def test_batches_hold_members_of_clusters_only(people: Path, tmp_path: Path) -> None:
    held = trainer(people, tmp_path)
    assert held.labels is not None
    held.labels.renew(held.result)
    labels = held.feed.labels.pids
    for step in range(20):
        batch = held.feed.next("main", step)
        assert torch.equal(batch.pids, labels[batch.index])
        assert (batch.pids >= 0).all()
        assert len(set(batch.pids.tolist())) <= 4


def test_outliers_with_a_class_of_their_own_are_still_told_as_left_out(people: Path, tmp_path: Path) -> None:
    held = trainer(people, tmp_path, 'labels.outliers="own"', "labels.cluster={k1=6, k2=3, min_samples=2, eps=0.1}")
    assert held.labels is not None
    held.labels.renew(held.result)
    news, alone = held.labels.news(), held.labels.found < 0
    assert news is not None and alone.any()
    assert news["left_out"] == pytest.approx(alone.mean(), abs=1e-4)
    assert news["clusters"] == held.labels.found.max() + 1
    assert int(held.feed.labels.pids.max()) + 1 == news["clusters"] + alone.sum()  # a class each all the same


def test_fewer_clusters_than_a_batch_wants_make_a_smaller_batch(people: Path, tmp_path: Path) -> None:
    held = trainer(people, tmp_path, "feed.main.ids=64")
    held.train_step()
    assert held.feed.relabeled


def test_pictures_of_one_person_end_in_a_sentence(people: Path, tmp_path: Path) -> None:
    dataset = data.load_dataset("market", root=people)
    one = replace(dataset, train=tuple(s for s in dataset.train if s.pid == dataset.train[0].pid))
    with pytest.raises(TrainingError, match="several people"):
        train(recipe(people), tmp_path, device="cpu", dataset=one)


def test_starting_weights_are_what_is_trained_and_another_start_is_another_run(people: Path, tmp_path: Path) -> None:
    first = train(recipe(people, "train.epochs=1"), tmp_path / "first", device="cpu")
    model = models.load_model(tmp_path / "first", num_ids=0)
    train(recipe(people, "train.epochs=1", "optim.lr=0.0", "train.ema=0.0"), tmp_path / "second", device="cpu",
          start=model)  # fmt: skip
    moved = models.read_model(tmp_path / "second")
    kept, now = dict(first.model.named_parameters()), dict(moved.named_parameters())
    assert all(torch.equal(kept[name], now[name]) for name in kept)
    with pytest.raises(CheckpointError, match="another recipe|other"):
        train(recipe(people, "train.epochs=1", "optim.lr=0.0", "train.ema=0.0"), tmp_path / "second", device="cpu")


def test_interrupted_within_an_epoch_the_labels_are_part_of_the_state(people: Path, tmp_path: Path) -> None:
    begun = trainer(people, tmp_path)
    for _ in range(2):
        begun.train_step()
    begun.state.save()
    again = trainer(people, tmp_path)
    again.state.resume()
    assert torch.equal(again.feed.labels.pids, begun.feed.labels.pids)
    assert again.labels is not None
    assert begun.labels is not None
    assert torch.equal(again.labels.losses[0][0].memory, begun.labels.losses[0][0].memory)  # type: ignore[arg-type]
    assert Interrupted.exit_code == 75


def test_a_memory_belongs_to_one_output(people: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="its own term"):
        trainer(people, tmp_path, 'objective.terms.cluster_contrast.on="features.*"')


def test_each_camera_is_centered() -> None:
    rng = np.random.default_rng(0)
    vectors, cameras = rng.normal(size=(40, 6)).astype(np.float32), np.repeat([0, 1], 20)
    vectors[cameras == 1] += 5
    moved = centered(vectors, cameras)
    assert np.allclose(np.linalg.norm(moved, axis=1), 1, atol=1e-5)
    assert abs(moved[cameras == 0].mean() - moved[cameras == 1].mean()) < 0.1
    assert vectors[cameras == 1].mean() > 4  # the argument is left as it was


@pytest.mark.parametrize("stop", [3, 5])
def test_self_paced_clusters_with_outliers_of_their_own_go_on_exactly(people: Path, tmp_path: Path, stop: int) -> None:
    spcl = (
        'objective.terms.cluster_contrast.loss="hybrid_memory"', 'labels.outliers="own"', "labels.cluster.gap=0.1",
        "labels.cluster.eps=0.4",
    )  # fmt: skip
    whole = train(recipe(people, *spcl), tmp_path / "whole", device="cpu")
    begun = trainer(people, tmp_path / "halves", *spcl)
    for _ in range(stop):
        begun.train_step()
    assert begun.labels is not None
    assert begun.labels.independence is not None
    assert (begun.feed.labels.pids >= 0).all()
    begun.state.save()
    (tmp_path / "halves" / "recipe.toml").write_text(recipe(people, *spcl).to_toml())
    halves = weights(train(recipe(people, *spcl), tmp_path / "halves", device="cpu"))
    expected = weights(whole)
    assert all(torch.equal(expected[name], halves[name]) for name in expected)


def test_the_precision_may_be_found_while_pictures_are_described(people: Path, tmp_path: Path) -> None:
    held = trainer(people, tmp_path, "train.precision=auto")
    held.train_step()
    assert held.precision in ("fp32", "bf16")
