"""Collectives with gradients: what a loss needs to be exact when its batch is spread over ranks.

Every process holds n rows of a global batch of B = W n rows, in the order of the ranks, and n is the same
everywhere (samplers drop a short tail).  Data-parallel training averages gradients over the ranks, so a
rank's own loss has to be written such that this average is the gradient one process would have found:

    everyone = gather(features)              # gradients of remote anchors return to the local rows
    itself = own_rows(features)              # by place in the global batch, not by the local diagonal
    loss = mean_over_ranks(values, valid)    # W S_r / sum_r n_r: ranks differ in how many count

With one process, or no process group at all, the same lines do the same without communicating.
The derivation and the schemes that are not exact are in docs/methods/losses.md, "Several processes".  How
processes join, wait and end together is in `processes`.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as c10d
from torch import Tensor


def world_size() -> int:
    """Number of processes that share the batch: 1 without a process group."""
    return c10d.get_world_size() if c10d.is_available() and c10d.is_initialized() else 1


def rank() -> int:
    """Rank of this process: 0 without a process group."""
    return c10d.get_rank() if c10d.is_available() and c10d.is_initialized() else 0


def gather(rows: Tensor) -> Tensor:
    """Gather the rows of all ranks, in their order; the gradient of a row is summed over the ranks that used it.

    Shapes: (n, ...) -> (W n, ...), n equal on all ranks.  Every rank must run the backward pass.
    """
    if world_size() == 1:
        return rows
    if not rows.requires_grad:
        return gather_labels(rows)
    gathered: Tensor = _Gather.apply(rows)
    return gathered


def gather_labels(labels: Tensor) -> Tensor:
    """Gather labels, or any rows without gradient, of all ranks.  (n, ...) -> (W n, ...)."""
    if world_size() == 1:
        return labels
    mine = labels.detach().contiguous()
    everyone = mine.new_empty((world_size() * mine.shape[0], *mine.shape[1:]))
    c10d.all_gather_into_tensor(everyone, mine)
    return everyone


def sum_over_ranks(values: Tensor) -> Tensor:
    """Sum of the values of all ranks, on every rank; its gradient is the sum of the gradients of all ranks."""
    if world_size() == 1:
        return values
    if not values.requires_grad:
        return _all_reduced(values)
    total: Tensor = _Sum.apply(values)
    return total


def first_row(rows: Tensor) -> int:
    """Index of this rank's row 0 in the gathered batch."""
    return rank() * rows.shape[0]


def own_rows(rows: Tensor) -> Tensor:
    """True where a gathered row is the local one itself.  (n, ...) -> (n, W n) bool."""
    n = rows.shape[0]
    here = torch.arange(n, device=rows.device) + first_row(rows)
    return here[:, None] == torch.arange(world_size() * n, device=rows.device)[None, :]


def mean_over_ranks(values: Tensor, valid: Tensor | None = None) -> Tensor:
    """W S_r / sum over ranks of n_r: S_r sums this rank's valid values, n_r counts them (without gradient).

    The data-parallel average of this number is the mean over all valid values of the global batch, and so is
    its gradient.  Nothing valid anywhere gives 0 with a graph and a zero gradient.  Values that are not valid
    may be anything finite.  `valid` may also count: how many terms a value is the sum of, 0 for none.
    Shapes: (n, ...), (n, ...) bool or number -> ().
    """
    if valid is None:
        valid = torch.ones_like(values, dtype=torch.bool)
    count = sum_over_ranks(valid.sum().to(values.dtype))
    return world_size() * values.masked_fill(valid == 0, 0).sum() / count.clamp_min(1)


def average_over_ranks(value: Tensor) -> Tensor:
    """Average of the losses of all ranks, without gradient: the number to print."""
    return sum_over_ranks(value.detach()) / world_size()


def _all_reduced(values: Tensor) -> Tensor:
    total = values.detach().clone(memory_format=torch.contiguous_format)
    c10d.all_reduce(total)
    return total


class _Gather(torch.autograd.Function):
    """All-gather forward, sum over ranks and own block backward."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        ctx.n = rows.shape[0]
        return gather_labels(rows)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        start = rank() * ctx.n
        return _all_reduced(gradient)[start : start + ctx.n]


class _Sum(torch.autograd.Function):
    """All-reduce forward and backward."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:  # noqa: ARG004
        return _all_reduced(values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ARG004
        return _all_reduced(gradient)
