"""Precision of embedding: as asked, or the faster of float32 and bfloat16 in a trial."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import torch
from torch import nn

from resight.errors import UsageError

if TYPE_CHECKING:
    from resight.types import Embedder

Precision = Literal["auto", "fp32", "bf16", "fp16"]
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
TRIAL = 8  # pictures of the trial
REPEATS = 2
WORTH = 1.1  # times faster bfloat16 must be to be taken
SHORT = 0.004  # seconds below which the trial says nothing: float32 then


@dataclass(frozen=True)
class Chosen:
    """The format taken.  asked: what the caller wanted.  speedup: of bfloat16 over float32, where it was tried."""

    name: str
    asked: str
    speedup: float | None = None

    def __str__(self) -> str:
        if self.asked != "auto":
            return self.name
        tried = "" if self.speedup is None else f": bf16 is {self.speedup:.1f} times as fast as fp32 here"
        return f"{self.name} (auto{tried})"


def check_precision(asked: str, model: Embedder, device: torch.device) -> None:
    """Raises UsageError for a precision that does not exist, or that this model or device cannot honor."""
    if asked not in get_args(Precision):
        raise UsageError(f"there is no precision {asked!r}; choose {', '.join(get_args(Precision))}.")
    if asked in DTYPES and not isinstance(model, nn.Module):
        raise UsageError(
            f"precision {asked!r} needs a torch model; {type(model).__name__} computes by itself. Use fp32."
        )
    if asked == "fp16" and device.type == "cpu":
        raise UsageError("precision 'fp16' is for GPUs; on the CPU choose 'bf16' or 'fp32'.")


def autocast(name: str, device: torch.device) -> contextlib.AbstractContextManager[object]:
    """The context in which a model embeds in that format."""
    return torch.autocast(device.type, DTYPES.get(name, torch.bfloat16), enabled=name in DTYPES)


def choose(asked: str, model: Embedder, device: torch.device, batch_size: int) -> Chosen:
    """The format to take; for "auto" both are timed once on some random pictures."""
    if asked != "auto":
        return Chosen(asked, asked)
    if not isinstance(model, nn.Module):
        return Chosen("fp32", asked)
    generator = torch.Generator().manual_seed(0)
    shape = (min(TRIAL, batch_size), *model.input_size, 3)
    images = torch.randint(256, shape, dtype=torch.uint8, generator=generator).permute(0, 3, 1, 2).to(device)
    exact = _seconds("fp32", model, images)
    if exact < SHORT:
        return Chosen("fp32", asked)
    speedup = exact / _seconds("bf16", model, images)
    return Chosen("bf16" if speedup >= WORTH else "fp32", asked, speedup)


def _seconds(name: str, model: Embedder, images: torch.Tensor) -> float:
    """The quickest of some calls, after one that warms up."""
    device, times = images.device, []
    for _ in range(1 + REPEATS):
        began = time.perf_counter()
        with torch.inference_mode(), autocast(name, device):
            model.embed(images).float().sum().item()  # .item() waits for the device
        times.append(time.perf_counter() - began)
    return min(times[1:])
