"""How a batch becomes a gradient: at once, in parts that add up, or in two passes over a cache.

Each way leaves the gradient in every parameter's `.grad` and returns what the loss was.  The second and third
need memory for a share of the batch only; they differ in what a loss gets to see of it, and neither shows a batch
norm more than one share.  docs/training.md, "Batches larger than memory".
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from resight.dist import world_size
from resight.errors import RecipeError
from resight.training.loss_report import LossReport
from resight.training.objective import unflatten
from resight.training.timing import phase
from resight.types import Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from resight.training.batches import SourceConfig
    from resight.training.clock import Clock

    Autocast = Callable[[], AbstractContextManager[Any]]


class Way(Protocol):
    """From a step and a batch to gradients.  Raises NotFiniteError before a loss that is none reaches them."""

    def __call__(self, step: nn.Module, batch: Batch, clock: Clock) -> LossReport: ...


@dataclass(frozen=True)
class Whole:
    """The batch at once."""

    autocast: Autocast

    def __call__(self, step: nn.Module, batch: Batch, clock: Clock) -> LossReport:
        with phase("forward"), self.autocast():
            report: LossReport = step(batch)
        report.check_finite(clock)
        descend(report.total)
        return report.settled()


@dataclass(frozen=True)
class Accumulated:
    """`parts` equal shares of the batch, one after the other; the mean of their gradients.

    The gradient is the whole batch's where a loss is a mean over rows that all count (cross-entropy and its kin).
    What compares rows sees its share only: a metric loss over n shares of P x K meets P / n identities at a time,
    so negatives are fewer and easier; `Cached` shows it the whole batch.  Batch norm normalises by each share's
    statistics and moves its running averages `parts` times a step; losses with a memory of their own (thresholds,
    centres, remembered descriptors) move as often.  Under data parallelism only the last share speaks to the others.
    """

    parts: int
    autocast: Autocast

    def __call__(self, step: nn.Module, batch: Batch, clock: Clock) -> LossReport:
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
class Cached:
    """Two passes, so that a loss sees the whole batch and memory holds `chunk` pictures.  After Gao et al. 2021.

    First the outputs of all chunks, without graph; on them the objective, as a whole, and its gradient with respect
    to every output: the cache.  Then each chunk again with its graph, pulled back by its rows of the cache.  That is
    the chain rule in another order, so the gradient is the big batch's, of the model and of what losses own; it
    costs a second forward pass.

    Dropout draws the same mask for a chunk both times.  Batch norm normalises by each chunk's statistics, where the
    big batch would use its own, which is why the two then differ; its running averages move once a chunk, not
    twice.  Needs outputs that belong to one picture each.
    """

    chunk: int
    autocast: Autocast

    def __call__(self, step: nn.Module, batch: Batch, clock: Clock) -> LossReport:
        chunks = split(batch, -(-len(batch.pids) // self.chunk))
        seeds = torch.randint(2**62, (len(chunks),)).tolist()
        leaves = self._look(step, chunks, seeds)
        with silent(step):
            with phase("forward"), self.autocast():
                report: LossReport = step(batch, "judge", unflatten(leaves))
            report.check_finite(clock)
            descend(report.total)
        self._again(step, chunks, seeds, {name: leaf.grad for name, leaf in leaves.items() if leaf.grad is not None})
        return report.settled()

    @torch.no_grad()
    def _look(self, step: nn.Module, chunks: list[Batch], seeds: list[int]) -> dict[str, Tensor]:
        """Every output for all rows, as leaves; buffers are put back, so that the second pass repeats the first."""
        before = [(buffer, buffer.clone()) for buffer in step.buffers()]
        seen: list[Mapping[str, Tensor]] = []
        for chunk, seed in zip(chunks, seeds, strict=True):
            torch.manual_seed(seed)
            with phase("forward"), self.autocast():
                seen.append(step(chunk, "look"))
        for buffer, value in before:
            buffer.copy_(value)
        joined = {name: torch.cat([outputs[name] for outputs in seen]) for name in seen[0]}
        return {name: tensor.requires_grad_(tensor.is_floating_point()) for name, tensor in joined.items()}

    def _again(self, step: nn.Module, chunks: list[Batch], seeds: list[int], slopes: dict[str, Tensor]) -> None:
        begun = 0
        for number, (chunk, seed) in enumerate(zip(chunks, seeds, strict=True)):
            torch.manual_seed(seed)
            begun, rows = begun + len(chunk.pids), slice(begun, begun + len(chunk.pids))
            mine = {name: slope[rows] for name, slope in slopes.items()}
            with contextlib.nullcontext() if number + 1 == len(chunks) else silent(step):
                with phase("forward"), self.autocast():
                    value: Tensor = step(chunk, "pull", mine)
                descend(value)


def build(accumulate: int, gradient_cache: int, autocast: Autocast) -> Way:
    """The way a recipe asks for: `train.accumulate` shares, `train.gradient_cache` pictures a chunk, or neither."""
    if gradient_cache:
        return Cached(gradient_cache, autocast)
    return Accumulated(accumulate, autocast) if accumulate > 1 else Whole(autocast)


def check_shares(accumulate: int, sources: Mapping[str, SourceConfig]) -> None:
    """Raises RecipeError where a batch cannot be cut into equal shares without tearing an identity apart."""
    for name, source in sources.items():
        key, whole = ("ids", source.ids) if source.sampler == "pk" else ("batch", source.batch)
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
    """What the shares say as one: means of their losses, all their anchors."""
    first = reports[0]
    return replace(
        first,
        total=_mean([report.total for report in reports]),
        parts={name: _mean([report.parts[name] for report in reports]) for name in first.parts},
        anchors=torch.stack([report.anchors for report in reports]).sum(),
        spread=_mean([report.spread for report in reports]),
    )


def silent(step: nn.Module) -> AbstractContextManager[Any]:
    """Gradients found meanwhile stay on this process; the next ones that do not carry them along."""
    quiet: Callable[[], AbstractContextManager[Any]] = getattr(step, "no_sync", contextlib.nullcontext)
    return quiet()


def descend(value: Tensor) -> None:
    """Back through the graph."""
    with phase("backward"):
        value.backward()  # type: ignore[no-untyped-call]


def _mean(values: list[Tensor]) -> Tensor:
    return torch.stack(values).mean()
