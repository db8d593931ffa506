"""Residual networks with last stride 1, IBN-a, and access to stages.  He et al., CVPR 2016.

Last stride: the final stage may keep its resolution (Luo et al., CVPR workshops 2019).
IBN-a: in the first three stages half of each block's first normalisation is instance-wise
(Pan et al., ECCV 2018).
Width: the stem's channel count, 64 in the paper; a narrow network trains on a laptop.

Tensor names are torchvision's (IBN-a ones those of its authors), so public weights load as they are.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from resight.models.backbones.base import Stage, Trunk


class IBN(nn.Module):
    """IBN-a: instance normalisation on the first half of the channels, batch normalisation on the rest."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = channels // 2  # `half` is a method of every module
        self.IN = nn.InstanceNorm2d(self.first, affine=True)
        self.BN = nn.BatchNorm2d(channels - self.first)

    def forward(self, x: Tensor) -> Tensor:
        instance, batch = x[:, : self.first], x[:, self.first :]
        return torch.cat([self.IN(instance.contiguous()), self.BN(batch.contiguous())], dim=1)


def conv(inner: int, outer: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inner, outer, kernel, stride=stride, padding=kernel // 2, bias=False)


class Block(nn.Module):
    """What both kinds of residual block share: one activation, used after every sum, and the shortcut."""

    expansion: int

    def __init__(self, inner: int, width: int, stride: int) -> None:
        super().__init__()
        outer = width * self.expansion
        self.relu: nn.Module = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if stride != 1 or inner != outer:
            self.downsample = nn.Sequential(conv(inner, outer, 1, stride), nn.BatchNorm2d(outer))

    def join(self, x: Tensor, y: Tensor) -> Tensor:
        total: Tensor = self.relu(y + (x if self.downsample is None else self.downsample(x)))
        return total


class BasicBlock(Block):
    """Two 3x3 convolutions: ResNet-18 and -34."""

    expansion = 1

    def __init__(self, inner: int, width: int, stride: int, ibn: bool) -> None:
        super().__init__(inner, width, stride)
        self.conv1 = conv(inner, width, 3, stride)
        self.bn1 = IBN(width) if ibn else nn.BatchNorm2d(width)
        self.conv2 = conv(width, width, 3)
        self.bn2 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return self.join(x, y)


class Bottleneck(Block):
    """1x1, 3x3, 1x1 convolutions, the stride on the 3x3 one: ResNet-50 and -101."""

    expansion = 4

    def __init__(self, inner: int, width: int, stride: int, ibn: bool) -> None:
        super().__init__(inner, width, stride)
        self.conv1 = conv(inner, width, 1)
        self.bn1 = IBN(width) if ibn else nn.BatchNorm2d(width)
        self.conv2 = conv(width, width, 3, stride)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = conv(width, width * 4, 1)
        self.bn3 = nn.BatchNorm2d(width * 4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return self.join(x, y)


FAMILY: dict[str, tuple[type[BasicBlock] | type[Bottleneck], tuple[int, int, int, int]]] = {
    "resnet10": (BasicBlock, (1, 1, 1, 1)),
    "resnet18": (BasicBlock, (2, 2, 2, 2)),
    "resnet34": (BasicBlock, (3, 4, 6, 3)),
    "resnet50": (Bottleneck, (3, 4, 6, 3)),
    "resnet101": (Bottleneck, (3, 4, 23, 3)),
}


class ResNet(Trunk):
    """Stem and four stages, conv2..conv5 in the papers' counting, `layer1`..`layer4` in the tensors' names.

    forward: (B, 3, H, W) -> (B, channels[-1], ceil(H / 32), ceil(W / 32)), / 16 with last_stride = 1.
    ceil_pool: the stem pools without padding and rounds up, as Caffe's networks and their descendants do.
    stem_relu: False leaves out the activation after the stem's normalization.
    """

    def __init__(
        self,
        name: str,
        width: int = 64,
        last_stride: int = 2,
        ibn: bool = False,
        ceil_pool: bool = False,
        stem_relu: bool = True,
    ) -> None:
        super().__init__()
        block, depths = FAMILY[name]
        self.channels = tuple(width * 2**i * block.expansion for i in range(4))
        self.stride = 16 * last_stride
        self.conv1 = nn.Conv2d(3, width, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True) if stem_relu else nn.Identity()
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=0 if ceil_pool else 1, ceil_mode=ceil_pool)
        strides = (1, 2, 2, last_stride)
        inner = (width, *self.channels)
        layers = [chain(block, inner[i], width * 2**i, depths[i], strides[i], ibn=ibn and i < 3) for i in range(4)]
        self.layer1, self.layer2, self.layer3, self.layer4 = layers
        self.apply(initialize)

    def stem(self, x: Tensor) -> Tensor:
        pooled: Tensor = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        return pooled

    def stages(self) -> list[Stage]:
        """conv2..conv5 as functions of the map before; the first begins with the stem, at the pixels."""
        return [lambda x: self.layer1(self.stem(x)), self.layer2, self.layer3, self.layer4]

    def stage_modules(self) -> list[nn.Module]:
        first = {name: getattr(self, name) for name in ("conv1", "bn1", "relu", "maxpool", "layer1")}
        return [nn.Sequential(OrderedDict(first)), self.layer2, self.layer3, self.layer4]


def chain(
    block: type[BasicBlock] | type[Bottleneck], inner: int, width: int, depth: int, stride: int, ibn: bool
) -> nn.Sequential:
    """One stage: `depth` blocks, the first of which changes resolution and width."""
    outer = width * block.expansion
    return nn.Sequential(block(inner, width, stride, ibn), *(block(outer, width, 1, ibn) for _ in range(depth - 1)))


def initialize(module: nn.Module) -> None:
    """He et al., ICCV 2015, scaled by fan-out; normalisations start as the identity."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
