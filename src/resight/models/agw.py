"""AGW: attention, generalized mean, weighted triplet.  Ye et al., "Deep learning for person re-identification: a survey
and outlook", TPAMI 2021.  And SBS, fast-reid's stronger baseline on the same network.  He et al., arXiv 2006.02631.

The strong baseline with two changes: non-local blocks (Wang et al., CVPR 2018) inside the middle stages, and
generalized-mean pooling.  The third, the weighted regularized triplet, is a loss.  docs/methods/agw.md
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn

from resight.errors import UsageError
from resight.models.backbones.base import Stage, Trunk
from resight.models.backbones.resnet import FAMILY, ResNet
from resight.models.backbones.timm import build_backbone
from resight.models.base import ModelOptions
from resight.models.baseline import BaselineOptions, StrongBaseline
from resight.options import Count

# How many of the last blocks of each stage are followed by a non-local block, in both public codes.
NON_LOCAL = {"resnet50": (0, 2, 3, 0), "resnet101": (0, 2, 9, 0)}


@dataclass(frozen=True, kw_only=True)
class AGWOptions(BaselineOptions):
    pooling: Literal["average", "maximum", "gem"] = "gem"
    non_local: tuple[int, int, int, int] | None = None  # blocks in each stage; None: as published for the backbone
    non_local_width: Count = 1  # channels compared; both public codes have 1, Wang et al. half the map's


class NonLocal(nn.Module):
    """z = x + BN(W y),  y_i = (1 / N) sum_j theta(x_i)' phi(x_j) g(x_j), over all N places.  (B, C, h, w) -> the same.

    The scale of the batch normalization starts at 0, so that the block starts as the identity.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.theta = nn.Conv2d(channels, width, 1)
        self.phi = nn.Conv2d(channels, width, 1)
        self.g = nn.Conv2d(channels, width, 1)
        norm = nn.BatchNorm2d(channels)
        nn.init.zeros_(norm.weight)
        self.W = nn.Sequential(nn.Conv2d(width, channels, 1), norm)

    def forward(self, x: Tensor) -> Tensor:
        theta, phi, g = (layer(x).flatten(2) for layer in (self.theta, self.phi, self.g))  # (B, width, N)
        pairs = phi @ g.transpose(1, 2) / x.shape[2] / x.shape[3]  # (B, width, width): the sum over j comes first
        y = (theta.transpose(1, 2) @ pairs).transpose(1, 2).reshape(x.shape[0], -1, *x.shape[2:])
        added: Tensor = self.W(y)
        return x + added


class NonLocalResNet(Trunk):
    """One of our ResNets, its last blocks of each stage followed by a non-local block."""

    def __init__(self, trunk: ResNet, counts: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.channels, self.stride, self.mean, self.std = trunk.channels, trunk.stride, trunk.mean, trunk.std
        layers = [trunk.layer1, trunk.layer2, trunk.layer3, trunk.layer4]
        for number, (layer, count) in enumerate(zip(layers, counts, strict=True), start=1):
            if not 0 <= count <= len(layer):
                raise UsageError(f"non_local: {count} in stage {number}, which has {len(layer)} blocks.")
        self.non_local = nn.ModuleList(
            nn.ModuleList(NonLocal(channels, width) for _ in range(count))
            for channels, count in zip(trunk.channels, counts, strict=True)
        )

    def stages(self) -> list[Stage]:
        layers = [self.trunk.layer1, self.trunk.layer2, self.trunk.layer3, self.trunk.layer4]
        first, *rest = (interleaved(layer, added) for layer, added in zip(layers, self.non_local, strict=True))
        return [lambda x: first(self.trunk.stem(x)), *rest]


def interleaved(blocks: nn.Module, added: nn.Module) -> Stage:
    """A stage whose last blocks are each followed by one of `added`."""
    plain, looks = list(blocks.children()), list(added.children())

    def stage(x: Tensor) -> Tensor:
        for number, block in enumerate(plain, start=len(looks) - len(plain)):
            x = block(x)
            if number >= 0:
                x = looks[number](x)
        return x

    return stage


class AGW(StrongBaseline):
    """features: `global` (B, D) before the neck, for the metric loss; `neck` (B, D), compared by cosine."""

    name: ClassVar[str] = "agw"
    paper: ClassVar[str] = "Ye et al., TPAMI 2021"
    year: ClassVar[int] = 2021
    Options: ClassVar[type[ModelOptions]] = AGWOptions

    def build_trunk(self, options: BaselineOptions) -> Trunk:
        trunk = build_backbone(options.backbone, options.input_size, last_stride=self.last_stride)
        if not isinstance(trunk, ResNet):
            raise UsageError(
                f"agw puts blocks inside the stages of our own networks ({', '.join(FAMILY)}); "
                f"{options.backbone.name} comes from timm. Choose resnet50."
            )
        assert isinstance(options, AGWOptions)
        counts = options.non_local or NON_LOCAL.get(options.backbone.name, (0, 0, 0, 0))
        return NonLocalResNet(trunk, counts, options.non_local_width)
