"""Random blur: some pictures of a batch are made smaller and enlarged again."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

SMALLEST = 0.25  # of the size, which a blurred picture is reduced to at most


def blur(images: Tensor, chosen: Tensor, amount: Tensor) -> Tensor:
    """Soften the chosen (B,) of float images (B, 3, H, W) by an amount (B,) from 0, not at all, to 1."""
    if not bool(chosen.any()):
        return images
    images = images.clone()
    height, width = images.shape[-2:]
    for row in chosen.nonzero()[:, 0].tolist():
        scale = 1.0 - (1.0 - SMALLEST) * float(amount[row])
        size = (max(2, round(height * scale)), max(2, round(width * scale)))
        small = F.interpolate(images[row : row + 1], size=size, mode="bilinear", antialias=True)
        images[row : row + 1] = F.interpolate(small, size=(height, width), mode="bilinear")
    return images.clamp_(0, 1)
