"""Random erasing.  Zhong et al., AAAI 2020, algorithm 1.

Up to T times: an area fraction u ~ U(low, high) and an aspect r (height over width) give
h = round(sqrt(u A r)) and w = round(sqrt(u A / r)); the first with h < H and w < W is filled at a uniform
place.  Boxes to crop to are drawn in the same way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import torch
from torch import Tensor

from resight.data.augment.batch_ops import filled
from resight.errors import UsageError

ErasePreset = Literal["original", "torchvision"]
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's; a model's own come first


class Numbers(Protocol):
    """A source of uniform random numbers, (B, count) at a time."""

    def take(self, count: int) -> Tensor: ...


@dataclass(frozen=True)
class Shape:
    """Bounds of an erased box: area, aspect ratio, and the number of tries."""

    low: float  # share of the area
    high: float
    narrow: float  # height over width
    wide: float
    log: bool  # aspect uniform in its logarithm
    tries: int
    whole: bool = False  # may be as high or as wide as the picture

    @property
    def numbers(self) -> int:
        """Random numbers that finding and placing a box takes."""
        return 2 * self.tries + 2


PRESETS: dict[ErasePreset, Shape] = {
    "original": Shape(0.02, 0.4, 0.3, 1 / 0.3, log=False, tries=100),  # the authors' release
    "torchvision": Shape(0.02, 0.33, 0.3, 3.3, log=True, tries=10),  # torchvision's, and fast-reid's, defaults
}


def fill_in_pixel_units(
    fill: str | tuple[float, float, float], mean: tuple[float, ...] = MEAN, std: tuple[float, ...] = STD
) -> tuple[float, ...]:
    """The color, on the scale of [0, 1] pixels, that a named fill is.

    mean             the mean color: exactly 0 once normalized
    strong_baseline  the mean color written after normalization (Luo et al., CVPRW 2019): pixel mean * std +
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


def erased_shape(
    name: str, area: tuple[float, float] | None = None, aspect: tuple[float, float] | None = None
) -> Shape:
    """A row of PRESETS, with other bounds where some are given.  Raises UsageError."""
    shape = next((shape for known, shape in PRESETS.items() if known == name), None)
    if shape is None:
        raise UsageError(f"augment.erase_preset is {name!r}; choose {' or '.join(PRESETS)}.")
    if area is not None:
        shape = replace(shape, low=area[0], high=area[1])
    if aspect is not None:
        shape = replace(shape, narrow=aspect[0], wide=aspect[1])
    return checked(shape, "erase")


def checked(shape: Shape, part: str) -> Shape:
    """The shape, if its bounds make sense.  Raises UsageError naming the part of the augmentation."""
    if not 0 < shape.low <= shape.high <= 1:
        raise UsageError(
            f"augment.{part}_area is {shape.low} to {shape.high}; expected a rising pair above 0, up to 1."
        )
    if not 0 < shape.narrow <= shape.wide:
        raise UsageError(f"augment.{part}_aspect is {shape.narrow} to {shape.wide}; expected a rising pair above 0.")
    return shape


def boxes(numbers: Numbers, size: tuple[int, int], shape: Shape) -> Tensor:
    """A box for each image: (B, 4) top, left, height, width; height 0 where every try failed."""
    height, width = size
    area = shape.low + numbers.take(shape.tries) * (shape.high - shape.low)  # (B, T)
    draw = numbers.take(shape.tries)
    if shape.log:
        low, high = math.log(shape.narrow), math.log(shape.wide)
        aspect = (low + draw * (high - low)).exp()
    else:
        aspect = shape.narrow + draw * (shape.wide - shape.narrow)
    h = (area * height * width * aspect).sqrt().round()
    w = (area * height * width / aspect).sqrt().round()
    most = (height + 1, width + 1) if shape.whole else size
    return place(numbers, first_that_fits(h, w, most), size)


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
    """Fill the boxes (B, 4) of the chosen images (B,) with a color; the argument is left as it was."""
    return filled(images, where * chosen[:, None], fill)
