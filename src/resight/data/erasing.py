"""Random erasing.  Zhong et al., AAAI 2020, algorithm 1.

Up to T times: an area fraction u ~ U(low, high) and an aspect r (height over width) give
h = round(sqrt(u A r)) and w = round(sqrt(u A / r)); the first with h < H and w < W is filled at a uniform
place.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from resight.errors import UsageError

ErasePreset = Literal["original", "torchvision"]
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet, the normalisation of this field


class Numbers(Protocol):
    """A source of uniform random numbers, (B, count) at a time."""

    def take(self, count: int) -> Tensor: ...


@dataclass(frozen=True)
class Shape:
    """How large and how tall an erased box may be, and how often one is tried."""

    low: float
    high: float
    narrow: float
    wide: float
    log: bool  # aspect uniform in its logarithm
    tries: int


PRESETS: dict[ErasePreset, Shape] = {
    "original": Shape(0.02, 0.4, 0.3, 1 / 0.3, log=False, tries=100),  # the authors' release
    "torchvision": Shape(0.02, 0.33, 0.3, 3.3, log=True, tries=10),  # torchvision's, and fast-reid's, defaults
}
NUMBERS = {name: 2 * shape.tries + 2 for name, shape in PRESETS.items()}


def fill_in_pixel_units(
    fill: str | tuple[float, float, float], mean: tuple[float, ...] = MEAN, std: tuple[float, ...] = STD
) -> tuple[float, ...]:
    """The colour, on the scale of [0, 1] pixels, that a named fill is.

    mean             the mean colour: exactly 0 once normalised
    strong_baseline  the mean colour written after normalisation (Luo et al., CVPRW 2019): pixel mean * std +
                     mean
    black            0
    """
    if not isinstance(fill, str):
        return tuple(fill)
    fills = {
        "mean": mean,
        "strong_baseline": tuple(m * s + m for m, s in zip(mean, std, strict=True)),
        "black": (0.0, 0.0, 0.0),
    }
    if fill not in fills:
        raise UsageError(f"augment.erase_fill is {fill!r}; choose {', '.join(fills)}, or three numbers.")
    return fills[fill]


def preset(name: str) -> Shape:
    """A row of PRESETS, or UsageError."""
    for known, shape in PRESETS.items():
        if known == name:
            return shape
    raise UsageError(f"augment.erase_preset is {name!r}; choose {' or '.join(PRESETS)}.")


def boxes(numbers: Numbers, size: tuple[int, int], name: ErasePreset) -> Tensor:
    """A box for each image: (B, 4) top, left, height, width; height 0 where every try failed."""
    shape, (height, width) = preset(name), size
    area = shape.low + numbers.take(shape.tries) * (shape.high - shape.low)  # (B, T)
    draw = numbers.take(shape.tries)
    if shape.log:
        low, high = math.log(shape.narrow), math.log(shape.wide)
        aspect = (low + draw * (high - low)).exp()
    else:
        aspect = shape.narrow + draw * (shape.wide - shape.narrow)
    h = (area * height * width * aspect).sqrt().round()
    w = (area * height * width / aspect).sqrt().round()
    return place(numbers, first_that_fits(h, w, size), size)


def first_that_fits(h: Tensor, w: Tensor, size: tuple[int, int]) -> Tensor:
    """Tries (B, T) of heights and widths -> (B, 2) of the first with 0 < h < H and 0 < w < W, else 0."""
    fits = (h < size[0]) & (w < size[1]) & (h > 0) & (w > 0)
    first = fits.int().argmax(dim=1, keepdim=True)
    chosen = torch.cat([h.gather(1, first), w.gather(1, first)], dim=1)
    return chosen * fits.any(dim=1, keepdim=True)


def place(numbers: Numbers, extent: Tensor, size: tuple[int, int]) -> Tensor:
    """Heights and widths (B, 2) -> boxes (B, 4) at a uniform place that keeps them inside."""
    corner = (numbers.take(2) * (torch.tensor(size) - extent + 1)).floor()
    return torch.cat([corner, extent], dim=1).long()


def erase(images: Tensor, where: Tensor, chosen: Tensor, fill: tuple[float, ...]) -> Tensor:
    """Fill the boxes (B, 4) of the chosen images (B,) with a colour; the argument is left as it was."""
    erased, colour = images.clone(), images.new_tensor(fill)[:, None, None]
    for image, (top, left, h, w), yes in zip(erased, where.tolist(), chosen.tolist(), strict=True):
        if yes:
            image[:, top : top + h, left : left + w] = colour
    return erased
