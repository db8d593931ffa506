"""Batch normalisation over the batch of all processes, exact in value and gradient, on any device.

torch's own SyncBatchNorm refuses the CPU.  Here each rank tells the others the mean and variance of its rows, and
the gather that brings theirs back also carries the gradient, so y = (x - mean) / sqrt(var + eps) and its derivative
are those of one process with the whole batch.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from resight.dist import gather, world_size
from resight.precision import full_precision, lift


def synchronize(model: nn.Module) -> None:
    """From now on every batch normalisation of the model takes its statistics over all processes.

    Tensors, their names and what happens in evaluation stay; with one process everything stays.
    """
    for module in model.modules():
        if isinstance(module, _BatchNorm) and not isinstance(module, Synced):
            kind: Any = type(module)
            module.__class__ = _synced(kind)


def batch_norms(model: nn.Module) -> list[_BatchNorm]:
    """Those whose statistics are each process's own."""
    return [m for m in model.modules() if isinstance(m, _BatchNorm) and not isinstance(m, Synced)]


class Synced(_BatchNorm):
    """Joined to a kind of batch normalisation, it takes over the forward pass of training.

    mean = mean_r m_r,   var = mean_r [ v_r + (m_r - mean)^2 ]   over ranks r with equally many rows.
    Shapes: (b, C) or (b, C, ...) -> the same.  Statistics in float32 or wider.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or world_size() == 1:
            return super().forward(x)
        with full_precision(x):
            values = lift(x)
            mean, var = self._statistics(values)
            scale, shift = (var + self.eps).rsqrt(), torch.zeros_like(mean)
            if self.affine:
                scale, shift = scale * lift(self.weight), lift(self.bias)
            along = (1, -1, *[1] * (x.ndim - 2))
            y = torch.addcmul((shift - mean * scale).view(along), values, scale.view(along)).to(x.dtype)
        timm: Any = self  # whose batch normalisation brings its activation along
        return timm.act(timm.drop(y)) if hasattr(self, "act") else y

    def _statistics(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance (C,) of the whole batch, kept as running averages."""
        own_var, own_mean = torch.var_mean(values, [0, *range(2, values.ndim)], correction=0)
        means, variances = gather(torch.stack([own_mean, own_var])[None]).unbind(dim=1)  # (W, C) each
        mean = means.mean(dim=0)
        var = (variances + (means - mean).square()).mean(dim=0)
        self._remember(mean.detach(), var.detach(), world_size() * values.numel() // values.shape[1])
        return mean, var

    @torch.no_grad()
    def _remember(self, mean: Tensor, var: Tensor, count: int) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        share = 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        self.running_var.lerp_((var * (count / max(count - 1, 1))).to(self.running_var.dtype), share)


@cache
def _synced(kind: Any) -> Any:
    return type(f"Synced{kind.__name__}", (Synced, kind), {})
