"""SOLIDER: a semantic controllable self-supervised learning framework for human-centric tasks.  Chen et al., CVPR 2023.

A Swin transformer (Liu et al., ICCV 2021) with a semantic controller: after each of the first three stages every
channel is scaled and shifted by an amount that follows from lambda, how much meaning, as against appearance, the
features shall hold (sec. 3.3).  The mean of the last map is compared.  Pre-training on LUPerson is the paper's subject
and not here: its weights are brought as a file, and this trains what stands on them.

Tensor names are those of the authors' code.  docs/methods/solider.md
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from resight.models.backbones.swin import Swin, SwinOptions
from resight.models.base import ModelOptions, ReIDModel
from resight.models.heads import LinearHead
from resight.models.layers import Neck
from resight.options import Positive

if TYPE_CHECKING:
    from torch import Tensor

    from resight.types import ReIDOutput


@dataclass(frozen=True, kw_only=True)
class SOLIDEROptions(ModelOptions):
    input_size: tuple[int, int] = (384, 128)
    mean: tuple[float, float, float] | None = (0.5, 0.5, 0.5)
    std: tuple[Positive, Positive, Positive] | None = (0.5, 0.5, 0.5)
    backbone: SwinOptions = field(default_factory=SwinOptions)
    semantic_weight: Annotated[float, Field(ge=0, le=1)] | None = 0.2  # lambda; None: no controller


class SOLIDER(ReIDModel):
    """features: `global`, the pooled map, compared by cosine, and `neck` (B, D).  logits: `identity` (B, K)."""

    name: ClassVar[str] = "solider"
    paper: ClassVar[str] = "Chen et al., CVPR 2023"
    year: ClassVar[int] = 2023
    Options: ClassVar[type[ModelOptions]] = SOLIDEROptions

    def __init__(self, num_ids: int, options: SOLIDEROptions) -> None:
        trunk = Swin(options.backbone, options.semantic_weight)
        dim = trunk.channels[-1]
        super().__init__(
            num_ids,
            options,
            widths={"global": dim, "neck": dim},
            retrieval=("global",),
            metric="cosine",
        )
        self.backbone = trunk
        self.neck = Neck(dim)
        self.classifier = LinearHead(dim, num_ids, bias=False) if num_ids else None

    def describe(self, x: Tensor) -> dict[str, Tensor]:
        pooled = self.backbone(x).mean(dim=(2, 3))
        return {"global": pooled, "neck": self.neck(pooled)}

    def forward(self, images: Tensor) -> ReIDOutput:
        features = self.describe(self.normalize(images))
        logits = {} if self.classifier is None else {"identity": self.classifier(features["neck"])}
        return self.output(features, logits)
