"""Changes of colour as affine maps, x -> M x + b per image, put together before any pixel is touched.

Unlike a chain of image operations, colours are clipped to [0, 1] once, at the end, and a batch is read once.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

LUMA = torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64)  # ITU-R 601


class Recolouring:
    """One map per image, identity at first.

    mean  (B, 3) mean colour of each image, which contrast turns about
    """

    def __init__(self, mean: Tensor) -> None:
        self.mean = mean.double()
        self.matrix = torch.eye(3, dtype=torch.float64).repeat(len(mean), 1, 1)  # (B, 3, 3)
        self.shift = torch.zeros(len(mean), 3, dtype=torch.float64)  # (B, 3)

    def __call__(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) float -> the same, recoloured and clipped to [0, 1]."""
        matrix, shift = self.matrix.to(images), self.shift.to(images)
        changed = torch.baddbmm(shift[:, :, None], matrix, images.reshape(len(images), 3, -1))
        return changed.clamp_(0, 1).view(len(images), 3, *images.shape[2:])

    def brighten(self, factor: Tensor) -> None:
        """x -> f x, factor (B,)."""
        self._then(factor[:, None, None] * torch.eye(3, dtype=torch.float64))

    def contrast(self, factor: Tensor) -> None:
        """x -> f x + (1 - f) m, m the mean luma of the image as it is now."""
        now = (self.matrix @ self.mean[:, :, None])[:, :, 0] + self.shift
        self._then(factor[:, None, None] * torch.eye(3, dtype=torch.float64))
        self.shift = self.shift + ((1 - factor) * (now @ LUMA))[:, None]

    def saturate(self, factor: Tensor) -> None:
        """x -> f x + (1 - f) luma(x); 0 leaves grey."""
        grey = torch.ones(3, 1, dtype=torch.float64) * LUMA
        keep = factor[:, None, None]
        self._then(keep * torch.eye(3, dtype=torch.float64) + (1 - keep) * grey)

    def turn(self, angle: Tensor) -> None:
        """Turn colours about the grey axis by an angle (B,) in radians (Rodrigues); greys stay."""
        axis = torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]], dtype=torch.float64)
        cosine, sine = angle.cos()[:, None, None], angle.sin()[:, None, None]
        third = torch.full((3, 3), 1 / 3, dtype=torch.float64)
        self._then(cosine * (torch.eye(3, dtype=torch.float64) - third) + third + sine * axis / math.sqrt(3))

    def _then(self, matrix: Tensor) -> None:
        self.matrix = matrix @ self.matrix
        self.shift = (matrix @ self.shift[:, :, None])[:, :, 0]
