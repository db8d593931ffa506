"""OSNet: omni-scale feature learning.  Zhou et al., ICCV 2019; with instance normalization, TPAMI 2021.

A stem, three stages of two blocks each, a last 1x1 convolution, average pooling, and a layer to 512.  In a block
four streams of one to four light 3x3 convolutions see 3x3 to 9x9 pixels; one small network, shared by the streams,
weighs the channels of each before they are added.

Tensor names are those of the authors' deep-person-reid, so its files load as they are.  docs/methods/osnet.md
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from torch import Tensor, nn

from resight.models.base import ModelOptions, ReIDModel
from resight.models.heads import LinearHead
from resight.options import Count, Positive

if TYPE_CHECKING:
    from resight.types import ReIDOutput

CHANNELS = (64, 256, 384, 512)  # table 1: stem, conv2, conv3, conv4, at width 1
STREAMS = 4  # T, sec. 3.2

# Where instance normalization goes. none: the network of 2019. ibn: the stem, and after the sum in conv2.
# ain: the stem, and inside the residual of the blocks that the search of 2021 chose (its table 2).
Norm = Literal["none", "ibn", "ain"]
SEARCHED = ((True, True), (False, True), (True, False))


@dataclass(frozen=True, kw_only=True)
class OSNetOptions(ModelOptions):
    width: Positive = 1.0  # multiplier of all channels: 0.75, 0.5 and 0.25 in the paper
    norm: Norm = "none"
    dim: Count = 512  # of the feature


def conv_norm(inner: int, outer: int, kernel: int = 1, stride: int = 1, norm: nn.Module | None = None) -> nn.Sequential:
    """Convolution and normalization."""
    conv = nn.Conv2d(inner, outer, kernel, stride=stride, padding=kernel // 2, bias=False)
    return nn.Sequential(OrderedDict(conv=conv, bn=nn.BatchNorm2d(outer) if norm is None else norm))


def conv_block(
    inner: int, outer: int, kernel: int = 1, stride: int = 1, norm: nn.Module | None = None
) -> nn.Sequential:
    """Convolution, normalization, ReLU."""
    block = conv_norm(inner, outer, kernel, stride, norm)
    block.append(nn.ReLU(inplace=True))
    return block


class LightConv(nn.Module):
    """Figure 3b, "Lite 3x3": 1x1 without an activation, then 3x3 of each channel alone, batch norm, ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        looked: Tensor = self.bn(self.conv2(self.conv1(x)))
        return looked.relu()


class AggregationGate(nn.Module):
    """G(x), equation 3: one weight in (0, 1) for each channel, from the means.  (B, C, h, w) -> x * G(x)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = max(1, channels // 16)
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        pooled = x.mean(dim=(2, 3), keepdim=True)  # (B, C, 1, 1)
        gate: Tensor = self.fc2(self.fc1(pooled).relu()).sigmoid()
        return x * gate


class OSBlock(nn.Module):
    """Figure 4: y = relu(x + conv3(sum over t of G(x_t) x_t)), x_t after t light convolutions.

    norm: instance normalization of the sum ("after"), of the residual in place of conv3's batch normalization
    ("inside"), or none.
    """

    def __init__(self, inner: int, outer: int, norm: Literal["none", "after", "inside"], listed: bool) -> None:
        super().__init__()
        middle = outer // 4
        self.conv1 = conv_block(inner, middle)
        self.streams = add_streams(self, middle, listed)
        self.gate = AggregationGate(middle)
        self.conv3 = conv_norm(middle, outer)
        if norm == "inside":  # instance normalization takes the place of batch normalization
            self.conv3 = nn.Sequential(OrderedDict(conv=self.conv3[0]))
        self.downsample = conv_norm(inner, outer) if inner != outer else None
        self.IN = nn.InstanceNorm2d(outer, affine=True) if norm != "none" else None
        self.inside = norm == "inside"

    def forward(self, x: Tensor) -> Tensor:
        before = self.conv1(x)
        gated = [self.gate(self.get_submodule(name)(before)) for name in self.streams]
        residual = self.conv3(sum(gated[1:], start=gated[0]))
        if self.inside and self.IN is not None:
            residual = self.IN(residual)
        total: Tensor = residual + (x if self.downsample is None else self.downsample(x))
        if self.IN is not None and not self.inside:
            total = self.IN(total)
        return total.relu()


def add_streams(block: nn.Module, channels: int, listed: bool) -> list[str]:
    """The four streams, named as in the files: conv2a ... conv2d, or conv2.0.layers ... conv2.3.layers."""
    chains = [nn.Sequential(*(LightConv(channels) for _ in range(depth))) for depth in range(1, STREAMS + 1)]
    if listed:
        block.add_module("conv2", nn.ModuleList(nn.Sequential(OrderedDict(layers=chain)) for chain in chains))
        return [f"conv2.{t}" for t in range(STREAMS)]
    for letter, chain in zip("abcd", chains, strict=True):
        block.add_module(f"conv2{letter}", chain if len(chain) > 1 else chain[0])
    return [f"conv2{letter}" for letter in "abcd"]


class OSNet(ReIDModel):
    """features: `global` (B, 512).  logits: `identity` (B, K).

    Compared by Euclidean distance, with norm = "ain" by cosine.
    """

    name: ClassVar[str] = "osnet"
    paper: ClassVar[str] = "Zhou et al., ICCV 2019"
    year: ClassVar[int] = 2019
    Options: ClassVar[type[ModelOptions]] = OSNetOptions

    def __init__(self, num_ids: int, options: OSNetOptions) -> None:
        super().__init__(
            num_ids,
            options,
            widths={"global": options.dim},
            retrieval=("global",),
            metric="cosine" if options.norm == "ain" else "euclidean",
        )
        stem, *outers = (max(4, round(width * options.width)) for width in CHANNELS)
        first = nn.InstanceNorm2d(stem, affine=True) if options.norm != "none" else None
        self.conv1 = conv_block(3, stem, kernel=7, stride=2, norm=first)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        for level, (inner, outer) in enumerate(zip((stem, *outers), outers, strict=False)):
            self.add_stage(level, inner, outer, options.norm)
        self.conv5 = conv_block(outers[-1], outers[-1])
        self.fc = nn.Sequential(nn.Linear(outers[-1], options.dim), nn.BatchNorm1d(options.dim), nn.ReLU(inplace=True))
        self.classifier = LinearHead(options.dim, num_ids, bias=True, std=0.01) if num_ids else None
        self.apply(initialize)

    def add_stage(self, level: int, inner: int, outer: int, norm: Norm) -> None:
        """conv2, conv3 or conv4: two blocks, and but for the last a 1x1 convolution and pooling by 2."""
        searched = norm == "ain"
        kinds = [placed(norm, level, number) for number in range(2)]
        blocks = [OSBlock(inner, outer, kinds[0], searched), OSBlock(outer, outer, kinds[1], searched)]
        shrink = nn.Sequential(conv_block(outer, outer), nn.AvgPool2d(2, stride=2))
        last = level == 2
        self.add_module(f"conv{level + 2}", nn.Sequential(*blocks, *([] if last or searched else [shrink])))
        if searched and not last:
            self.add_module(f"pool{level + 2}", shrink)

    def look(self, x: Tensor) -> Tensor:
        """Pixels -> the last map, (B, 512, H / 16, W / 16)."""
        for name in ("conv1", "maxpool", "conv2", "pool2", "conv3", "pool3", "conv4", "conv5"):
            layer = getattr(self, name, None)
            x = x if layer is None else layer(x)
        return x

    def describe(self, x: Tensor) -> dict[str, Tensor]:
        return {"global": self.fc(self.look(x).mean(dim=(2, 3)))}

    def forward(self, images: Tensor) -> ReIDOutput:
        features = self.describe(self.normalize(images))
        logits = {} if self.classifier is None else {"identity": self.classifier(features["global"])}
        return self.output(features, logits)


def placed(norm: Norm, level: int, number: int) -> Literal["none", "after", "inside"]:
    """Where a block's instance normalization stands."""
    if norm == "ain":
        return "inside" if SEARCHED[level][number] else "none"
    return "after" if norm == "ibn" and level == 0 else "none"


def initialize(module: nn.Module) -> None:
    """Convolutions as He et al., ICCV 2015, scaled by fan-out; the layer to 512 N(0, 0.01^2)."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    elif isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.01)
    else:
        return
    if module.bias is not None:
        nn.init.zeros_(module.bias)
