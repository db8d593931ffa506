"""HA-CNN: harmonious attention network.  Li, Zhu and Gong, CVPR 2018.

The figure: a small network trained from scratch on 160 x 64 pictures.  A global branch of three stages (two
Inception blocks, then harmonious attention); a local branch of T = 4 streams with weights shared between
them.  Each attention module gives a soft mask of its own map, factorised into space and channel, and T
windows on the map of the level before, which feed the local streams: whole and parts learn from each other.

Where the paper is silent, and the public port's cropping (`hacnn-torchreid`): docs/methods/hacnn.md
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resight.errors import UsageError
from resight.models.base import ModelOptions, ReIDModel
from resight.models.heads import LinearHead
from resight.models.region_crop import corners, crop, crop_resampled
from resight.options import Count
from resight.precision import full_precision, lift

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from resight.types import ReIDOutput

STEM = 32  # channels of the first convolution
HEIGHT, WIDTH = 0.3, 0.875  # a window's share of its map: 24/80 = 12/40 = 6/20, 28/32 = 14/16 = 7/8
PORT_WINDOW = (0.25, 1.0)  # the public port's share of height and width

Soft = Literal["full", "spatial", "channel", "none"]


@dataclass(frozen=True, kw_only=True)
class HACNNOptions(ModelOptions):
    input_size: tuple[int, int] = (160, 64)
    widths: tuple[int, int, int] = (128, 256, 384)
    regions: Count = 4  # T
    dim: Count = 512  # of each branch's feature
    reduction: Count = 16  # of the channel attention
    soft: Soft = "full"  # the soft attention's factors
    hard: bool = True  # False: the windows stay where they start
    cross: bool = True  # cross-attention interaction: the global map is added to the local one
    cropping: Literal["direct", "resampled"] = "direct"  # resampled: the port's, window scaled twice
    bias: bool = False  # of convolutions, which batch normalisation makes idle
    regions_together: bool = True  # normalise the T streams as one batch; False: each on its own


class ConvBlock(nn.Sequential):
    """CB(o, k, s): convolution, batch normalisation, ReLU."""

    def __init__(self, inner: int, outer: int, kernel: int, stride: int = 1, bias: bool = False) -> None:
        super().__init__(
            nn.Conv2d(inner, outer, kernel, stride=stride, padding=kernel // 2, bias=bias),
            nn.BatchNorm2d(outer),
            nn.ReLU(inplace=True),
        )


class InceptionA(nn.Module):
    """Four streams side by side at the map's own size.  (B, inner, h, w) -> (B, outer, h, w)."""

    def __init__(self, inner: int, outer: int, bias: bool) -> None:
        super().__init__()
        m = outer // 4
        self.streams = nn.ModuleList(
            nn.Sequential(ConvBlock(inner, m, 1, bias=bias), ConvBlock(m, m, 3, bias=bias)) for _ in range(3)
        )
        self.streams.append(nn.Sequential(nn.AvgPool2d(3, 1, padding=1), ConvBlock(inner, m, 1, bias=bias)))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([stream(x) for stream in self.streams], dim=1)


class InceptionB(nn.Module):
    """Three streams that halve the map, odd sizes up.  (B, inner, h, w) -> (B, outer, h / 2, w / 2)."""

    def __init__(self, inner: int, outer: int, bias: bool) -> None:
        super().__init__()
        m = outer // 4
        short = [ConvBlock(inner, m, 1, bias=bias), ConvBlock(m, m, 3, 2, bias=bias)]
        long = [ConvBlock(inner, m, 1, bias=bias), ConvBlock(m, m, 3, bias=bias)]
        long.append(ConvBlock(m, m, 3, 2, bias=bias))
        pool = [nn.MaxPool2d(3, 2, padding=1), ConvBlock(inner, 2 * m, 1, bias=bias)]
        self.streams = nn.ModuleList(nn.Sequential(*layers) for layers in (short, long, pool))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([stream(x) for stream in self.streams], dim=1)


class SpatialAttention(nn.Module):
    """S = conv1x1(resize(conv3x3 s2(mean over channels))).  (B, C, h, w) -> (B, 1, h, w)."""

    def __init__(self, bias: bool) -> None:
        super().__init__()
        self.look = ConvBlock(1, 1, 3, 2, bias=bias)
        self.scale = ConvBlock(1, 1, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        looked = self.look(x.mean(dim=1, keepdim=True))
        resized = F.interpolate(looked, size=x.shape[2:], mode="bilinear", align_corners=True)
        scaled: Tensor = self.scale(resized)
        return scaled


class ChannelAttention(nn.Sequential):
    """A squeeze-and-excitation.  GAP (B, C, 1, 1) -> C (B, C, 1, 1)."""

    def __init__(self, channels: int, reduction: int, bias: bool) -> None:
        squeezed = max(1, channels // reduction)
        super().__init__(ConvBlock(channels, squeezed, 1, bias=bias), ConvBlock(squeezed, channels, 1, bias=bias))


class SoftAttention(nn.Module):
    """A = sigmoid(ReLU(BN(W (S x C)))), in [0.5, 1) because of the ReLU.

    A factor that is switched off is 1.  (B, C, h, w), GAP (B, C, 1, 1) -> (B, C, h, w).
    """

    def __init__(self, channels: int, reduction: int, factors: Soft, bias: bool) -> None:
        super().__init__()
        self.spatial = SpatialAttention(bias) if factors in ("full", "spatial") else None
        self.channel = ChannelAttention(channels, reduction, bias) if factors in ("full", "channel") else None
        self.combine = ConvBlock(channels, channels, 1, bias=bias)

    def forward(self, x: Tensor, pooled: Tensor) -> Tensor:
        product = torch.ones_like(x)
        if self.spatial is not None:
            product = product * self.spatial(x)
        if self.channel is not None:
            product = product * self.channel(pooled)
        combined: Tensor = self.combine(product)
        return combined.sigmoid()


class HardAttention(nn.Module):
    """theta = tanh(W GAP + b): T translations (t_x, t_y), in half-extents of the map from its middle.

    W starts at 0, b so that the windows stand one below the other, evenly: t_x = 0, t_y from -0.7 to 0.7, the
    farthest a window of this height stays inside.
    """

    def __init__(self, channels: int, regions: int, learn: bool, port: bool) -> None:
        super().__init__()
        self.regions = regions
        self.place = nn.Linear(channels, 2 * regions)
        nn.init.zeros_(self.place.weight)
        with torch.no_grad():
            self.place.bias.copy_(torch.tensor([v for y in heights(regions, port) for v in (0.0, y)]))
        self.place.requires_grad_(learn)

    def forward(self, pooled: Tensor) -> Tensor:
        """GAP (B, C, 1, 1) -> theta (B, T, 2)."""
        with full_precision(pooled):  # half a pixel is more than bfloat16 can tell
            placed = F.linear(lift(pooled.flatten(1)), lift(self.place.weight), lift(self.place.bias))
            return placed.tanh().reshape(-1, self.regions, 2)


def heights(regions: int, port: bool) -> list[float]:
    """Where each window starts, before the tanh.  The port's -0.75..0.75 are shrunk by the tanh."""
    reach = 0.75 if port else 1 - HEIGHT
    spots = [reach * (2 * k / (regions - 1) - 1) if regions > 1 else 0.0 for k in range(regions)]
    return spots if port else [math.atanh(spot) for spot in spots]


class HarmoniousAttention(nn.Module):
    """Soft attention for this map, hard attention for the one before; one GAP serves both.

    places: False where no stream looks through this level's windows.
    """

    def __init__(self, channels: int, options: HACNNOptions, places: bool) -> None:
        super().__init__()
        self.soft = None
        if options.soft != "none":
            self.soft = SoftAttention(channels, options.reduction, options.soft, options.bias)
        self.hard = None
        if places:
            port = options.cropping == "resampled"
            self.hard = HardAttention(channels, options.regions, options.hard, port)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """F -> X = F * A; A, None when switched off; theta (B, T, 2), None where nothing is placed."""
        pooled = x.mean(dim=(2, 3), keepdim=True)
        mask = None if self.soft is None else self.soft(x, pooled)
        theta = None if self.hard is None else self.hard(pooled)
        return x if mask is None else x * mask, mask, theta


class Summary(nn.Sequential):
    """A branch's feature: linear, batch normalisation, ReLU, so it is not negative.  (B, in) -> (B, dim)."""

    def __init__(self, inner: int, dim: int) -> None:
        super().__init__(nn.Linear(inner, dim), nn.BatchNorm1d(dim), nn.ReLU(inplace=True))


class HACNN(ReIDModel):
    """features: `global`, `local` (B, 512).  logits: the same names (B, K).

    maps: `soft/1..3` (B, C, h, w); `windows/1..3` (B, T, 2, 2), corners ((x0, y0), (x1, y1)) as shares of the
    picture.  The descriptor is both features at unit length, side by side, compared by Euclidean distance.
    """

    name: ClassVar[str] = "hacnn"
    paper: ClassVar[str] = "Li et al., CVPR 2018"
    year: ClassVar[int] = 2018
    Options: ClassVar[type[ModelOptions]] = HACNNOptions

    def __init__(self, num_ids: int, options: HACNNOptions) -> None:
        refuse_widths(options)
        super().__init__(
            num_ids,
            options,
            widths={"global": options.dim, "local": options.dim},
            retrieval=("global", "local"),
            metric="euclidean",
        )
        self.options = options
        bias, widths = options.bias, options.widths
        inner = (STEM, *widths[:2])
        self.stem = ConvBlock(3, STEM, 3, 2, bias=bias)
        self.stages = nn.ModuleList(
            nn.Sequential(InceptionA(i, o, bias), InceptionB(o, o, bias)) for i, o in zip(inner, widths, strict=True)
        )
        self.attention = nn.ModuleList(
            HarmoniousAttention(channels, options, places=level == 0 or options.cross)
            for level, channels in enumerate(widths)
        )
        self.local = nn.ModuleList(InceptionB(i, o, bias) for i, o in zip(inner, widths, strict=True))
        self.global_summary = Summary(widths[-1], options.dim)
        self.local_summary = Summary(options.regions * widths[-1], options.dim)
        self.global_classifier = LinearHead(options.dim, num_ids, bias=True) if num_ids else None
        self.local_classifier = LinearHead(options.dim, num_ids, bias=True) if num_ids else None

    def check_size(self, height: int, width: int) -> None:
        super().check_size(height, width)
        if height % 16 or width % 16:
            raise UsageError(f"hacnn: images of {height}x{width}; both sides have to be multiples of 16.")

    def look(self, x: Tensor, parts: bool = True) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Pixels -> features and maps, level by level: attend, then the streams look through the windows.

        parts: False leaves the local branch out.
        """
        before = self.stem(x)  # X0
        local: Tensor | None = None
        maps: dict[str, Tensor] = {}
        levels = zip(self.stages, self.attention, self.local, strict=True)
        for level, (stage, attention, block) in enumerate(levels, start=1):
            after, mask, theta = attention(stage(before))
            if mask is not None:
                maps[f"soft/{level}"] = mask
            if parts:
                seen, windows = self.meet(before, theta, local)
                maps |= {} if windows is None else {f"windows/{level}": windows}
                local = self.stream(block, seen)
            before = after
        features = {"global": self.global_summary(before.mean(dim=(2, 3)))}
        if local is not None:
            regions = local.mean(dim=(3, 4)).flatten(1)  # (B, T * C), in region order
            features["local"] = self.local_summary(regions)
        return features, maps

    def meet(self, before: Tensor, theta: Tensor | None, local: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """What the streams see: at level 1 windows of X0, later their own maps plus the windows.

        -> (B, T, C, h, w), and the windows' corners.
        """
        if theta is None:
            assert local is not None
            return local, None
        size = window_size(before) if local is None else (local.shape[3], local.shape[4])
        if self.options.cropping == "resampled":
            share = PORT_WINDOW
            windows = crop_resampled(before, theta, size, share)
        else:
            share = size[0] / before.shape[2], size[1] / before.shape[3]
            windows = crop(before, theta, size, share)
        return windows if local is None else local + windows, corners(theta, *share)

    def stream(self, block: nn.Module, windows: Tensor) -> Tensor:
        """One block for all regions.  (B, T, C, h, w) -> (B, T, C', h / 2, w / 2)."""
        if self.options.regions_together:
            together: Tensor = block(windows.flatten(0, 1))
            return together.reshape(*windows.shape[:2], *together.shape[1:])
        return torch.stack([block(windows[:, k]) for k in range(windows.shape[1])], dim=1)

    def describe(self, x: Tensor) -> dict[str, Tensor]:
        return self.look(x, parts="local" in self.retrieval)[0]

    def descriptor(self, features: Mapping[str, Tensor]) -> Tensor:
        """Each branch at unit length: d^2 = 4 - 2 (cos_global + cos_local)."""
        return torch.cat([F.normalize(features[name]) for name in self.retrieval], dim=1)

    def forward(self, images: Tensor) -> ReIDOutput:
        features, maps = self.look(self.normalize(images))
        logits: dict[str, Tensor] = {}
        if self.global_classifier is not None and self.local_classifier is not None:
            logits["global"] = self.global_classifier(features["global"])
            logits["local"] = self.local_classifier(features["local"])
        return self.output(features, logits, maps)


def window_size(map: Tensor) -> tuple[int, int]:
    """Rows and columns of a window on this map, to the nearest pixel."""
    return max(1, int(HEIGHT * map.shape[2] + 0.5)), max(1, int(WIDTH * map.shape[3] + 0.5))


def refuse_widths(options: HACNNOptions) -> None:
    bad: Sequence[int] = [width for width in options.widths if width < 4 or width % 4]
    if bad:
        raise UsageError(f"hacnn: widths {options.widths}; each has to be a multiple of 4, for four streams.")
