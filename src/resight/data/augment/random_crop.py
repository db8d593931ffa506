"""Random sized crop: a box of another size and shape, stretched to the picture's.

Szegedy et al., CVPR 2015, section 6; open-reid's bounds for people, which the authors of Mancs use: 0.64 to 1 of the
area, two to three times as high as wide, ten tries.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from resight.data.augment.random_erasing import Shape, checked
from resight.data.transfer import to_device

TRIES = 10


def cropped_shape(area: tuple[float, float], aspect: tuple[float, float]) -> Shape:
    """Bounds of a crop: its share of the area, its height over its width.  UsageError where they make no sense."""
    return checked(Shape(*area, *aspect, log=False, tries=TRIES, whole=True), "crop")


def stretched(images: Tensor, where: Tensor, mirrored: Tensor) -> Tensor:
    """Resize each image's box (B, 4), top, left, height, width, to the image's size, mirrored where asked.

    (B, 3, H, W) -> the same shape and type.  Bilinear, as if the box were all there is: no pixel around it counts.
    A box of height 0 stands for the whole image.
    """
    size = torch.tensor(images.shape[2:])
    whole = where[:, 2:3] == 0
    start, extent = where[:, :2].masked_fill(whole, 0), torch.where(whole, size, where[:, 2:])  # (B, 2) each
    rows = _centers(int(size[0]), start[:, 0], extent[:, 0])
    columns = _centers(int(size[1]), start[:, 1], extent[:, 1])
    columns = torch.where(mirrored[:, None], columns.flip(1), columns)
    pixels = images if images.is_floating_point() else images.float()
    rows, columns = (to_device(place.to(pixels.dtype), pixels.device) for place in (rows, columns))
    shape = (len(images), *images.shape[2:])
    grid = torch.stack([columns[:, None, :].expand(shape), rows[:, :, None].expand(shape)], dim=-1)
    sampled = F.grid_sample(pixels, grid, mode="bilinear", align_corners=False)
    return sampled if images.is_floating_point() else sampled.round().to(images.dtype)


def _centers(count: int, start: Tensor, extent: Tensor) -> Tensor:
    """The middles of `count` equal steps through a box, in [-1, 1] of an axis of `count` pixels: (B, count)."""
    first, length = start[:, None].double(), extent[:, None].double()
    place = first + (torch.arange(count) + 0.5) / count * length - 0.5  # in pixels, from the middle of the first
    place = torch.minimum(torch.maximum(place, first), first + length - 1)
    return (2 * place + 1) / count - 1
