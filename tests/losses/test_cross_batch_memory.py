"""Anchors of this batch against rows of earlier ones."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from resight.errors import UsageError
from resight.losses import CrossBatchMemory, MetricLoss, TriHard
from resight.losses.base import Past
from tests import ranks
from tests.losses.batches import labels, numbers, people
from tests.losses.cases import METRIC, make
from tests.ranks import averaged, backward, own_share


def metric(name: str) -> MetricLoss:
    loss = make(name)
    assert isinstance(loss, MetricLoss)
    return loss


def remembering(loss: MetricLoss, size: int, dim: int, start: int = 0) -> CrossBatchMemory:
    return CrossBatchMemory(loss, size, dim, start).double()


def slope(loss: CrossBatchMemory | MetricLoss, features: Tensor, pids: Tensor) -> tuple[Tensor, Tensor]:
    leaf = features.clone().requires_grad_()
    value = loss(leaf, pids)
    backward(value)
    assert leaf.grad is not None
    return value.detach(), leaf.grad


@pytest.mark.parametrize("name", METRIC)
def test_with_nothing_remembered_it_is_the_plain_loss(name: str) -> None:
    features, pids = people(4, 3, 5)
    for ours, theirs in zip(
        slope(remembering(metric(name), 20, 5), features, pids), slope(metric(name), features, pids), strict=True
    ):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("name", METRIC)
def test_it_is_the_loss_of_the_first_anchors_of_a_longer_batch(name: str) -> None:
    """Batch and memory joined, as one batch of which only the first rows are anchors and have a gradient."""
    (before, known), (features, pids) = people(4, 3, 5, seed=1), people(4, 3, 5, seed=2)
    memory = remembering(metric(name), 12, 5)
    memory.remember(before, known)
    value, found = slope(memory, features, pids)

    plain = metric(name)
    leaf = features.clone().requires_grad_()
    joined = plain.parts(torch.cat([leaf, before]), torch.cat([pids, known]))
    total = torch.zeros((), dtype=torch.float64)
    shares = plain.parts(features, pids, None, memory_of(before, known))
    for part, share in zip(joined, shares, strict=True):
        values, valid = part.values[: len(share.values)], part.valid[: len(share.values)]
        total = total + values.masked_fill(valid == 0, 0).sum() / valid.sum()
    backward(total)
    assert torch.allclose(value, total.detach(), rtol=1e-12)
    assert leaf.grad is not None
    assert torch.allclose(found, leaf.grad, atol=1e-12)


def memory_of(features: Tensor, pids: Tensor) -> Past:
    memory = remembering(TriHard(), len(pids), features.shape[1])
    memory.remember(features, pids)
    past = memory.past
    assert past is not None
    return past


def test_trihard_equals_the_loop_over_references() -> None:
    (before, known), (features, pids) = people(3, 4, 6, seed=3), people(3, 2, 6, seed=4)
    memory = remembering(TriHard(margin=2.0), 12, 6)
    memory.remember(before, known)
    references, names = torch.cat([features, before]).tolist(), torch.cat([pids, known]).tolist()
    values = []
    for a in range(len(pids)):
        apart = [sum((x - y) ** 2 for x, y in zip(references[a], row, strict=True)) ** 0.5 for row in references]
        far = max(apart[r] for r in range(len(names)) if names[r] == names[a] and r != a)
        near = min(apart[r] for r in range(len(names)) if names[r] != names[a])
        values.append(max(far - near + 2.0, 0.0))
    assert float(memory(features, pids)) == pytest.approx(sum(values) / len(values), rel=1e-12)


def test_a_value_worked_out_by_hand() -> None:
    """(0) meets (1) of its own kind and (3) of another; remembered: (-4) of its own, (1.5) of another."""
    memory = remembering(TriHard(margin=0.5), 2, 1)
    memory.remember(numbers([[-4], [1.5]]), labels(0, 1))
    value = memory(numbers([[0], [1], [3]]), labels(0, 0, 1))
    # anchor 0: 4 - 1.5 + 0.5;  anchor 1: 5 - 0.5 + 0.5;  anchor 3: 1.5 - 2 + 0.5
    assert float(value) == pytest.approx((3.0 + 5.0 + 0.0) / 3)


def test_an_anchor_does_not_meet_its_own_picture_in_memory() -> None:
    memory = remembering(TriHard(margin=1.0), 4, 1)
    memory.remember(numbers([[9], [7]]), labels(0, 1), torch.tensor([5, 6]))
    batch = numbers([[0], [1], [3], [4]]), labels(0, 0, 1, 1)
    alone = TriHard(margin=1.0)(*batch)
    seen = copy.deepcopy(memory)(*batch, torch.tensor([5, 1, 6, 2]))
    # picture 5 at 9 is farther from 1 than 0 is, picture 6 at 7 from 4 than 3: the other rows of each identity see them
    assert float(alone) == 0.0
    # anchor 1: positive 9 at 8, negative 3 at 2 -> 7;  anchor 4: positive 7 at 3, negative 1 at 3 -> 1
    assert float(seen) == pytest.approx((0 + 7 + 0 + 1) / 4)
    unknown = copy.deepcopy(memory)(*batch)
    # without an index anchors 0 and 3 meet their older copies too: 9 - 3 + 1 = 7 and 4 - 2 + 1 = 3
    assert float(unknown) == pytest.approx((7 + 7 + 3 + 1) / 4)


def test_the_oldest_rows_are_forgotten_first() -> None:
    memory = remembering(TriHard(), 5, 1)
    for number in range(4):
        memory(numbers([[2 * number], [2 * number + 1]]), labels(number, number))
    past = memory.past
    assert past is not None
    assert sorted(past.features[:, 0].tolist()) == [3, 4, 5, 6, 7]
    memory(torch.arange(10, 18, dtype=torch.float64)[:, None], torch.arange(8))  # more than there is room for
    past = memory.past
    assert past is not None
    assert sorted(past.features[:, 0].tolist()) == [13, 14, 15, 16, 17]


def test_it_begins_at_its_step_and_rests_in_evaluation() -> None:
    batch = people(3, 2, 4)
    memory = remembering(TriHard(), 8, 4, start=10)
    memory.set_clock(9, 0.9)
    memory(*batch)
    assert memory.filled == 0
    memory.set_clock(10, 1.0)
    memory.eval()
    memory(*batch)
    assert memory.filled == 0
    memory.train()
    memory(*batch)
    assert memory.filled == 6


def test_the_memory_carries_no_gradient_and_the_batch_remembered_may_be_changed() -> None:
    features, pids = people(3, 2, 4)
    memory = remembering(TriHard(), 8, 4)
    memory(features.requires_grad_(), pids)
    past = memory.past
    assert past is not None
    assert not past.features.requires_grad
    kept = past.features.clone()
    with torch.no_grad():
        features.mul_(3)
    assert torch.equal(past.features, kept)


@pytest.mark.parametrize("name", METRIC)
def test_a_memory_that_is_saved_goes_on_exactly(name: str) -> None:
    batches = [people(4, 3, 5, seed=seed) for seed in range(4)]
    whole = remembering(metric(name), 20, 5)
    for batch in batches[:3]:
        whole(*batch)
    resumed = remembering(metric(name), 20, 5)
    resumed.load_state_dict(copy.deepcopy(whole.state_dict()))
    assert torch.equal(whole(*batches[3]), resumed(*batches[3]))
    assert all(torch.equal(whole.state_dict()[key], resumed.state_dict()[key]) for key in ("features", "pids", "index"))


def _two_steps(name: str) -> tuple[Tensor, Tensor]:
    loss = remembering(metric(name), 20, 5)
    weight = torch.eye(5, dtype=torch.float64).requires_grad_()
    for seed in range(2):
        features, pids = people(4, 4, 5, seed=seed)
        value = loss(own_share(features) @ weight, own_share(pids))
    (gradient,) = torch.autograd.grad(value, weight)
    return averaged(gradient), loss.features


def test_all_ranks_remember_the_same_and_their_gradient_is_that_of_one() -> None:
    for name in ("trihard", "lifted", "quadruplet", "curriculum_triplet"):
        expected, remembered = _two_steps(name)
        for gradient, features in ranks.run(2, _two_steps, name):
            assert torch.allclose(gradient, expected, rtol=0, atol=1e-10)
            assert torch.allclose(features, remembered, rtol=0, atol=1e-12)


def test_a_memory_of_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="at least 1 descriptor"):
        CrossBatchMemory(TriHard(), 0, 4)
