"""Floating-point operations of a training step, and the peak rate of the device."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from resight.assembly import empty_model

if TYPE_CHECKING:
    from resight.data import Dataset
    from resight.recipe import Recipe

ROWS = 2  # pictures counted with: the least a batch normalisation takes

# Dense TFLOP/s of the data sheets, in bf16 and, for fp32, in the TF32 that cuDNN's convolutions use.
# Most special name first.
PEAKS: dict[str, dict[str, float]] = {
    "H100 PCIe": {"bf16": 756, "fp32": 378},
    "H100": {"bf16": 989, "fp32": 494},
    "H200": {"bf16": 989, "fp32": 494},
    "A100": {"bf16": 312, "fp32": 156},
    "L40S": {"bf16": 362, "fp32": 183},
    "RTX 4090": {"bf16": 165, "fp32": 82},
}


def training_flops(recipe: Recipe, dataset: Dataset) -> float:
    """Floating-point operations of one picture, forward and backward, counted on the meta device.

    Two for each multiply-add of convolutions and matrix products, as in `resight models`; what a device computes
    twice to save memory is not counted twice, so this over time is the model's share of the device's peak.
    """
    model = empty_model(recipe, dataset)
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        output = model(torch.empty(ROWS, 3, *model.input_size))
        total: Tensor = sum((v.sum() for d in (output.features, output.logits) for v in d.values()), torch.zeros(()))
        total.backward()  # type: ignore[no-untyped-call]
    return float(counter.get_total_flops()) / ROWS


def peak_of(device: torch.device, precision: str) -> float | None:
    """TFLOP/s of a CUDA device whose data sheet is known here."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((peaks.get(precision) for known, peaks in PEAKS.items() if known in name), None)
