"""Pixels held in the memory of the device: only row indices are transferred during training.

Market-1501 at 256 x 128 is 1.3 GB, MSMT17 3.2 GB; pictures are uint8 there as everywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from resight.data.loading.base import log
from resight.data.transfer import to_device

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from resight.data.loading.base import Pixels

CHUNK = 1024  # pictures that travel together, once


class PixelsOnDevice:
    """`pixels`, checked row by row on the way, as one tensor on `device` (see `resight.data.loading.base.Pixels`)."""

    def __init__(self, pixels: Pixels, device: torch.device) -> None:
        self.samples, self.unreadable = pixels.samples, pixels.unreadable
        self.size, self.interpolation = pixels.size, pixels.interpolation
        self.device = device
        self._held = torch.empty(len(pixels), *self.size, 3, dtype=torch.uint8, device=device)
        for start in range(0, len(pixels), CHUNK):
            rows = np.arange(start, min(start + CHUNK, len(pixels)))
            self._held[start : start + CHUNK] = pixels.take(rows).permute(0, 2, 3, 1).to(device)

    def __len__(self) -> int:
        return len(self.samples)

    def take(self, index: NDArray[np.int64]) -> Tensor:
        """Rows (B,) -> RGB (B, 3, H, W) uint8 on the device, a copy, channels last in memory."""
        return self._held[to_device(torch.from_numpy(index), self.device)].permute(0, 3, 1, 2)

    def batches(self, indices: Iterable[NDArray[np.int64]]) -> Iterator[Tensor]:
        """`take` of each index in turn."""
        return (self.take(index) for index in indices)


def fits(need: int, device: torch.device) -> bool:
    """Whether so many bytes leave most of the device's memory to the training; otherwise a warning says so."""
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else 2 * need
    if need > free // 2:
        log.warning(
            "%.1f GB of pixels, %.1f GB free on %s: they stay with the processor.", need / 1e9, free / 1e9, device
        )
    return need <= free // 2
