"""Precision of a run: fp32 or bf16, the faster one in a trial step of each."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import torch

from resight.dist import world_size
from resight.dist.processes import gather_objects

if TYPE_CHECKING:
    from collections.abc import Callable

    from resight.models import ReIDModel

PICTURES = {"cpu": 8}  # of the trial, at most; elsewhere 64
FASTER = 1.1  # times that bf16 has to be faster: below it the full precision is kept
TRIALS = 2  # the shorter time counts, after one that warms up


def supports_bf16(device: torch.device) -> bool:
    """Whether the device multiplies in bf16 by itself."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())


def faster_precision(copy: Callable[[], ReIDModel], device: torch.device, batch_size: int) -> str:
    """The faster precision, "fp32" or "bf16", in a trial of forward and backward passes on made-up pictures.

    With several processes all call it, and rank 0's measurement decides.

    Args:
        copy: gives a model to try it on, spread over the processes as the run's own is.
        batch_size: pictures of one process in a step.
    """
    if not supports_bf16(device):
        return "fp32"
    rows = max(min(batch_size, PICTURES.get(device.type, 64)), 2)
    with torch.enable_grad(), torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        model = copy().train()
        images = torch.rand(rows, 3, *model.input_size, device=device)
        fp32, bf16 = (min(_seconds(model, images, half) for _ in range(TRIALS + 1)) for half in (False, True))
    chosen = "bf16" if fp32 > FASTER * bf16 else "fp32"
    return gather_objects(chosen)[0] if world_size() > 1 else chosen


def _seconds(model: ReIDModel, images: torch.Tensor, half: bool) -> float:
    """One forward and backward pass."""
    began = time.perf_counter()
    with torch.autocast(images.device.type, torch.bfloat16, enabled=half):
        output = model(images)
    tensors = [*output.features.values(), *output.logits.values(), *output.maps.values()]
    total = torch.stack([t.float().square().mean() for t in tensors if t.requires_grad]).sum()
    total.backward()  # type: ignore[no-untyped-call]
    if images.device.type == "cuda":
        torch.cuda.synchronize(images.device)
    model.zero_grad(set_to_none=True)
    return time.perf_counter() - began
