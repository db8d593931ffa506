"""MGN: multiple granularity network.  Wang et al., "Learning discriminative features with multiple granularities for
person re-identification", ACM MM 2018.

A ResNet-50 up to the first block of conv4; from there three branches with weights of their own.  The first looks at
the whole picture; the second and the third keep a finer map (last stride 1) and look at the whole and at two or three
horizontal strips.  The eight pooled vectors are each reduced to 256, and compared side by side.

Where the paper is silent, and fast-reid's reading (`mgn-fastreid`): docs/methods/mgn.md
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch import Tensor, nn

from resight.errors import UsageError
from resight.models.backbones.resnet import FAMILY, ResNet
from resight.models.backbones.timm import BackboneOptions, build_backbone
from resight.models.base import ModelOptions, ReIDModel
from resight.models.heads import HeadKind, build_head
from resight.models.layers import POOLINGS, Neck, check_strips
from resight.options import Count

if TYPE_CHECKING:
    from resight.types import ReIDOutput

BRANCHES = (1, 2, 3)  # strips of each branch: N, sec. 3.1


@dataclass(frozen=True, kw_only=True)
class MGNOptions(ModelOptions):
    input_size: tuple[int, int] = (384, 128)  # sec. 4.1
    backbone: BackboneOptions = field(default_factory=BackboneOptions)
    dim: Count = 256  # of each reduced vector, sec. 3.1
    pooling: Literal["average", "maximum", "gem"] = "maximum"
    relu: bool = True  # after the reduction's batch normalization; False: its shift stays 0, a neck
    whole_stride: Literal[1, 2] = 2  # last stride of the branch without strips
    head: HeadKind = "linear"


class Reduction(nn.Module):
    """Pools a map, reduces it by a 1x1 convolution, normalizes.  (B, C, h, w) -> (B, 256)."""

    def __init__(self, channels: int, options: MGNOptions) -> None:
        super().__init__()
        self.pool = POOLINGS[options.pooling]()
        self.reduce = nn.Linear(channels, options.dim, bias=False)
        self.norm = nn.BatchNorm1d(options.dim) if options.relu else Neck(options.dim)
        self.relu = options.relu

    def forward(self, map: Tensor) -> Tensor:
        reduced: Tensor = self.norm(self.reduce(self.pool(map)))
        return reduced.relu() if self.relu else reduced


class MGN(ReIDModel):
    """features: `global/1`, `global/2`, `global/3` (B, 256), the whole in each branch; `part/2-0` ... `part/3-2`
    (B, 256), strip by strip; `parts/2` (B, 512), `parts/3` (B, 768), the strips of a branch side by side.

    logits: `global/N`, `part/N-I` (B, K).  The eight vectors side by side are compared by cosine.
    """

    name: ClassVar[str] = "mgn"
    paper: ClassVar[str] = "Wang et al., ACM MM 2018"
    year: ClassVar[int] = 2018
    Options: ClassVar[type[ModelOptions]] = MGNOptions

    def __init__(self, num_ids: int, options: MGNOptions) -> None:
        trunk = build_backbone(options.backbone, options.input_size, last_stride=2)
        if not isinstance(trunk, ResNet):
            raise UsageError(
                f"mgn divides inside a stage of our own networks ({', '.join(FAMILY)}); "
                f"{options.backbone.name} comes from timm. Choose resnet50."
            )
        names = [*(f"global/{n}" for n in BRANCHES), *(f"part/{n}-{i}" for n in BRANCHES[1:] for i in range(n))]
        super().__init__(
            num_ids,
            options,
            widths=dict.fromkeys(names, options.dim) | {f"parts/{n}": n * options.dim for n in BRANCHES[1:]},
            retrieval=tuple(names),
            metric="cosine",
            trunk=trunk,
        )
        first, *rest = trunk.layer3
        self.stem = nn.Sequential(trunk.conv1, trunk.bn1, trunk.relu, trunk.maxpool, trunk.layer1, trunk.layer2, first)
        self.branches = nn.ModuleList(
            nn.Sequential(
                nn.Sequential(*copy.deepcopy(rest)), last_stage(trunk.layer4, n > 1 or options.whole_stride == 1)
            )
            for n in BRANCHES
        )
        self.reductions = nn.ModuleDict({key(name): Reduction(trunk.channels[-1], options) for name in names})
        self.heads = nn.ModuleDict(
            {key(name): build_head(options.head, options.dim, num_ids) for name in (names if num_ids else ())}
        )

    def check_size(self, height: int, width: int) -> None:
        super().check_size(height, width)
        check_strips(self.name, height, 16, parts=6)  # divided by two and by three

    def maps_of(self, x: Tensor) -> dict[str, Tensor]:
        """Pixels -> the map each vector is pooled from: of a whole branch, or of a strip of it."""
        shared, maps = self.stem(x), {}
        for strips, branch in zip(BRANCHES, self.branches, strict=True):
            map = branch(shared)
            maps[f"global/{strips}"] = map
            if strips > 1:
                maps |= {f"part/{strips}-{i}": strip for i, strip in enumerate(map.chunk(strips, dim=2))}
        return maps

    def describe(self, x: Tensor) -> dict[str, Tensor]:
        features = {name: self.reductions[key(name)](map) for name, map in self.maps_of(x).items()}
        for n in BRANCHES[1:]:
            features[f"parts/{n}"] = torch.cat([features[f"part/{n}-{i}"] for i in range(n)], dim=1)
        return features

    def forward(self, images: Tensor) -> ReIDOutput:
        features = self.describe(self.normalize(images))
        logits = {name: self.heads[key(name)](features[name]) for name in features if key(name) in self.heads}
        return self.output(features, logits)


def key(name: str) -> str:
    """The name of a module: without the slash."""
    return name.replace("/", "_")


def last_stage(stage: nn.Module, keep_resolution: bool) -> nn.Module:
    """A copy of conv5, with stride 1 where the map keeps its resolution."""
    copied = copy.deepcopy(stage)
    for layer in copied.modules():
        if keep_resolution and isinstance(layer, nn.Conv2d) and layer.stride == (2, 2):
            layer.stride = (1, 1)
    return copied
