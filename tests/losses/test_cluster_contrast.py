"""Cluster Contrast against its equations, spelled out."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from resight.errors import UsageError
from resight.losses import ClusterContrast, build
from resight.losses.pseudo_labels import centroids, moved


def batch(seed: int = 0, clusters: int = 5, images: int = 4, dim: int = 8) -> tuple[Tensor, Tensor]:
    draws = torch.Generator().manual_seed(seed)
    pids = torch.arange(clusters).repeat_interleave(images)[torch.randperm(clusters * images, generator=draws)]
    return torch.randn(clusters * images, dim, generator=draws, dtype=torch.float64), pids


def begun(**options: Any) -> tuple[ClusterContrast, Tensor, Tensor]:
    loss = ClusterContrast(8, 0, **options).double()
    features, pids = batch(1)
    loss.begin(features, pids, torch.zeros_like(pids))
    return loss, features, pids


def test_the_equation() -> None:
    loss, *_ = begun(temperature=0.1)
    features, pids = batch(2)
    expected = torch.zeros((), dtype=torch.float64)
    for q, y in zip(F.normalize(features), pids, strict=True):
        scores = torch.stack([q @ phi / 0.1 for phi in loss.memory]).exp()
        expected -= (scores[y] / scores.sum()).log() / len(pids)
    assert torch.allclose(loss(features, pids), expected)


def test_begin_takes_the_unit_means_of_clusters_and_passes_over_what_is_left_out() -> None:
    features, pids = batch(3)
    pids = torch.where(pids == 4, -1, pids)
    loss = ClusterContrast(8, 0).double()
    loss.begin(features, pids, torch.zeros_like(pids))
    for cluster in range(4):
        mean = F.normalize(features[pids == cluster]).mean(dim=0)
        assert torch.allclose(loss.memory[cluster], mean / mean.norm())
    assert len(loss.memory) == 4


@pytest.mark.parametrize("update", ["all", "hardest"])
def test_the_memory_moves_as_the_paper_says(update: Any) -> None:
    loss, *_ = begun(momentum=0.3, update=update)
    expected = loss.memory.clone()
    features, pids = batch(4)
    loss(features, pids)
    query = F.normalize(features)
    for cluster in range(5):
        rows = [row for row in range(len(pids)) if pids[row] == cluster]
        if update == "hardest":
            rows = [min(rows, key=lambda row: float(query[row] @ expected[cluster]))]
        phi = expected[cluster].clone()
        for row in rows:
            phi = 0.3 * phi + 0.7 * query[row]
            phi = phi / phi.norm()
        assert torch.allclose(loss.memory[cluster], phi)


def test_nothing_moves_in_evaluation_and_no_gradient_reaches_the_memory() -> None:
    loss, *_ = begun()
    before = loss.memory.clone()
    features, pids = batch(5)
    loss.eval()(features, pids)
    assert torch.equal(loss.memory, before)
    loss.train()(features.requires_grad_(), pids).backward()
    assert not loss.memory.requires_grad
    assert features.grad is not None


def test_moving_one_after_another_is_moving_by_turns() -> None:
    memory = F.normalize(torch.randn(3, 6, dtype=torch.float64))
    features = F.normalize(torch.randn(7, 6, dtype=torch.float64))
    rows = torch.tensor([2, 0, 2, 2, 0, 1, 2])
    expected = memory.clone()
    for row, feature in zip(rows, features, strict=True):
        expected[row] = F.normalize(0.5 * expected[row] + 0.5 * feature, dim=0)
    assert torch.allclose(moved(memory, rows, features, 0.5), expected)
    assert torch.allclose(memory.norm(dim=1), torch.ones(3, dtype=torch.float64))


def test_a_state_of_any_number_of_clusters_is_taken_up() -> None:
    loss, *_ = begun()
    fresh = ClusterContrast(8, 0).double()
    fresh.load_state_dict(loss.state_dict())
    assert torch.equal(fresh.memory, loss.memory)
    features, pids = batch(6)
    assert torch.equal(fresh(features, pids), loss(features, pids))


def test_descending_pulls_a_picture_to_its_cluster() -> None:
    loss, *_ = begun()
    features, pids = batch(7)
    features.requires_grad_()
    loss.eval()(features, pids).backward()
    assert features.grad is not None
    after = F.normalize(features.detach() - 0.1 * features.grad)
    before = F.normalize(features.detach())
    own = loss.memory[pids]
    assert ((after * own).sum(dim=1) > (before * own).sum(dim=1)).double().mean() > 0.9


def test_centroids_of_a_cluster_without_rows_are_zero() -> None:
    assert torch.equal(centroids(torch.ones(2, 3), torch.tensor([0, 2]), 3)[1], torch.zeros(3))


@pytest.mark.parametrize("options", [{"momentum": 1.5}, {"temperature": 0.0}, {"update": "soft"}])
def test_settings_that_make_no_sense(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(options))):
        build("cluster_contrast", dim=4, num_ids=2, **options)
