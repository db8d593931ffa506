"""What losses need of several processes: on one process, and on two over gloo."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from resight.dist import (
    average_over_ranks,
    first_row,
    gather,
    gather_labels,
    mean_over_ranks,
    own_rows,
    rank,
    sum_over_ranks,
    world_size,
)
from tests.ranks import averaged, backward, own_share, run

ROWS = torch.arange(12, dtype=torch.float64).view(4, 3)
VALID = torch.tensor([True, False, False, True])


def test_alone_nothing_is_exchanged() -> None:
    assert (world_size(), rank(), first_row(ROWS)) == (1, 0, 0)
    assert gather(ROWS) is ROWS
    assert gather_labels(ROWS) is ROWS
    assert sum_over_ranks(ROWS) is ROWS
    assert torch.equal(own_rows(ROWS), torch.eye(4, dtype=torch.bool))


def test_mean_counts_only_what_is_valid() -> None:
    values = ROWS[:, 0]
    assert float(mean_over_ranks(values)) == 4.5
    assert float(mean_over_ranks(values, VALID)) == 4.5
    sums, counts = torch.tensor([10.0, 99.0, 2.0]), torch.tensor([4, 0, 2])
    assert float(mean_over_ranks(sums, counts)) == 2.0


def test_nothing_valid_is_zero_with_a_graph() -> None:
    leaf = ROWS[:, 0].clone().requires_grad_()
    nothing = mean_over_ranks(leaf, torch.zeros(4, dtype=torch.bool))
    backward(nothing)
    assert float(nothing.detach()) == 0
    assert leaf.grad is not None
    assert torch.equal(leaf.grad, torch.zeros(4, dtype=torch.float64))


def _two_processes() -> dict[str, Any]:
    mine = own_share(ROWS).clone().requires_grad_()
    everyone = gather(mine)
    said = everyone * torch.arange(4.0)[:, None] * (rank() + 1)  # each rank says something else
    backward(said.sum())
    assert mine.grad is not None
    scalar = torch.tensor(float(rank() + 1)).requires_grad_()
    backward(sum_over_ranks(scalar) * (rank() + 1))
    part = own_share(ROWS[:, 0]).clone().requires_grad_()
    mean = mean_over_ranks(part, own_share(VALID))
    backward(mean)
    return {
        "place": (world_size(), rank(), first_row(mine)),
        "everyone": everyone.detach(),
        "gradient": mine.grad,
        "labels": gather_labels(own_share(torch.tensor([3, 1, 4, 1]))),
        "half": gather(own_share(ROWS).half()),
        "itself": own_rows(mine),
        "sum gradient": scalar.grad,
        "mean": average_over_ranks(mean),
        "mean gradient": averaged(gather_labels(part.grad)) if part.grad is not None else None,
        "local mean": mean.detach(),
    }


@pytest.fixture(scope="module")
def two() -> list[dict[str, Any]]:
    return run(2, _two_processes)


def test_two_processes_see_one_batch(two: list[dict[str, Any]]) -> None:
    assert [each["place"] for each in two] == [(2, 0, 0), (2, 1, 2)]
    for each in two:
        assert torch.equal(each["everyone"], ROWS)
        assert torch.equal(each["half"], ROWS.half())
        assert each["labels"].tolist() == [3, 1, 4, 1]
    itself = torch.cat([each["itself"] for each in two])
    assert torch.equal(itself, torch.eye(4, dtype=torch.bool))


def test_the_gradient_of_a_gathered_row_is_what_all_ranks_said(two: list[dict[str, Any]]) -> None:
    gradient: Tensor = torch.cat([each["gradient"] for each in two])
    assert torch.equal(gradient, (1 + 2) * torch.arange(4.0, dtype=torch.float64)[:, None].expand(4, 3))
    assert [float(each["sum gradient"]) for each in two] == [3.0, 3.0]


def test_the_mean_is_over_the_global_batch(two: list[dict[str, Any]]) -> None:
    assert [float(each["mean"]) for each in two] == [4.5, 4.5]
    assert [float(each["local mean"]) for each in two] == [0.0, 9.0]  # W S_r / n: its average is the mean
    for each in two:
        assert torch.equal(each["mean gradient"], torch.tensor([1.0, 0, 0, 1.0], dtype=torch.float64))
