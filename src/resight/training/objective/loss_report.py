"""The losses of one training step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from resight.dist import average_over_ranks
from resight.dist.processes import gather_objects, max_over_ranks
from resight.errors import NotFiniteError

if TYPE_CHECKING:
    from resight.training.clock import Clock


@dataclass(frozen=True)
class LossReport:
    """Losses of one step: the total to minimize, its parts before weighting, the weights used."""

    total: Tensor
    parts: dict[str, Tensor]
    weights: dict[str, float]
    anchors: Tensor  # () anchors of the global batch that have both a positive and a negative
    spread: Tensor  # () 1 - |mean unit descriptor|: 0 when every picture gets the same descriptor

    def settled(self) -> LossReport:
        """The same without the graph, which may then be forgotten, and the mean over all processes."""
        values = average_over_ranks(torch.stack([self.total.detach(), *self.parts.values()]))
        return replace(self, total=values[0], parts=dict(zip(self.parts, values[1:], strict=True)))

    def check_finite(self, clock: Clock) -> None:
        """Raises NotFiniteError, on all processes alike, naming the term and the step where a loss is not a number."""
        fine = bool(torch.isfinite(self.total))
        if not max_over_ranks(int(not fine)):
            return
        said = gather_objects("" if fine else self._what_broke(clock))
        raise NotFiniteError(next(filter(None, said)))

    def _what_broke(self, clock: Clock) -> str:
        broken = [name for name, part in self.parts.items() if not bool(torch.isfinite(part))]
        values = ", ".join(f"{name} = {float(part):.4g}" for name, part in self.parts.items())
        return (
            f"the loss is not finite at {clock}: {' and '.join(broken) or 'the sum'} broke ({values}). "
            f"Lower optim.lr, set optim.clip_norm, or train with train.precision = 'fp32'."
        )
