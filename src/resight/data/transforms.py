"""Augmentation of whole batches on the device they are on.  docs/methods/augmentation.md says what is whose.

The order is flip and crop (on uint8), to float, colour, grey, erasing, patches.  Normalisation is the
model's: what leaves here is RGB in [0, 1], and a fill that a paper states in normalised units is converted to
these.

Every image draws its own row of random numbers from the generator, all of them, used or not.  So an image's
fate depends on its place in the stream of images alone: not on the device, nor on how a batch is cut into
chunks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from resight.data.colour import Recolouring
from resight.data.erasing import NUMBERS as ERASING
from resight.data.erasing import ErasePreset, boxes, erase, fill_in_pixel_units, preset
from resight.data.patches import NUMBERS as PATCHING
from resight.data.patches import PatchPool
from resight.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

ZOOM = 1.125  # how much larger "zoom" makes a picture, half the time, before a crop back to size


@dataclass(frozen=True)
class Augment:
    """What happens to a training picture.  Probabilities are per picture; 0 switches a part off."""

    flip: float = 0.5
    crop: Literal["none", "pad", "zoom"] = "pad"
    pad: int = 10  # pixels of black on all sides before a crop back to size
    erase: float = 0.0  # random erasing, Zhong et al., AAAI 2020
    erase_preset: ErasePreset = "original"
    erase_fill: Literal["mean", "strong_baseline", "black"] | tuple[float, float, float] = "mean"
    patch: float = 0.0  # random patch, Zhou et al., ICCV 2019
    patch_pool: int = 5000  # patches kept; docs/methods/augmentation.md says why not 50,000
    jitter: float = 1.0  # of the next four
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0  # up to 0.5, half a turn of the colour circle either way
    grey: float = 0.0

    def __post_init__(self) -> None:
        for name in ("flip", "erase", "patch", "jitter", "grey"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"augment.{name} is {getattr(self, name)}, expected a probability from 0 to 1.")
        for name, top in {"brightness": 1, "contrast": 1, "saturation": 1, "hue": 0.5}.items():
            if not 0 <= getattr(self, name) <= top:
                raise UsageError(f"augment.{name} is {getattr(self, name)}, expected 0 to {top}.")
        if self.crop not in ("none", "pad", "zoom"):
            raise UsageError(f"augment.crop is {self.crop!r}; choose none, pad or zoom.")
        if self.pad < 0 or self.patch_pool < 100:
            raise UsageError("augment: pad must be 0 or more, and patch_pool 100 or more.")
        fill_in_pixel_units(self.erase_fill)
        preset(self.erase_preset)


class Augmenter:
    """(images, generator) -> augmented images.

    images (B, 3, H, W) uint8, or float in [0, 1] -> float32 (B, 3, H, W) in [0, 1] (float stays what it was).
     The argument is left as it was.  Between pictures only the pool of patches is remembered: `state_dict`.
    """

    def __init__(self, config: Augment) -> None:
        self.config = config
        self.pool = PatchPool(config.patch_pool)

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        config = self.config
        numbers = _Numbers(len(images), self._width, generator)
        images = self._flip_and_crop(images, numbers)
        images = images.float().div_(255) if images.dtype == torch.uint8 else images
        images = self._recolour(images, numbers)
        if config.erase:
            coin, where = numbers.take(1)[:, 0], boxes(numbers, size_of(images), config.erase_preset)
            images = erase(images, where, coin < config.erase, fill_in_pixel_units(config.erase_fill))
        if config.patch:
            images = self.pool(images, numbers, config.patch)
        return images

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs to go on as if nothing had happened."""
        return {"pool": self.pool.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up a state of `state_dict`."""
        self.pool.load_state_dict(state["pool"])

    @property
    def _width(self) -> int:
        """Random numbers an image draws."""
        erasing = 1 + ERASING[self.config.erase_preset] if self.config.erase else 0
        return 10 + erasing + (PATCHING if self.config.patch else 0)

    def _flip_and_crop(self, images: Tensor, numbers: _Numbers) -> Tensor:
        config, (height, width) = self.config, size_of(images)
        flip, zoom, y, x = numbers.take(4).unbind(1)
        mirrored = flip < config.flip
        if config.crop == "zoom":
            big = (round(ZOOM * height), round(ZOOM * width))
            large = _enlarged(images, big)
            top, left = _offsets(y, big[0] - height), _offsets(x, big[1] - width)
            chosen = zoom < 0.5
            sources = [large[i] if use else images[i] for i, use in enumerate(chosen.tolist())]
            return windows(sources, top * chosen, left * chosen, mirrored, (height, width))
        pad = config.pad if config.crop == "pad" else 0
        padded = F.pad(images, (pad, pad, pad, pad)) if pad else images
        return windows(list(padded), _offsets(y, 2 * pad), _offsets(x, 2 * pad), mirrored, (height, width))

    def _recolour(self, images: Tensor, numbers: _Numbers) -> Tensor:
        """Every part is affine in the colour, so one matrix an image does it all."""
        config = self.config
        jitter, bright, contrast, saturation, hue, grey = numbers.take(6).unbind(1)
        if not any((config.brightness, config.contrast, config.saturation, config.hue, config.grey)):
            return images
        on = (jitter < config.jitter).double()
        change = Recolouring(images.mean(dim=(2, 3)).cpu())
        change.brighten(1 + on * config.brightness * (2 * bright - 1))
        change.contrast(1 + on * config.contrast * (2 * contrast - 1))
        change.saturate(1 + on * config.saturation * (2 * saturation - 1))
        change.turn(on * config.hue * (2 * hue - 1) * 2 * math.pi)
        change.saturate(1 - (grey < config.grey).double())
        return change(images)


class _Numbers:
    """Each image's row of uniform random numbers, taken from the left."""

    def __init__(self, batch: int, width: int, generator: Generator) -> None:
        self.table = torch.rand(batch, width, generator=generator, device=generator.device).cpu().double()
        self.used = 0

    def take(self, count: int) -> Tensor:
        """The next columns (B, count), float64 on the CPU."""
        self.used += count
        return self.table[:, self.used - count : self.used]


def size_of(images: Tensor) -> tuple[int, int]:
    """(H, W) of (..., H, W)."""
    return images.shape[-2], images.shape[-1]


def _enlarged(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear, in the type the images have; only the CPU resizes bytes as they are."""
    if images.dtype == torch.uint8 and images.device.type != "cpu":
        return _enlarged(images.float(), size).round().to(torch.uint8)
    return F.interpolate(images, size=size, mode="bilinear", antialias=True)


def _offsets(draw: Tensor, slack: int) -> Tensor:
    """Uniform over 0..slack, both ends included."""
    return (draw * (slack + 1)).long()


def windows(sources: list[Tensor], top: Tensor, left: Tensor, mirrored: Tensor, size: tuple[int, int]) -> Tensor:
    """Cut `size` out of each (3, H', W') at its own place, mirrored where asked -> (B, 3, H, W)."""
    cut = sources[0].new_empty(len(sources), 3, *size)
    where = zip(sources, cut, top.tolist(), left.tolist(), mirrored.tolist(), strict=True)
    for source, target, y, x, mirror in where:
        window = source[:, y : y + size[0], x : x + size[1]]
        target.copy_(window.flip(-1) if mirror else window)
    return cut
