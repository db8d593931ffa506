"""SpCL's hybrid memory against its equations, spelled out."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from resight.errors import UsageError
from resight.losses import HybridMemory, build

LABELS = torch.tensor([0, 0, 0, 1, 1, 2, 3])  # two clusters, two pictures of their own


def begun() -> tuple[HybridMemory, Tensor]:
    loss = HybridMemory(6, 0, momentum=0.4, temperature=0.1).double()
    features = torch.randn(7, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    loss.begin(features, LABELS, torch.zeros(7, dtype=torch.long))
    return loss, features


def test_the_equation() -> None:
    loss, features = begun()
    index = torch.tensor([1, 4, 5])
    queries = torch.randn(3, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    memory = F.normalize(features)
    means = torch.stack([memory[k == LABELS].mean(dim=0) for k in range(4)])
    expected = torch.zeros((), dtype=torch.float64)
    for query, row in zip(F.normalize(queries), index, strict=True):
        scores = (means @ query / 0.1).exp()
        expected -= (scores[LABELS[row]] / scores.sum()).log() / 3
    assert torch.allclose(loss.eval()(queries, LABELS[index], index), expected)


def test_only_the_batch_moves_and_clusters_renewed_keep_the_vectors() -> None:
    loss, features = begun()
    index = torch.tensor([1, 4])
    queries = torch.randn(2, 6, dtype=torch.float64)
    loss(queries, LABELS[index], index)
    before = F.normalize(features)
    expected = F.normalize(0.4 * before[index] + 0.6 * F.normalize(queries))
    assert torch.allclose(loss.memory[index], expected)
    rest = torch.tensor([0, 2, 3, 5, 6])
    assert torch.equal(loss.memory[rest], before[rest])
    held = loss.memory.clone()
    loss.begin(features, torch.zeros(7, dtype=torch.long), torch.zeros(7, dtype=torch.long))
    assert torch.equal(loss.memory, held)
    assert loss.classes().shape == (1, 6)


def test_the_first_clusters_fill_the_memory_also_where_there_are_as_many_pictures_as_labels() -> None:
    loss = HybridMemory(6, num_ids=7).double()
    features = torch.randn(7, 6, dtype=torch.float64)
    loss.begin(features, LABELS, torch.zeros(7, dtype=torch.long))
    assert torch.equal(loss.memory, F.normalize(features))
    resumed = HybridMemory(6, num_ids=7).double()
    resumed.load_state_dict(loss.state_dict())
    resumed.begin(-features, LABELS, torch.zeros(7, dtype=torch.long))
    assert torch.equal(resumed.memory, loss.memory)


def test_pictures_left_out_are_no_class() -> None:
    loss, features = begun()
    loss.begin(features, torch.tensor([0, 0, 0, 1, 1, -1, -1]), torch.zeros(7, dtype=torch.long))
    assert loss.classes().shape == (2, 6)


def test_its_state_is_all_there_is() -> None:
    loss, _ = begun()
    fresh = HybridMemory(6, 0, momentum=0.4, temperature=0.1).double()
    fresh.load_state_dict(loss.state_dict())
    assert torch.equal(fresh.memory, loss.memory)
    assert torch.equal(fresh.labels, loss.labels)


def test_settings_that_make_no_sense() -> None:
    with pytest.raises(UsageError, match="momentum"):
        build("hybrid_memory", dim=4, num_ids=2, momentum=-1.0)
