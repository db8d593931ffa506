"""Mancs: a multi-task attentional network with curriculum sampling.  Wang et al., ECCV 2018.

The figure: ResNet-50; a fully attentional block after conv2, conv3 and conv4, on the main path; three tasks:
ranking on the pooled conv5, identity classification on an embedding of it, and classification of the
attended responses of the three blocks, which supervises the attention deeply.  The ranking feature is what
is compared.

Where the paper is silent, and the authors' own variant (`mancs-release`): docs/methods/mancs.md
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from resight.errors import UsageError
from resight.models.backbones.resnet import ResNet
from resight.models.backbones.timm import BackboneOptions, build_backbone
from resight.models.base import ModelOptions, ReIDModel
from resight.models.heads import Classifier, LinearHead
from resight.options import Count, Share

if TYPE_CHECKING:
    from collections.abc import Mapping

    from resight.models.backbones.base import Trunk
    from resight.types import ReIDOutput

STAGES = ("conv2", "conv3", "conv4")


@dataclass(frozen=True, kw_only=True)
class MancsOptions(ModelOptions):
    backbone: BackboneOptions = field(default_factory=BackboneOptions)  # last stride 2
    attention: bool = True  # the blocks; without them there is no attention task either
    supervise: bool = True  # the attention task
    middle: Count = 16  # channels between squeeze and excite, in all three blocks
    ratio: Count | None = None  # channels / ratio of them instead, as in squeeze-and-excitation
    activation: Literal["relu", "prelu"] = "relu"
    # What the attention task pools of each block: M, M * F, or M * (F + M * F), the mask on the block's own output.
    attention_pools: Literal["mask", "input", "output"] = "input"
    rank_dim: Count | None = None  # a linear layer on the ranking feature
    conv5_prelu: bool = False  # the last block of conv5 may answer with negative values
    prior: Annotated[float, Field(gt=0, lt=1)] | None = (
        0.01  # initial probability of each class, for one-vs-all losses; None: bias 0
    )
    dropout: Share = 0.1

    RENAMED: ClassVar[dict[str, str]] = {"pool_mask_only": "attention_pools"}

    @classmethod
    def from_earlier(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        kept = super().from_earlier(options)
        if "pool_mask_only" in options:
            kept["attention_pools"] = "mask" if options["pool_mask_only"] else "input"
        return kept


class FullAttention(nn.Module):
    """M = sigmoid(excite(act(squeeze(F)))),  out = F + F * M.

    Unlike squeeze-and-excitation there is no pooling, so M keeps its place in space.  Weights start at
    N(0, 0.001^2), so M starts at one half everywhere.
    """

    def __init__(self, channels: int, middle: int, activation: Literal["relu", "prelu"] = "relu") -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, middle, kernel_size=1)
        self.activation = nn.PReLU() if activation == "prelu" else nn.ReLU()
        self.excite = nn.Conv2d(middle, channels, kernel_size=1)
        for conv in (self.squeeze, self.excite):
            nn.init.normal_(conv.weight, std=0.001)
            nn.init.zeros_(cast("Tensor", conv.bias))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """F (B, C, h, w) -> out and M, both (B, C, h, w)."""
        mask = self.excite(self.activation(self.squeeze(features))).sigmoid()
        return features + features * mask, mask


class Task(nn.Module):
    """The two classification branches: linear, batch norm, PReLU, dropout, classifier."""

    def __init__(self, dim: int, num_ids: int, dropout: float, std: float | None, prior: float | None) -> None:
        super().__init__()
        self.linear = nn.Linear(dim, dim, bias=False)
        self.norm = nn.BatchNorm1d(dim)
        self.activation = nn.PReLU()
        self.dropout = nn.Dropout(dropout)
        self.classifier = LinearHead(dim, num_ids, bias=True) if num_ids else None
        if std is not None:
            nn.init.normal_(self.linear.weight, std=std)
        if self.classifier is not None:
            initialize(self.classifier, std, prior)

    def forward(self, pooled: Tensor) -> Tensor:
        """(B, D) -> (B, D)"""
        embedded: Tensor = self.activation(self.norm(self.linear(pooled)))
        return embedded

    def classify(self, embedded: Tensor) -> Tensor | None:
        """(B, D) -> (B, K); None without a classifier."""
        return None if self.classifier is None else self.classifier(self.dropout(embedded))


class Mancs(ReIDModel):
    """features: `rank` (B, 2048), compared by Euclidean distance; `identity` (B, 2048); `attention` (B, 1792).

    logits: `identity`, `attention` (B, K).  maps: `conv2`, `conv3`, `conv4`, the masks M (B, C, h, w).
    """

    name: ClassVar[str] = "mancs"
    paper: ClassVar[str] = "Wang et al., ECCV 2018"
    year: ClassVar[int] = 2018
    Options: ClassVar[type[ModelOptions]] = MancsOptions

    def __init__(self, num_ids: int, options: MancsOptions) -> None:
        trunk = build_backbone(options.backbone, options.input_size)
        if len(trunk.channels) < 4:
            raise UsageError(f"mancs attends after conv2, conv3 and conv4; {options.backbone.name} lacks stages.")
        if options.conv5_prelu:
            answer_negatively(trunk)
        *_, conv2, conv3, conv4, conv5 = trunk.channels
        super().__init__(
            num_ids,
            options,
            widths={"rank": options.rank_dim or conv5, "identity": conv5, "attention": conv2 + conv3 + conv4},
            retrieval=("rank",),
            metric="euclidean",
            trunk=trunk,
        )
        self.backbone = trunk
        self.attention_pools = options.attention_pools
        self.attention = nn.ModuleList(
            FullAttention(channels, middle_width(channels, options), options.activation)
            for channels in ((conv2, conv3, conv4) if options.attention else ())
        )
        self.rank = nn.Linear(conv5, options.rank_dim) if options.rank_dim else nn.Identity()
        self.identity_task = Task(conv5, num_ids, options.dropout, std=0.001, prior=options.prior)
        self.attention_task = None
        if options.attention and options.supervise:
            self.attention_task = Task(conv2 + conv3 + conv4, num_ids, options.dropout, std=None, prior=options.prior)

    def attend(self, x: Tensor) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """Pixels -> pooled conv5 (B, 2048), the masks, and what each mask let through, pooled (B, C)."""
        *before, conv2, conv3, conv4, conv5 = self.backbone.stages()
        for stage in before:
            x = stage(x)
        masks, attended = [], []
        blocks = self.attention if len(self.attention) else (None, None, None)
        for stage, block in zip((conv2, conv3, conv4), blocks, strict=True):
            x = stage(x)
            if block is not None:
                before_block, (x, mask) = x, block(x)
                masks.append(mask)
                pooled = {"mask": 1.0, "input": before_block, "output": x}[self.attention_pools]
                attended.append((mask * pooled).mean(dim=(2, 3)))
        return conv5(x).mean(dim=(2, 3)), masks, attended

    def describe(self, x: Tensor) -> dict[str, Tensor]:
        pooled, _, attended = self.attend(x)
        features = {"rank": self.rank(pooled)}
        if "identity" in self.retrieval:
            features["identity"] = self.identity_task(pooled)
        if "attention" in self.retrieval and self.attention_task is not None:
            features["attention"] = self.attention_task(torch.cat(attended, dim=1))
        return features

    def forward(self, images: Tensor) -> ReIDOutput:
        pooled, masks, attended = self.attend(self.normalize(images))
        features = {"rank": self.rank(pooled), "identity": self.identity_task(pooled)}
        scores = {"identity": self.identity_task.classify(features["identity"])}
        if self.attention_task is not None:
            features["attention"] = self.attention_task(torch.cat(attended, dim=1))
            scores["attention"] = self.attention_task.classify(features["attention"])
        logits = {name: score for name, score in scores.items() if score is not None}
        return self.output(features, logits, dict(zip(STAGES, masks, strict=False)))


def middle_width(channels: int, options: MancsOptions) -> int:
    middle: int = options.middle if options.ratio is None else max(1, channels // options.ratio)
    return middle


def answer_negatively(trunk: Trunk) -> None:
    """Give the last block of conv5 a PReLU, shared by its activations, as the authors' code does."""
    if not isinstance(trunk, ResNet):
        raise UsageError("conv5_prelu changes a residual block of our own networks; choose resnet18, 34, 50 or 101.")
    trunk.layer4[-1].relu = nn.PReLU()


def initialize(head: Classifier, std: float | None, prior: float | None) -> None:
    """Weights N(0, std^2), or torch's own for None; a bias that gives each class the probability `prior`.

    With K one-vs-all tasks an unbiased start puts every class at one half, and the sum over K swamps the rest.
    """
    if std is None:
        nn.init.kaiming_uniform_(head.weight, a=math.sqrt(5))
    if prior is not None and head.bias is not None:
        nn.init.constant_(head.bias, -math.log((1 - prior) / prior))
