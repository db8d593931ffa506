"""Exponential moving average of the weights."""

from __future__ import annotations

import torch
from torch import nn


class MovingAverage:
    """Holds w <- decay * w + (1 - decay) * model.  Integer buffers and batch statistics are copied, or its own.

    `model` is a copy of what is trained and becomes the average.  `decay` grows as (1 + t) / (10 + t) up to its value,
    so the first steps do not pin the start.  own_statistics: `model` sees every batch itself, and keeps its buffers.
    """

    def __init__(self, model: nn.Module, decay: float, *, own_statistics: bool = False) -> None:
        self.decay, self.own_statistics = decay, own_statistics
        self.model = model.requires_grad_(False).eval()

    def at(self, step: int) -> float:
        """The decay after so many steps."""
        return min(self.decay, (1.0 + step) / (10.0 + step))

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        decay = self.at(step)
        mine = dict(self.model.named_parameters())
        for name, parameter in model.named_parameters():
            mine[name].lerp_(parameter.detach(), 1.0 - decay)
        if self.own_statistics:
            return
        buffers = dict(self.model.named_buffers())
        for name, buffer in model.named_buffers():
            buffers[name].copy_(buffer)
