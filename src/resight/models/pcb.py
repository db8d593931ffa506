"""PCB: part-based convolutional baseline.  Sun et al., "Beyond part models", ECCV 2018.

The last map of a ResNet-50 (last stride 1) is cut into p horizontal strips; each is averaged to a vector g, reduced by
one shared 1x1 convolution to h, and classified on its own.  The strips side by side are the descriptor.  Refined part
pooling, the paper's second step, is not here.  docs/methods/pcb.md
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, ClassVar

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from resight.models.backbones.timm import BackboneOptions, build_backbone
from resight.models.base import ModelOptions, ReIDModel
from resight.models.heads import LinearHead
from resight.models.layers import check_strips
from resight.options import Count, Share

if TYPE_CHECKING:
    from resight.types import ReIDOutput


@dataclass(frozen=True, kw_only=True)
class PCBOptions(ModelOptions):
    input_size: tuple[int, int] = (384, 128)  # sec. 5.2
    backbone: BackboneOptions = field(default_factory=BackboneOptions)  # last stride 1
    parts: Annotated[int, Field(ge=1, le=32)] = 6  # p, sec. 3.2
    dim: Count = 256  # of h
    dropout: Share = 0.5  # of g, before the reduction


class PCB(ReIDModel):
    """features: `g` (B, p * 2048), `h` (B, p * 256), strip by strip, top to bottom; `part/0`, ... (B, 256), each h.

    logits: `part/0`, ... (B, K).  The descriptor is g, each strip at unit length, compared by cosine.
    """

    name: ClassVar[str] = "pcb"
    paper: ClassVar[str] = "Sun et al., ECCV 2018"
    year: ClassVar[int] = 2018
    Options: ClassVar[type[ModelOptions]] = PCBOptions

    def __init__(self, num_ids: int, options: PCBOptions) -> None:
        trunk = build_backbone(options.backbone, options.input_size, last_stride=1)
        channels, self.parts, self.stride = trunk.channels[-1], options.parts, trunk.stride
        parts = {f"part/{i}": options.dim for i in range(options.parts)}
        super().__init__(
            num_ids,
            options,
            widths={"g": options.parts * channels, "h": options.parts * options.dim, **parts},
            retrieval=("g",),
            metric="cosine",
            trunk=trunk,
        )
        self.stripes = {name: (i, i) for i, name in enumerate(parts)}
        self.backbone = trunk
        self.dropout = nn.Dropout(options.dropout)
        self.reduce = nn.Linear(channels, options.dim, bias=False)  # the 1x1 convolution, on one pixel
        self.norm = nn.BatchNorm1d(options.dim)
        self.classifiers_of_parts = nn.ModuleList(
            LinearHead(options.dim, num_ids, bias=True) for _ in range(options.parts if num_ids else 0)
        )

    def check_size(self, height: int, width: int) -> None:
        super().check_size(height, width)
        check_strips(self.name, height, self.stride, self.parts)

    def pool(self, x: Tensor) -> Tensor:
        """Pixels -> the strips' means g, (B, p, C)."""
        map: Tensor = self.backbone(x)
        batch, channels, height, width = map.shape
        strips = map.reshape(batch, channels, self.parts, height // self.parts, width)
        return strips.mean(dim=(3, 4)).transpose(1, 2)

    def shorten(self, g: Tensor) -> Tensor:
        """g (B, p, C) -> h (B, p, 256), normalized over the batch and all strips together."""
        h: Tensor = self.norm(self.reduce(g).flatten(0, 1))
        reshaped: Tensor = h.relu().reshape(*g.shape[:2], -1)
        return reshaped

    def features_of(self, g: Tensor, h: Tensor) -> dict[str, Tensor]:
        parts = {f"part/{i}": part for i, part in enumerate(h.unbind(dim=1))}
        return {"g": F.normalize(g, dim=2).flatten(1), "h": F.normalize(h, dim=2).flatten(1)} | parts

    def describe(self, x: Tensor) -> dict[str, Tensor]:
        g = self.pool(x)
        if self.retrieval == ("g",):
            return {"g": F.normalize(g, dim=2).flatten(1)}
        return self.features_of(g, self.shorten(g))

    def forward(self, images: Tensor) -> ReIDOutput:
        g = self.pool(self.normalize(images))
        h = self.shorten(self.dropout(g))
        features = self.features_of(g, h)
        logits = {f"part/{i}": head(features[f"part/{i}"]) for i, head in enumerate(self.classifiers_of_parts)}
        return self.output(features, logits)
