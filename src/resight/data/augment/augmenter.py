"""Augmentation of whole batches on their device.  docs/methods/augmentation.md gives the source of each part.

The order is flip and crop (on uint8), to float, color, gray, blur, erasing, patches.  Normalization is the
model's: what leaves here is RGB in [0, 1], and a fill that a paper states in normalized units is converted to
these.

Every image draws its own row of random numbers from the generator, all of them, used or not.  So an image's
fate depends on its place in the stream of images alone: not on the device, nor on how a batch is cut into
chunks, nor over how many processes it is spread.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from resight.data.augment.batch_ops import windows
from resight.data.augment.blur import blur
from resight.data.augment.color import ColorTransform
from resight.data.augment.random_crop import cropped_shape, stretched
from resight.data.augment.random_erasing import MEAN, STD, ErasePreset, boxes, erase, erased_shape, fill_in_pixel_units
from resight.data.augment.random_patch import NUMBERS as PATCHING
from resight.data.augment.random_patch import PatchPool
from resight.data.transfer import to_device
from resight.dist import rank, world_size
from resight.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ZOOM = 1.125  # how much larger "zoom" makes a picture, half the time, before a crop back to size


@dataclass(frozen=True)
class Augment:
    """Configuration of the augmentation of training pictures.  Probabilities are per picture; 0 switches a part off."""

    flip: float = 0.5
    crop: Literal["none", "pad", "zoom", "sized"] = "pad"
    pad: int = 10  # pixels of black on all sides before a crop back to size
    crop_area: tuple[float, float] = (0.64, 1.0)  # of a sized crop, share of the picture
    crop_aspect: tuple[float, float] = (2.0, 3.0)  # of a sized crop, height over width
    erase: float = 0.0  # random erasing, Zhong et al., AAAI 2020
    erase_preset: ErasePreset = "original"
    erase_area: tuple[float, float] | None = None  # share of the picture; None: the preset's
    erase_aspect: tuple[float, float] | None = None  # height over width; None: the preset's
    erase_fill: Literal["mean", "strong_baseline", "black"] | tuple[float, float, float] = "mean"
    patch: float = 0.0  # random patch, Zhou et al., ICCV 2019
    patch_pool: int = 5000  # patches kept; docs/methods/augmentation.md says why not 50,000
    jitter: float = 1.0  # of the next four
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0  # up to 0.5, half a turn of the color circle either way
    gray: float = 0.0
    blur: float = 0.0  # loses its detail, down to a quarter of the size
    cast: float = 0.0  # each channel is multiplied by a gain of its own, exp(u), u up to this either way

    def __post_init__(self) -> None:
        for name in ("flip", "erase", "patch", "jitter", "gray", "blur"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"augment.{name} is {getattr(self, name)}, expected a probability from 0 to 1.")
        for name, top in {"brightness": 1, "contrast": 1, "saturation": 1, "hue": 0.5, "cast": 1}.items():
            if not 0 <= getattr(self, name) <= top:
                raise UsageError(f"augment.{name} is {getattr(self, name)}, expected 0 to {top}.")
        if self.crop not in ("none", "pad", "zoom", "sized"):
            raise UsageError(f"augment.crop is {self.crop!r}; choose none, pad, zoom or sized.")
        if self.pad < 0 or self.patch_pool < 100:
            raise UsageError("augment: pad must be 0 or more, and patch_pool 100 or more.")
        fill_in_pixel_units(self.erase_fill)
        erased_shape(self.erase_preset, self.erase_area, self.erase_aspect)
        cropped_shape(self.crop_area, self.crop_aspect)


class Augmenter:
    """Augmentation of a batch: (images, generator) -> augmented images.

    images (B, 3, H, W) uint8, or float in [0, 1] -> float32 (B, 3, H, W) in [0, 1] (float stays what it was).
     The argument is left as it was.  Between pictures only the pool of patches is remembered: `state_dict`.

    Args:
        config: what is done, and how often.
        mean: that the model subtracts, of RGB in [0, 1]: named fills of erased regions follow it.
        std: that the model divides by.
    """

    def __init__(self, config: Augment, mean: Sequence[float] = MEAN, std: Sequence[float] = STD) -> None:
        self.config = config
        self.fill = fill_in_pixel_units(config.erase_fill, tuple(mean), tuple(std))
        self.erased = erased_shape(config.erase_preset, config.erase_area, config.erase_aspect)
        self.cropped = cropped_shape(config.crop_area, config.crop_aspect)
        self.pool = PatchPool(config.patch_pool)

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        config = self.config
        numbers = _Numbers(len(images), self._width, generator)
        images = self._flip_and_crop(images, numbers)
        if images.dtype == torch.uint8:
            images = images.to(torch.float32, memory_format=self._order).div_(255)
        images = self._recolor(images, numbers)
        if config.blur:
            coin, amount = numbers.take(2).unbind(1)
            images = blur(images, coin < config.blur, amount)
        if config.erase:
            coin, where = numbers.take(1)[:, 0], boxes(numbers, size_of(images), self.erased)
            images = erase(images, where, coin < config.erase, self.fill)
        if config.patch:
            images = self.pool(images, numbers, config.patch)
        return images

    def state_dict(self) -> dict[str, Any]:
        """State that a resumed run needs to continue identically."""
        return {"pool": self.pool.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state of `state_dict`."""
        self.pool.load_state_dict(state["pool"])

    @property
    def _recolors(self) -> bool:
        config = self.config
        return any((config.brightness, config.contrast, config.saturation, config.hue, config.gray, config.cast))

    @property
    def _order(self) -> torch.memory_format:
        """Networks like channels last; colors and patches are quicker a plane at a time."""
        return torch.contiguous_format if self._recolors or self.config.patch else torch.preserve_format

    @property
    def _width(self) -> int:
        """Random numbers an image draws."""
        config = self.config
        cropping = self.cropped.numbers if config.crop == "sized" else 0
        casting = 3 if config.cast else 0
        blurring = 2 if config.blur else 0
        erasing = 1 + self.erased.numbers if config.erase else 0
        return 10 + cropping + casting + blurring + erasing + (PATCHING if config.patch else 0)

    def _flip_and_crop(self, images: Tensor, numbers: _Numbers) -> Tensor:
        config, (height, width) = self.config, size_of(images)
        flip, zoom, y, x = numbers.take(4).unbind(1)
        mirrored = flip < config.flip
        if config.crop == "zoom":
            big = (round(ZOOM * height), round(ZOOM * width))
            top, left = _offsets(y, big[0] - height), _offsets(x, big[1] - width)
            chosen = zoom < 0.5
            sources = _enlarged(images, chosen, big)
            return windows(sources, top * chosen, left * chosen, mirrored, (height, width))
        if config.crop == "sized":
            return stretched(images, boxes(numbers, (height, width), self.cropped), mirrored)
        pad = config.pad if config.crop == "pad" else 0
        padded = F.pad(images, (pad, pad, pad, pad)) if pad else images
        return windows(padded, _offsets(y, 2 * pad), _offsets(x, 2 * pad), mirrored, (height, width))

    def _recolor(self, images: Tensor, numbers: _Numbers) -> Tensor:
        """Every part is affine in the color, so one matrix an image does it all."""
        config = self.config
        jitter, bright, contrast, saturation, hue, gray = numbers.take(6).unbind(1)
        if not self._recolors:
            return images
        on = (jitter < config.jitter).double()
        change = ColorTransform(len(images))
        change.brighten(1 + on * config.brightness * (2 * bright - 1))
        change.contrast(1 + on * config.contrast * (2 * contrast - 1))
        change.saturate(1 + on * config.saturation * (2 * saturation - 1))
        change.turn(on * config.hue * (2 * hue - 1) * 2 * math.pi)
        change.saturate(1 - (gray < config.gray).double())
        if config.cast:
            change.tint((config.cast * (2 * numbers.take(3) - 1)).exp())
        return change(images)


class _Numbers:
    """Each image's row of uniform random numbers, taken from the left.

    Several processes draw for the whole batch and keep their rows: the same numbers as one process draws.
    """

    def __init__(self, batch: int, width: int, generator: Generator) -> None:
        everyone = torch.rand(world_size() * batch, width, generator=generator, device=generator.device)
        self.table = everyone[rank() * batch :][:batch].cpu().double()
        self.used = 0

    def take(self, count: int) -> Tensor:
        """The next columns (B, count), float64 on the CPU."""
        self.used += count
        return self.table[:, self.used - count : self.used]


def size_of(images: Tensor) -> tuple[int, int]:
    """(H, W) of (..., H, W)."""
    return images.shape[-2], images.shape[-1]


def _enlarged(images: Tensor, chosen: Tensor, size: tuple[int, int]) -> Tensor:
    """The chosen pictures (B,) enlarged to `size`, the others as they are in its upper left corner.

    Bilinear, in the type the images have; only the CPU resizes bytes as they are.
    """
    height, width = size_of(images)
    large = F.pad(images, (0, size[1] - width, 0, size[0] - height))
    rows = to_device(chosen.nonzero()[:, 0], images.device)
    few = images[rows]
    bytes_elsewhere = images.dtype == torch.uint8 and images.device.type != "cpu"
    grown = F.interpolate(few.float() if bytes_elsewhere else few, size=size, mode="bilinear", antialias=True)
    large[rows] = grown.round().to(torch.uint8) if bytes_elsewhere else grown
    return large


def _offsets(draw: Tensor, slack: int) -> Tensor:
    """Uniform over 0..slack, both ends included."""
    return (draw * (slack + 1)).long()
