"""Two descriptors that learnt nothing: what any trained model has to beat, and how far colour alone goes."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from resight.types import Metric


class RawPixels:
    """The picture itself, 32 pixels high and 16 wide.  docs/methods/baselines.md"""

    name: ClassVar[str] = "raw_pixels"
    input_size: tuple[int, int] = (32, 16)
    embedding_dim: int = 3 * 32 * 16
    metric: Metric = "cosine"

    def embed(self, images: Tensor) -> Tensor:
        """(B, 3, 32, 16) -> (B, 1536)."""
        return _unit_range(images).flatten(1)

    def fingerprint(self) -> str:
        return f"{self.name}-{self.input_size[0]}x{self.input_size[1]}"


class StripeHistogram:
    """Colours counted in three horizontal stripes, head, torso and legs: 8 x 8 x 8 RGB bins each, square roots."""

    name: ClassVar[str] = "stripe_histogram"
    input_size: tuple[int, int] = (96, 48)
    embedding_dim: int = 3 * 512
    metric: Metric = "cosine"
    stripes: ClassVar[int] = 3
    bins: ClassVar[int] = 8

    def embed(self, images: Tensor) -> Tensor:
        """(B, 3, 96, 48) -> (B, 1536)."""
        level = (_unit_range(images) * self.bins).long().clamp_(0, self.bins - 1)
        bin_of = (level[:, 0] * self.bins + level[:, 1]) * self.bins + level[:, 2]  # (B, H, W)
        stripes = bin_of.reshape(len(images), self.stripes, -1)  # (B, 3, n): rows are contiguous
        counts = torch.zeros(*stripes.shape[:2], self.bins**3, device=images.device)
        counts.scatter_add_(2, stripes, torch.ones_like(stripes, dtype=counts.dtype))
        return nn.functional.normalize(counts, p=1, dim=2).sqrt().flatten(1)

    def fingerprint(self) -> str:
        return f"{self.name}-{self.input_size[0]}x{self.input_size[1]}"


def _unit_range(images: Tensor) -> Tensor:
    return images if images.is_floating_point() else images.float() / 255.0
