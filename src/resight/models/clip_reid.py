"""CLIP-ReID, the image half.  Li, Sun and Li, AAAI 2023.

The image encoder of CLIP (ViT-B/16) with two necks and two classifiers, one pair on the class token after the last
norm, one on its projection into the space CLIP shares with text; both together are compared.  The text half, whose
learnt prompts teach the encoder in the paper's second stage, is not here: what is trained here is the paper's baseline,
and what is imported was trained with it.  docs/methods/clip_reid.md
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor, nn

from resight.models.backbones.vit import ViT, ViTOptions
from resight.models.base import ModelOptions, ReIDModel
from resight.models.heads import LinearHead
from resight.models.layers import Neck
from resight.models.transreid import SideInformation
from resight.options import Count, Natural, Positive

if TYPE_CHECKING:
    from resight.types import ReIDOutput

HALF = (0.5, 0.5, 0.5)


@dataclass(frozen=True, kw_only=True)
class CLIPReIDOptions(ModelOptions):
    backbone: ViTOptions = field(default_factory=lambda: ViTOptions(name="vit_base_patch16_clip_quickgelu_224"))
    mean: tuple[float, float, float] | None = HALF  # not CLIP's own: sec. 4.1 of the authors' settings
    std: tuple[Positive, Positive, Positive] | None = HALF
    projected: Count = 512  # channels of the space shared with text
    cameras: Natural = 0  # SIE: how many cameras have a vector
    side_weight: Positive = 1.0


class CLIPReID(ReIDModel):
    """features: `global` (B, 768), `projected` (B, 512), `neck`, `projected_neck` behind their necks;
    `before` (B, 768), the class token before the last block, for a metric loss.

    logits: `identity`, `projected` (B, K).  `global` and `projected` side by side are compared, by cosine.
    """

    name: ClassVar[str] = "clip_reid"
    paper: ClassVar[str] = "Li et al., AAAI 2023"
    year: ClassVar[int] = 2023
    Options: ClassVar[type[ModelOptions]] = CLIPReIDOptions

    def __init__(self, num_ids: int, options: CLIPReIDOptions) -> None:
        trunk = ViT(options.backbone, options.input_size, classes=options.projected)
        dim, projected = trunk.channels[-1], options.projected
        super().__init__(
            num_ids,
            options,
            widths={"before": dim, "global": dim, "neck": dim, "projected": projected, "projected_neck": projected},
            retrieval=("global", "projected"),
            metric="cosine",
            trunk=trunk,
        )
        self.backbone = trunk
        self.projection = nn.Linear(dim, projected, bias=False)
        self.projection.weight = trunk.body.head.weight  # CLIP's own, where it was fetched
        trunk.body.reset_classifier(0)
        self.side = SideInformation(options.cameras, dim, options.side_weight) if options.cameras else None
        self.takes_cameras = self.side is not None
        self.neck, self.projected_neck = Neck(dim), Neck(projected)
        self.classifier = LinearHead(dim, num_ids, bias=False) if num_ids else None
        self.projected_classifier = LinearHead(projected, num_ids, bias=False) if num_ids else None

    def describe(self, x: Tensor, camids: Tensor | None = None) -> dict[str, Tensor]:
        body = self.backbone.body
        side = None
        if self.side is not None:  # to the class token alone
            side = nn.functional.pad(self.side(camids), (0, 0, 0, body.pos_embed.shape[1] - 1))
        tokens = body.blocks[:-1](self.backbone.embed_patches(x, side))
        final: Tensor = body.norm(body.blocks[-1](tokens)[:, 0])
        projected = self.projection(final)
        return {
            "before": tokens[:, 0],
            "global": final,
            "projected": projected,
            "neck": self.neck(final),
            "projected_neck": self.projected_neck(projected),
        }

    def embed(self, images: Tensor, camids: Tensor | None = None) -> Tensor:
        return self.descriptor(self.describe(self.normalize(images), camids))

    def forward(self, images: Tensor, camids: Tensor | None = None) -> ReIDOutput:
        features = self.describe(self.normalize(images), camids)
        logits: dict[str, Tensor] = {}
        if self.classifier is not None and self.projected_classifier is not None:
            logits["identity"] = self.classifier(features["neck"])
            logits["projected"] = self.projected_classifier(features["projected_neck"])
        return self.output(features, logits)
