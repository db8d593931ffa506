"""Gradient strategies: the whole batch at once, gradient accumulation, or a gradient cache.

Each leaves the gradient in every parameter's `.grad` and returns the losses.  The second and third need memory for a
share of the batch only; they differ in how much of it a loss compares, and neither shows a batch norm more than one
share.  docs/training.md, "Batches larger than memory".
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from resight.dist import world_size
from resight.errors import RecipeError
from resight.training.monitoring.timing import phase
from resight.training.objective.loss_report import LossReport
from resight.training.objective.terms import unflatten
from resight.types import Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from resight.training.batches.sources import SourceConfig
    from resight.training.clock import Clock
    from resight.training.objective.step import Step

    Autocast = Callable[[], AbstractContextManager[Any]]


class GradientStrategy(Protocol):
    """How a batch becomes a gradient.  Raises NotFiniteError before a loss that is not finite reaches any."""

    def __call__(self, step: Step, batch: Batch, clock: Clock) -> LossReport: ...


@dataclass(frozen=True)
class FullBatch:
    """The whole batch in one forward and backward pass."""

    autocast: Autocast

    def __call__(self, step: Step, batch: Batch, clock: Clock) -> LossReport:
        with phase("forward"), self.autocast():
            report: LossReport = step(batch)
        report.check_finite(clock)
        descend(report.total)
        return report.settled()


@dataclass(frozen=True)
class GradientAccumulation:
    """`parts` equal shares of the batch, one after the other; the mean of their gradients.

    The gradient is the whole batch's where a loss is a mean over rows that all count (cross-entropy and its kin).
    What compares rows sees its share only: a metric loss over n shares of P x K meets P / n identities at a time,
    so negatives are fewer and easier; `GradientCache` shows it the whole batch.  Batch norm normalises by each share's
    statistics and moves its running averages `parts` times a step; losses with a memory of their own (thresholds,
    centres, memories) move as often.  Under data parallelism only the last share is synchronized.
    """

    parts: int
    autocast: Autocast

    def __call__(self, step: Step, batch: Batch, clock: Clock) -> LossReport:
        reports = []
        for number, share in enumerate(split(batch, self.parts), start=1):
            with contextlib.nullcontext() if number == self.parts else silent(step):
                with phase("forward"), self.autocast():
                    report: LossReport = step(share)
                report.check_finite(clock)
                descend(report.total / self.parts)
            reports.append(report.settled())
        return together(reports)


@dataclass(frozen=True)
class GradientCache:
    """The whole batch for the loss, `chunk` pictures at a time for the model.  GradCache, Gao et al. 2021.

    First every chunk without a graph; then the objective on all outputs and its gradient with respect to each of
    them, the cache; then each chunk again with its graph, whose backward pass starts from its rows of the cache.  By
    the chain rule the gradient is that of the whole batch, of the model and of what losses own; it costs a second
    forward pass.

    Dropout draws the same mask for a chunk both times.  Batch norm normalizes by each chunk's statistics, where the
    whole batch would use its own, which is why the two then differ; its running averages move once a chunk, not
    twice.  Needs outputs that belong to one picture each.  Under data parallelism nothing is averaged here:
    `Parallel.finish_gradients` does it afterwards, in one go.
    """

    chunk: int
    autocast: Autocast

    def __call__(self, step: Step, batch: Batch, clock: Clock) -> LossReport:
        chunks = split(batch, -(-len(batch.pids) // self.chunk))
        seeds = torch.randint(2**62, (len(chunks),)).tolist()
        leaves = self._forward(step, chunks, seeds)
        with phase("forward"), self.autocast():
            report = step.losses(unflatten(leaves), batch)
        report.check_finite(clock)
        descend(report.total)
        self._backward(step, chunks, seeds, {n: leaf.grad for n, leaf in leaves.items() if leaf.grad is not None})
        return report.settled()

    @torch.no_grad()
    def _forward(self, step: Step, chunks: list[Batch], seeds: list[int]) -> dict[str, Tensor]:
        """Every output for all rows, as leaves; buffers are put back, so that the second pass repeats the first."""
        before = [(buffer, buffer.clone()) for buffer in step.buffers()]
        seen: list[Mapping[str, Tensor]] = []
        for chunk, seed in zip(chunks, seeds, strict=True):
            torch.manual_seed(seed)
            with phase("forward"), self.autocast():
                seen.append(step.outputs(chunk))
        for buffer, value in before:
            buffer.copy_(value)
        joined = {name: torch.cat([outputs[name] for outputs in seen]) for name in seen[0]}
        return {name: tensor.requires_grad_(tensor.is_floating_point()) for name, tensor in joined.items()}

    def _backward(self, step: Step, chunks: list[Batch], seeds: list[int], cache: dict[str, Tensor]) -> None:
        """cache: name -> (B, ...), the gradient of the loss with respect to each output."""
        sizes = [len(chunk.pids) for chunk in chunks]
        shares = {name: torch.split(slopes, sizes) for name, slopes in cache.items()}
        for number, (chunk, seed) in enumerate(zip(chunks, seeds, strict=True)):
            torch.manual_seed(seed)
            with phase("forward"), self.autocast():
                outputs = {
                    n: tensor for n, tensor in step.outputs(chunk).items() if n in cache and tensor.requires_grad
                }
            with phase("backward"):
                torch.autograd.backward(list(outputs.values()), [shares[name][number] for name in outputs])


def build(accumulate: int, gradient_cache: int, autocast: Autocast) -> GradientStrategy:
    """The strategy of a recipe: `train.accumulate` shares, `train.gradient_cache` pictures a chunk, or neither."""
    if gradient_cache:
        return GradientCache(gradient_cache, autocast)
    return GradientAccumulation(accumulate, autocast) if accumulate > 1 else FullBatch(autocast)


def check_shares(accumulate: int, sources: Mapping[str, SourceConfig]) -> None:
    """Raises RecipeError where a batch cannot be cut into equal shares without tearing an identity apart."""
    for name, source in sources.items():
        key, whole = ("ids", source.ids) if source.sampler == "pk" else ("batch_size", source.batch_size)
        if (whole // world_size()) % accumulate:
            raise RecipeError(
                f"train.accumulate is {accumulate}, which does not divide the {whole // world_size()} of "
                f"feed.{name}.{key} that each process gets. Choose a divisor."
            )


def split(batch: Batch, parts: int) -> list[Batch]:
    """The rows in order, in `parts` shares that differ by at most one row."""
    columns = [tensor.tensor_split(parts) for tensor in (batch.images, batch.pids, batch.camids, batch.index)]
    attributes = {name: values.tensor_split(parts) for name, values in batch.attributes.items()}
    return [
        Batch(images, pids, camids, index, {name: shares[number] for name, shares in attributes.items()})
        for number, (images, pids, camids, index) in enumerate(zip(*columns, strict=True))
    ]


def together(reports: list[LossReport]) -> LossReport:
    """One report of all shares: means of their losses, sums of their anchors."""
    first = reports[0]
    return replace(
        first,
        total=_mean([report.total for report in reports]),
        parts={name: _mean([report.parts[name] for report in reports]) for name in first.parts},
        anchors=torch.stack([report.anchors for report in reports]).sum(),
        spread=_mean([report.spread for report in reports]),
    )


def silent(step: nn.Module) -> AbstractContextManager[Any]:
    """Context in which gradients stay on this process until the next backward pass outside of it."""
    quiet: Callable[[], AbstractContextManager[Any]] = getattr(step, "no_sync", contextlib.nullcontext)
    return quiet()


def descend(value: Tensor) -> None:
    """Backward pass."""
    with phase("backward"):
        value.backward()  # type: ignore[no-untyped-call]


def _mean(values: list[Tensor]) -> Tensor:
    return torch.stack(values).mean()
