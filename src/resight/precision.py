"""Full precision within automatic mixed precision."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def full_precision(like: Tensor) -> AbstractContextManager[object]:
    """Outside autocast on the tensor's device."""
    if like.device.type == "meta":  # which has no autocast to leave
        return nullcontext()
    return torch.autocast(like.device.type, enabled=False)


def lift(x: Tensor) -> Tensor:
    """Half types to float32; float32 and float64 as they are."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
