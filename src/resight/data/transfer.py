"""Non-blocking transfer of tensors to a device."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def to_device(values: Tensor, device: torch.device) -> Tensor:
    """Copy values to a device, without blocking where it is a CUDA device."""
    if device.type != "cuda" or values.is_cuda:
        return values.to(device)
    return values.pin_memory().to(device, non_blocking=True)
