"""Adaptive hard sample mining for the ID loss.  After Chen et al., ICIP 2018.

The paper's idea: no hand-built batches and no loss on pairs; how hard a sample is follows from comparing the
prediction with the label, and a threshold on it moves with training.  Its formulas were not available to us.
What stands here is OUR construction of that idea.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from resight.dist import gather_labels, mean_over_ranks
from resight.errors import UsageError
from resight.losses.base import Loss, Takes
from resight.losses.classification import CrossEntropy
from resight.precision import full_precision, lift


class AdaptiveHard(Loss):
    """Mean cross-entropy over the samples that are hard for now.  Our construction, see the module.

    h_i = 1 - softmax(z_i)[y_i]                                 hard level, without gradient
    T   = (1 - rate) T + rate * mean(h),  T = mean(h) at first  threshold, a buffer, moves in training only
    keep h_i >= T, and in any case the hardest `min_keep` of the batch; all of it in the first `warmup` epochs

    The mean of h and the hardest share are those of the global batch.  Rows with a negative label are left
    out. Shapes: logits (B, C), pids (B,) -> ().
    """

    takes: ClassVar[Takes] = "logits"

    def __init__(
        self, rate: float = 0.1, min_keep: float = 0.25, warmup: float = 0.0, label_smoothing: float = 0.0
    ) -> None:
        super().__init__()
        if not (0 < rate <= 1 and 0 < min_keep <= 1):
            raise UsageError(f"rate is {rate} and min_keep {min_keep}; both lie above 0 and up to 1.")
        self.rate, self.min_keep, self.warmup = rate, min_keep, warmup
        self.cross_entropy = CrossEntropy(label_smoothing)
        self.threshold: Tensor
        self.started: Tensor
        self.register_buffer("threshold", torch.zeros((), dtype=torch.float64))
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))
        self.set_clock(0, 0.0)

    def set_clock(self, step: int, epoch: float) -> None:  # noqa: ARG002
        """Enable the selection after the warm-up."""
        self._warm = epoch < self.warmup

    def forward(self, logits: Tensor, pids: Tensor) -> Tensor:
        with full_precision(logits):
            logits, labels = lift(logits), pids.clamp_min(0)
            values = self.cross_entropy.each(logits, labels)
            chance = logits.detach().softmax(dim=1).gather(1, labels[:, None])[:, 0]
            hardness = (1 - chance).masked_fill(pids < 0, -torch.inf)
            return mean_over_ranks(values, self.select(hardness))

    def select(self, hardness: Tensor) -> Tensor:
        """Which local samples are kept: (b,), -inf where there is no label -> (b,) bool."""
        everyone = gather_labels(hardness)
        known = everyone[everyone != -torch.inf]
        if not known.numel():
            return hardness != -torch.inf
        threshold = self._follow(known.double().mean())
        if self._warm:
            return hardness != -torch.inf
        hardest = known.topk(math.ceil(self.min_keep * known.numel())).values[-1]
        bar = torch.minimum(threshold.to(hardness.dtype), hardest)
        return (hardness >= bar) | hardness.isnan()  # a broken row must be seen, not skipped

    def _follow(self, mean: Tensor) -> Tensor:
        moved = torch.where(self.started, self.threshold + self.rate * (mean - self.threshold), mean)
        if self.training and bool(mean.isfinite()):
            self.threshold.copy_(moved)
            self.started.fill_(True)
        return moved
