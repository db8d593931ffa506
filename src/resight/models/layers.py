"""Layers that more than one paper uses."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from resight.errors import UsageError
from resight.precision import full_precision, lift


class AveragePool(nn.Module):
    """(B, C, h, w) -> (B, C): the mean over the map."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3))


class MaximumPool(nn.Module):
    """(B, C, h, w) -> (B, C): the maximum over the map."""

    def forward(self, x: Tensor) -> Tensor:
        return x.amax(dim=(2, 3))


class GeM(nn.Module):
    """Generalised mean, (mean of max(x, eps)^p)^(1/p) with p learnt.  Radenovic et al., TPAMI 2018.

    (B, C, h, w) -> (B, C).  p = 1 is the mean, p -> infinity the maximum.  In float32 or wider, since x^p
    overflows half precision.
    """

    def __init__(self, p: float = 3.0, eps: float = 1e-6) -> None:
        super().__init__()
        self.p = nn.Parameter(torch.tensor(float(p)))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        with full_precision(x):
            p = lift(self.p)
            return lift(x).clamp(min=self.eps).pow(p).mean(dim=(2, 3)).pow(1 / p).to(x.dtype)


POOLINGS: dict[str, type[nn.Module]] = {"average": AveragePool, "maximum": MaximumPool, "gem": GeM}


class Neck(nn.BatchNorm1d):
    """Batch normalisation whose shift stays 0 (Luo et al., CVPR workshops 2019).

    The shift is a tensor of the state dict without gradient, as the reference codes keep it.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.bias.requires_grad_(False)


def check_strips(name: str, height: int, stride: int, parts: int) -> None:
    """Raises UsageError where a picture's map cannot be cut into so many horizontal strips, all equally high."""
    rows = -(-height // stride)
    if rows % parts:
        raise UsageError(
            f"{name}: images {height} high give a map of {rows} rows, which {parts} parts do not divide. "
            f"Use a height that is a multiple of {stride * parts}."
        )
