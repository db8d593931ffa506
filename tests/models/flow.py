"""Where a loss reaches: the modules that receive a gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor, nn


def reached(model: nn.Module, loss: Tensor) -> set[str]:
    """Names of the parameters with a gradient that is not zero everywhere."""
    model.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    return {name for name, p in model.named_parameters() if p.grad is not None and bool(p.grad.count_nonzero())}


def touches(names: set[str], *prefixes: str) -> list[bool]:
    return [any(name.startswith(prefix) for name in names) for prefix in prefixes]


def wake(model: nn.Module, seed: int = 0) -> nn.Module:
    """Give every parameter and running statistic a value of its own, so that nothing is zero by its start."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point() and name not in ("mean", "std"):
                noise = torch.randn(tensor.shape, generator=generator)
                tensor.copy_(noise.abs() + 0.5 if "running_var" in name else tensor + 0.05 * noise)
    return model
