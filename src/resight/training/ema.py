"""Exponential moving average of the weights."""

from __future__ import annotations

import torch
from torch import nn


class MovingAverage:
    """Holds w <- decay * w + (1 - decay) * model.  Integer buffers and batch statistics are copied.

    `model` is a copy of what is trained and becomes the average.  `decay` grows as (1 + t) / (10 + t) up to its value,
    so the first steps do not pin the start.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.model = model.requires_grad_(False).eval()

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        decay = min(self.decay, (1.0 + step) / (10.0 + step))
        mine = dict(self.model.named_parameters())
        for name, parameter in model.named_parameters():
            mine[name].lerp_(parameter.detach(), 1.0 - decay)
        buffers = dict(self.model.named_buffers())
        for name, buffer in model.named_buffers():
            buffers[name].copy_(buffer)
