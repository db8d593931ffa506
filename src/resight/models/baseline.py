"""The two baselines of the field.  docs/methods/baselines.md

`baseline`: the identity-classification network (IDE).  A trunk, average pooling, an optional embedding layer,
and a classifier over the training identities, dropped at test time (Zheng et al., "Person re-identification:
past, present and future", 2016).

`strong_baseline`: the bag of tricks.  Luo et al., CVPR workshops 2019.  Last stride 1, and the neck: metric
losses act on the pooled feature, the classifier on its batch normalisation, which is also what is compared,
by cosine.

Both take channel groups (Zhai et al., arXiv 1809.05864) instead of the one classifier.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

from torch import Tensor, nn

from resight.errors import UsageError
from resight.models.backbones.timm import BackboneOptions, build_backbone
from resight.models.base import ModelOptions, ReIDModel
from resight.models.heads import ChannelGroups, HeadKind, build_head
from resight.models.layers import POOLINGS, Neck
from resight.options import Count

if TYPE_CHECKING:
    from resight.models.backbones.base import Trunk
    from resight.types import ReIDOutput


@dataclass(frozen=True, kw_only=True)
class BaselineOptions(ModelOptions):
    backbone: BackboneOptions = field(default_factory=BackboneOptions)
    pooling: Literal["average", "maximum", "gem"] = "average"
    embedding: Count | None = None  # an added layer of this width, the feature that is compared; None: the pooled map
    embedding_relu: bool = False  # batch normalization and ReLU after the added layer
    head: HeadKind = "linear"
    channel_groups: Count | None = None  # classify each of so many groups of channels on its own
    group_dim: Count | None = None  # width of a layer inside each group


class Baseline(ReIDModel):
    """features: `global` (B, D).  logits: `identity` (B, K).

    With channel groups: features `group/0`, ..., logits `group/0`, ... instead of `identity`.
    """

    name: ClassVar[str] = "baseline"
    paper: ClassVar[str] = "Zheng et al., arXiv 2016"
    year: ClassVar[int] = 2016
    Options: ClassVar[type[ModelOptions]] = BaselineOptions

    feature: ClassVar[str] = "global"  # what is compared and classified
    last_stride: ClassVar[int] = 2
    bias: ClassVar[bool] = True

    def __init__(self, num_ids: int, options: BaselineOptions) -> None:
        trunk = self.build_trunk(options)
        width = options.embedding or trunk.channels[-1]
        groups: ChannelGroups | None = None
        if options.channel_groups is not None:
            groups = ChannelGroups(width, options.channel_groups, num_ids, options.group_dim, options.head)
        compared = {self.feature: width}
        if groups is not None:
            compared = {f"group/{i}": groups.dim for i in range(len(groups.norms))}
        super().__init__(
            num_ids,
            options,
            widths={"global": width} | compared,
            retrieval=tuple(compared),
            metric="cosine",
            trunk=trunk,
        )
        self.backbone = trunk
        self.pool = POOLINGS[options.pooling]()
        self.embedding = build_embedding(trunk.channels[-1], options)
        self.neck = self.build_neck(width) if groups is None else None  # groups have their own
        self.groups = groups
        self.classifier = build_head(options.head, width, num_ids, self.bias) if num_ids and groups is None else None

    def build_trunk(self, options: BaselineOptions) -> Trunk:
        return build_backbone(options.backbone, options.input_size, last_stride=self.last_stride)

    def build_neck(self, width: int) -> nn.Module | None:  # noqa: ARG002
        return None

    def describe(self, x: Tensor) -> dict[str, Tensor]:
        pooled = self.embedding(self.pool(self.backbone(x)))  # (B, D)
        features = {"global": pooled}
        if self.neck is not None:
            features["neck"] = self.neck(pooled)
        if self.groups is not None:
            features |= {f"group/{i}": group for i, group in enumerate(self.groups(pooled))}
        return features

    def forward(self, images: Tensor) -> ReIDOutput:
        features = self.describe(self.normalize(images))
        logits: dict[str, Tensor] = {}
        if self.classifier is not None:
            logits["identity"] = self.classifier(features[self.feature])
        if self.groups is not None:
            parts = [feature for name, feature in features.items() if name.startswith("group/")]
            logits |= {f"group/{i}": score for i, score in enumerate(self.groups.classify(parts))}
        return self.output(features, logits)


class StrongBaseline(Baseline):
    """features: `global` (B, D) before the neck, for metric losses; `neck` (B, D).  logits: `identity`."""

    name: ClassVar[str] = "strong_baseline"
    paper: ClassVar[str] = "Luo et al., CVPRW 2019"
    year: ClassVar[int] = 2019

    feature: ClassVar[str] = "neck"
    last_stride: ClassVar[int] = 1
    bias: ClassVar[bool] = False  # class hyperplanes pass through the origin

    def build_neck(self, width: int) -> nn.Module | None:
        return Neck(width)


def build_embedding(channels: int, options: BaselineOptions) -> nn.Module:
    """The added layer, (B, C) -> (B, D)."""
    if options.embedding is None:
        if options.embedding_relu:
            raise UsageError("embedding_relu follows an added layer, and there is none. Set embedding, such as 512.")
        return nn.Identity()
    linear = nn.Linear(channels, options.embedding)
    if not options.embedding_relu:
        return linear
    return nn.Sequential(linear, nn.BatchNorm1d(options.embedding), nn.ReLU(inplace=True))
