"""Changes of color as affine maps, x -> M x + N m per image, put together before any pixel is touched.

m is the image's mean color, which contrast turns about; it is looked up where the pixels lie, once, at the end.
Unlike a chain of image operations, colors are clipped to [0, 1] once, and a batch is read once.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from resight.data.transfer import to_device

LUMA = torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64)  # ITU-R 601
GRAY = LUMA.repeat(3, 1)  # (3, 3): every channel becomes the luma


class ColorTransform:
    """One affine color map per image, the identity at first."""

    def __init__(self, count: int) -> None:
        self.matrix = torch.eye(3, dtype=torch.float64).repeat(count, 1, 1)  # M (B, 3, 3)
        self.about = torch.zeros_like(self.matrix)  # N (B, 3, 3)

    def __call__(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) float -> the same, recolored and clipped to [0, 1]."""
        matrix, about = to_device(torch.stack([self.matrix, self.about]).to(images.dtype), images.device)
        shift = about @ images.mean(dim=(2, 3))[:, :, None]  # (B, 3, 1)
        changed = torch.baddbmm(shift, matrix, images.reshape(len(images), 3, -1))
        return changed.clamp_(0, 1).view(len(images), 3, *images.shape[2:])

    def brighten(self, factor: Tensor) -> None:
        """x -> f x, factor (B,)."""
        self._then(factor[:, None, None] * torch.eye(3, dtype=torch.float64))

    def contrast(self, factor: Tensor) -> None:
        """x -> f x + (1 - f) m, m the mean luma of the image as it is now."""
        now = GRAY @ (self.matrix + self.about)
        self.brighten(factor)
        self.about = self.about + (1 - factor)[:, None, None] * now

    def saturate(self, factor: Tensor) -> None:
        """x -> f x + (1 - f) luma(x); 0 leaves gray."""
        keep = factor[:, None, None]
        self._then(keep * torch.eye(3, dtype=torch.float64) + (1 - keep) * GRAY)

    def turn(self, angle: Tensor) -> None:
        """Turn colors about the gray axis by an angle (B,) in radians (Rodrigues); grays stay."""
        axis = torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]], dtype=torch.float64)
        cosine, sine = angle.cos()[:, None, None], angle.sin()[:, None, None]
        third = torch.full((3, 3), 1 / 3, dtype=torch.float64)
        self._then(cosine * (torch.eye(3, dtype=torch.float64) - third) + third + sine * axis / math.sqrt(3))

    def tint(self, gains: Tensor) -> None:
        """Each channel by its own gain (B, 3), as under another white balance."""
        self._then(torch.diag_embed(gains))

    def _then(self, matrix: Tensor) -> None:
        self.matrix, self.about = matrix @ self.matrix, matrix @ self.about
