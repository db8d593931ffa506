"""Files as the peers write them, and what their own modules answered.

A record in `recorded/` was made once, outside this repository, by running the peer's module: the names and shapes of
its tensors, filled by `fill`, and some numbers of the descriptor it gives for `pixels`.
"""

from __future__ import annotations

import json
import math
import zlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

RECORDED = Path(__file__).parent / "recorded"


def record(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8"))
    return found


def fill(name: str, shape: tuple[int, ...]) -> Tensor:
    """A tensor drawn by its name, so that one under a wrong name has wrong values."""
    drawn = draw(name, shape)
    scale = 0.2 if ".NL_" in name and not name.endswith("running_var") else 1.0  # a cubic term grows fast
    found: Tensor = drawn * scale
    return found


def draw(name: str, shape: tuple[int, ...]) -> Tensor:
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    last = name.rpartition(".")[2]
    if last in ("bias", "running_mean"):
        return 0.1 * torch.randn(shape, generator=generator)
    if last == "p":
        return torch.rand(shape, generator=generator) + 2.5
    if last == "running_var" or len(shape) <= 1:
        return torch.rand(shape, generator=generator) + 0.5
    return torch.randn(shape, generator=generator) * math.sqrt(1 / math.prod(shape[1:]))


def state(found: dict[str, Any]) -> dict[str, Tensor]:
    """The peer's state dict."""
    tensors = {name: fill(name, tuple(shape)) for name, shape in found["tensors"].items()}
    return tensors | {name: torch.zeros(shape, dtype=torch.int64) for name, shape in found["integers"].items()}


def pixels(height: int, width: int) -> Tensor:
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(0))
