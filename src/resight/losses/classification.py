"""Identity as classification: softmax cross-entropy with label smoothing."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor

from resight.dist import mean_over_ranks
from resight.errors import UsageError
from resight.losses.base import Loss, Takes
from resight.precision import full_precision, lift

Spread = Literal["all", "others"]


class CrossEntropy(Loss):
    """ID loss: softmax cross-entropy with label smoothing.  Szegedy et al. 2016.

    - mean_i sum_c q_ic log softmax(z_i)_c,   q_ic = (1 - e) [c = y_i] + e / C

    spread "all" puts e / C on every class, the target included (the usual form, and PyTorch's); "others"
    gives the target 1 - e and each other class e / (C - 1), as fast-reid and MDPR do.  Rows with a negative
    label (JUNK, IGNORE) are left out and the mean is over the rest.

    Shapes: logits (B, C), pids (B,) int64 in 0..C-1 or negative -> ().
    """

    takes: ClassVar[Takes] = "logits"

    def __init__(self, label_smoothing: float = 0.0, spread: Spread = "all") -> None:
        super().__init__()
        if not 0 <= label_smoothing < 1:
            raise UsageError(f"label_smoothing is {label_smoothing}; it lies in [0, 1).")
        if spread not in ("all", "others"):
            raise UsageError(f"spread is {spread!r}; it is 'all' or 'others'.")
        self.label_smoothing, self.spread = label_smoothing, spread

    def forward(self, logits: Tensor, pids: Tensor) -> Tensor:
        with full_precision(logits):
            known = pids >= 0
            return mean_over_ranks(self.each(lift(logits), pids.clamp_min(0)), known)

    def each(self, logits: Tensor, pids: Tensor) -> Tensor:
        """The loss of every row: (B, C), (B,) -> (B,)."""
        classes = logits.shape[1]
        smoothing = self.label_smoothing
        if self.spread == "others" and classes > 1:  # the same target, written with e' / C on all classes
            smoothing *= classes / (classes - 1)
        return F.cross_entropy(logits, pids, reduction="none", label_smoothing=smoothing)
