"""Pyramid: pyramidal person re-identification via multi-loss dynamic training.  Zheng et al., CVPR 2019.

The figure: the last map of a ResNet (last stride 1) is cut into n horizontal basic parts; every run of
consecutive parts, of every length from 1 to n, is a branch of its own: pooled by average plus maximum,
reduced to 128 channels, classified.  All n (n + 1) / 2 features side by side are the descriptor.

Where the paper is silent, and the authors' later variant (`pyramid-youreid`): docs/methods/pyramid.md
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from resight.errors import UsageError
from resight.models.backbones.timm import BackboneOptions, build_backbone
from resight.models.base import ModelOptions, ReIDModel
from resight.models.heads import LinearHead
from resight.models.layers import check_strips
from resight.options import Count, Share

if TYPE_CHECKING:
    from collections.abc import Sequence

    from resight.types import ReIDOutput


@dataclass(frozen=True, kw_only=True)
class PyramidOptions(ModelOptions):
    input_size: tuple[int, int] = (384, 128)
    backbone: BackboneOptions = field(default_factory=lambda: BackboneOptions(name="resnet101"))  # last stride 1
    parts: Annotated[int, Field(ge=1, le=32)] = 6  # n, basic parts of the map
    used_levels: tuple[bool, ...] | None = None  # one switch a level, fine to coarse; None: all
    width: Count = 128  # channels of a branch's feature
    dropout: Share = 0.2  # before the classifiers only
    normalize_branches: bool = False  # compare branches at unit length, and their concatenation too

    RENAMED: ClassVar[dict[str, str]] = {"normalise_branches": "normalize_branches"}


class Run(NamedTuple):
    """A branch: `level` consecutive basic parts, from part `first` on."""

    level: int
    first: int

    @property
    def name(self) -> str:
        """First and last part, both included: part/0-5 is the whole of six."""
        return f"part/{self.first}-{self.first + self.level - 1}"


def pyramid(parts: int, used_levels: Sequence[bool] | None = None) -> list[Run]:
    """Every run of consecutive parts, level 1 first, top to bottom; n (n + 1) / 2 of them."""
    used = [True] * parts if used_levels is None else list(used_levels)
    if len(used) != parts or not any(used):
        raise UsageError(f"used_levels has {len(used)} switches; expected one for each of {parts} levels, one on.")
    return [Run(level, i) for level in range(1, parts + 1) if used[level - 1] for i in range(parts - level + 1)]


def pool_runs(map: Tensor, parts: int, runs: Sequence[Run]) -> list[Tensor]:
    """GAP + GMP over each run's rows.  (B, C, H, W), H divisible by `parts` -> (B, C) for each run.

    Parts are equally high, so a run's mean is the mean of its parts' means, and each part is read once.
    """
    batch, channels, height, width = map.shape
    strips = map.reshape(batch, channels, parts, height // parts, width)
    means, peaks = strips.mean(dim=(3, 4)), strips.amax(dim=(3, 4))  # (B, C, n)
    spans = [slice(run.first, run.first + run.level) for run in runs]
    return [means[:, :, span].mean(dim=2) + peaks[:, :, span].amax(dim=2) for span in spans]


class Branch(nn.Module):
    """f = ReLU(BN(W pooled + b)), (B, C) -> (B, 128); the paper's 1x1 convolution on one pixel is linear."""

    def __init__(self, channels: int, width: int, num_ids: int, dropout: float) -> None:
        super().__init__()
        self.reduce = nn.Linear(channels, width)
        self.norm = nn.BatchNorm1d(width)
        self.dropout = nn.Dropout(dropout)
        self.classifier = LinearHead(width, num_ids, bias=True) if num_ids else None

    def forward(self, pooled: Tensor) -> Tensor:
        return F.relu(self.norm(self.reduce(pooled)))


class Pyramid(ReIDModel):
    """features: `part/FIRST-LAST` (B, 128) for each branch, and `all` (B, 2688), their concatenation.

    logits: `part/FIRST-LAST` (B, K).  Compared by Euclidean distance.
    """

    name: ClassVar[str] = "pyramid"
    paper: ClassVar[str] = "Zheng et al., CVPR 2019"
    year: ClassVar[int] = 2019
    Options: ClassVar[type[ModelOptions]] = PyramidOptions

    def __init__(self, num_ids: int, options: PyramidOptions) -> None:
        trunk = build_backbone(options.backbone, options.input_size, last_stride=1)
        runs = pyramid(options.parts, options.used_levels)
        self.parts, self.stride = options.parts, trunk.stride
        super().__init__(
            num_ids,
            options,
            widths={"all": options.width * len(runs), **{run.name: options.width for run in runs}},
            retrieval=("all",),
            metric="euclidean",
            trunk=trunk,
        )
        self.runs, self.normalize_branches = runs, options.normalize_branches
        self.stripes = {run.name: (run.first, run.first + run.level - 1) for run in runs}
        self.backbone = trunk
        self.branches = nn.ModuleList(Branch(trunk.channels[-1], options.width, num_ids, options.dropout) for _ in runs)

    def check_size(self, height: int, width: int) -> None:
        super().check_size(height, width)
        check_strips(self.name, height, self.stride, self.parts)

    def branch_features(self, x: Tensor) -> list[Tensor]:
        """Pixels -> the feature of each branch, (B, 128) each, not negative."""
        pooled = pool_runs(self.backbone(x), self.parts, self.runs)
        return [branch(each) for branch, each in zip(self.branches, pooled, strict=True)]

    def compared(self, branches: list[Tensor]) -> dict[str, Tensor]:
        if self.normalize_branches:
            branches = [F.normalize(branch) for branch in branches]
        together = torch.cat(branches, dim=1)
        named = {run.name: branch for run, branch in zip(self.runs, branches, strict=True)}
        return {**named, "all": F.normalize(together) if self.normalize_branches else together}

    def describe(self, x: Tensor) -> dict[str, Tensor]:
        return self.compared(self.branch_features(x))

    def forward(self, images: Tensor) -> ReIDOutput:
        features = self.branch_features(self.normalize(images))
        logits: dict[str, Tensor] = {}
        for run, branch, feature in zip(self.runs, self.branches, features, strict=True):
            if isinstance(branch, Branch) and branch.classifier is not None:
                logits[run.name] = branch.classifier(branch.dropout(feature))
        return self.output(self.compared(features), logits)
