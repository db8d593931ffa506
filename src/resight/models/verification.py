"""Verification: the Siamese network.  After Zheng, Zheng and Yang, arXiv 1611.05666.

Two pictures through one network, their features fused, one question: the same person?  Trained beside
identity classification.  A decision costs a pass of the pair classifier for every pair, so galleries are
searched by the feature, and pairs are compared with `verify`.  docs/methods/baselines.md
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from resight.dist import gather
from resight.losses.verification import FUSIONS, Fusion
from resight.models.backbones.timm import BackboneOptions, build_backbone
from resight.models.base import ModelOptions, PairScores, ReIDModel
from resight.models.heads import LinearHead
from resight.models.layers import AveragePool
from resight.options import Count, Share

if TYPE_CHECKING:
    from resight.types import ReIDOutput


@dataclass(frozen=True, kw_only=True)
class VerificationOptions(ModelOptions):
    backbone: BackboneOptions = field(default_factory=BackboneOptions)
    embedding: Count = 512  # width of the feature two pictures are compared by
    fusion: Fusion = "squared"
    dropout: Share = 0.0  # on the fused vector


class PairHead(nn.Module):
    """z = W dropout(fuse(f1, f2)) + b, two scores: the same person, different people.

    f1, f2 (..., D) -> (..., 2).  All fusions but `concat` are symmetric in the two.
    """

    def __init__(self, dim: int, fusion: Fusion = "squared", dropout: float = 0.0) -> None:
        super().__init__()
        self.fusion: Fusion = fusion
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(2 * dim if fusion == "concat" else dim, 2)
        nn.init.normal_(self.linear.weight, std=0.01)
        nn.init.zeros_(self.linear.bias)

    def forward(self, one: Tensor, two: Tensor) -> Tensor:
        scores: Tensor = self.linear(self.dropout(FUSIONS[self.fusion](one, two)))
        return scores

    def log_odds(self, one: Tensor, two: Tensor) -> Tensor:
        """log p(same) / p(different), (...): cross-entropy of the two scores is its logistic loss."""
        scores: Tensor = self(one, two)
        return scores[..., 0] - scores[..., 1]


class Verification(ReIDModel):
    """features: `global` (B, D).  logits: `identity` (B, K); `same` (B, B), log-odds that rows i and j are
    one person.

    In training on several processes `same` is (b, B): this process's rows against those of all.
    """

    name: ClassVar[str] = "verification"
    paper: ClassVar[str] = "Zheng et al., arXiv 2016"
    year: ClassVar[int] = 2016
    Options: ClassVar[type[ModelOptions]] = VerificationOptions

    def __init__(self, num_ids: int, options: VerificationOptions) -> None:
        trunk = build_backbone(options.backbone, options.input_size)
        super().__init__(
            num_ids,
            options,
            widths={"global": options.embedding},
            retrieval=("global",),
            metric="cosine",
            trunk=trunk,
        )
        self.backbone = trunk
        self.pool = AveragePool()
        self.embedding = nn.Linear(trunk.channels[-1], options.embedding)
        self.pair = PairHead(options.embedding, options.fusion, options.dropout)
        self.classifier = LinearHead(options.embedding, num_ids, bias=True) if num_ids else None

    def describe(self, x: Tensor) -> dict[str, Tensor]:
        return {"global": self.embedding(self.pool(self.backbone(x)))}

    def forward(self, images: Tensor) -> ReIDOutput:
        features = self.describe(self.normalize(images))
        feature = features["global"]
        everyone = gather(feature) if self.training else feature
        logits = {"same": self.pair.log_odds(feature[:, None], everyone[None, :])}
        if self.classifier is not None:
            logits["identity"] = self.classifier(feature)
        return self.output(features, logits)

    def verify(self, a: Tensor, b: Tensor) -> PairScores:
        """The Siamese answer, beside the cosine of the two features."""
        one, two = self.embed(a), self.embed(b)
        return PairScores(torch.cosine_similarity(one, two), self.pair.log_odds(one, two).sigmoid())
