"""The device a model computes on, and evaluation mode."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import torch
from torch import nn

from resight.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def evaluating(model: object) -> Iterator[None]:
    """The model in evaluation mode inside, every part of it as it was afterwards."""
    training = [part for part in model.modules() if part.training] if isinstance(model, nn.Module) else []
    for part in training:
        part.training = False
    try:
        yield
    finally:
        for part in training:
            part.training = True


def resolve_device(device: str | torch.device) -> torch.device:
    """The device a name stands for.

    Args:
        device: "auto" (cuda where there is one, then mps, then cpu), a name as torch has it, or a torch.device.

    Raises:
        UsageError: it is not here.
    """
    if isinstance(device, torch.device):
        return device
    if device in ("auto", "cuda") and torch.cuda.is_available():  # by number: a thread of its own starts at the first
        return torch.device("cuda", torch.cuda.current_device())
    if device == "auto":
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise UsageError(f"there is no device {device!r}; use auto, cpu, cuda, cuda:1 or mps.") from error
    count = getattr(getattr(torch, chosen.type, None), "device_count", lambda: 0)()  # of torch.cuda, torch.mps, ...
    if (chosen.index or 0) >= count:
        others = f" of that number, only {count}" if count else ""
        raise UsageError(
            f"device {device!r} was asked for, but torch sees no {chosen.type.upper()} device{others}. "
            f"Use --device auto or cpu."
        )
    return chosen
