"""TransReID: transformer-based object re-identification.  He et al., ICCV 2021.

A vision transformer whose patches may overlap (sec. 3.1); side information, a learnt vector for each camera, added to
every token (sec. 3.3); and the jigsaw patch module: before the last block the patches are shifted, shuffled and dealt
to four groups, each of which goes through a last block of its own with the class token (sec. 3.2).

The class token is what is compared, after the last norm; with the jigsaw the global one and the four of the groups.
docs/methods/transreid.md
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from resight.models.backbones.vit import ViT, ViTOptions
from resight.models.base import ModelOptions, ReIDModel
from resight.models.heads import LinearHead
from resight.models.layers import Neck
from resight.options import Count, Natural, Positive

if TYPE_CHECKING:
    from collections.abc import Mapping

    from resight.types import ReIDOutput

GROUPS = 4  # k, sec. 4.2


@dataclass(frozen=True, kw_only=True)
class TransReIDOptions(ModelOptions):
    backbone: ViTOptions = field(default_factory=ViTOptions)
    jigsaw: bool = True  # JPM, sec. 3.2
    shift: Count = 5  # sec. 4.2: the first patches that go to the end, the class token's place counted as one
    shuffle: Count = 2  # groups the shifted patches are dealt from, in turn
    cameras: Natural = 0  # SIE, sec. 3.3: how many cameras have a vector; 0: none have
    side_weight: Positive = 3.0  # lambda, sec. 4.2


class SideInformation(nn.Module):
    """A learnt vector for each camera, times lambda.  camids (B,), 1 to n -> (B, 1, D).

    Any other number, or no number at all, is an unknown camera and gets the mean of all vectors.
    """

    weight: Tensor

    def __init__(self, cameras: int, dim: int, weight: float) -> None:
        super().__init__()
        self.register_buffer("weight", torch.tensor(float(weight)))  # kept: it is part of what is compared
        self.vectors = nn.Parameter(torch.empty(cameras, 1, dim))
        nn.init.trunc_normal_(self.vectors, std=0.02)

    def forward(self, camids: Tensor | None) -> Tensor:
        mean = self.vectors.mean(dim=0, keepdim=True)  # (1, 1, D)
        if camids is None:
            return self.weight * mean
        count = len(self.vectors)
        known = (camids >= 1) & (camids <= count)
        chosen = self.vectors[(camids - 1).clamp(0, count - 1)]  # (B, 1, D)
        return self.weight * torch.where(known[:, None, None], chosen, mean)


class TransReID(ReIDModel):
    """features: `global`, `neck` (B, D); with the jigsaw `part/0` ... `part/3` and `part_neck/0` ... (B, D).

    logits: `identity`, and `part/0` ... (B, K).  Compared by cosine; parts count a quarter each, as in the authors'
    code.  forward and embed take camids (B,) where the model was built with cameras.
    """

    name: ClassVar[str] = "transreid"
    paper: ClassVar[str] = "He et al., ICCV 2021"
    year: ClassVar[int] = 2021
    Options: ClassVar[type[ModelOptions]] = TransReIDOptions

    def __init__(self, num_ids: int, options: TransReIDOptions) -> None:
        trunk = ViT(options.backbone, options.input_size)
        dim = trunk.channels[-1]
        parts = range(GROUPS if options.jigsaw else 0)
        names = ["global", "neck", *(f"{kind}/{i}" for kind in ("part", "part_neck") for i in parts)]
        super().__init__(
            num_ids,
            options,
            widths=dict.fromkeys(names, dim),
            retrieval=("global", *(f"part/{i}" for i in parts)),
            metric="cosine",
            trunk=trunk,
        )
        self.shift, self.shuffle = options.shift, options.shuffle
        self.backbone = trunk
        self.side = SideInformation(options.cameras, dim, options.side_weight) if options.cameras else None
        self.takes_cameras = self.side is not None
        self.local = None
        if options.jigsaw:
            self.local = nn.Sequential(copy.deepcopy(trunk.body.blocks[-1]), copy.deepcopy(trunk.body.norm))
        self.neck = Neck(dim)
        self.part_necks = nn.ModuleList(Neck(dim) for _ in parts)
        self.classifier = LinearHead(dim, num_ids, bias=False) if num_ids else None
        self.part_classifiers = nn.ModuleList(LinearHead(dim, num_ids, bias=False) for _ in (parts if num_ids else ()))

    def look(self, x: Tensor, camids: Tensor | None, parts: bool = True) -> dict[str, Tensor]:
        """Normalized pixels -> the class token of each branch after its last norm, (B, D) each."""
        body = self.backbone.body
        tokens = self.backbone.embed_patches(x, None if self.side is None else self.side(camids))
        for block in body.blocks[:-1]:
            tokens = block(tokens)
        whole: Tensor = body.norm(body.blocks[-1](tokens))
        branches = {"global": whole[:, 0]}
        if self.local is not None and parts:
            for i, group in enumerate(deal(tokens[:, 1:], self.shift, self.shuffle)):
                branches[f"part/{i}"] = self.local(torch.cat([tokens[:, :1], group], dim=1))[:, 0]
        return branches

    def features_of(self, branches: dict[str, Tensor]) -> dict[str, Tensor]:
        """The branches, and each behind its neck."""
        features = branches | {"neck": self.neck(branches["global"])}
        for i, neck in enumerate(self.part_necks):
            if f"part/{i}" in branches:
                features[f"part_neck/{i}"] = neck(branches[f"part/{i}"])
        return features

    def describe(self, x: Tensor, camids: Tensor | None = None) -> dict[str, Tensor]:
        return self.features_of(self.look(x, camids, parts=any(name.startswith("part") for name in self.retrieval)))

    def descriptor(self, features: Mapping[str, Tensor]) -> Tensor:
        """The retrieval features side by side, those of the groups divided by their number."""
        scaled = [features[n] / GROUPS if n.startswith("part") else features[n] for n in self.retrieval]
        return torch.cat(scaled, dim=1)

    def embed(self, images: Tensor, camids: Tensor | None = None) -> Tensor:
        return self.descriptor(self.describe(self.normalize(images), camids))

    def forward(self, images: Tensor, camids: Tensor | None = None) -> ReIDOutput:
        features = self.features_of(self.look(self.normalize(images), camids))
        logits: dict[str, Tensor] = {}
        if self.classifier is not None:
            logits["identity"] = self.classifier(features["neck"])
        for i, head in enumerate(self.part_classifiers):
            logits[f"part/{i}"] = head(features[f"part_neck/{i}"])
        return self.output(features, logits)


def deal(patches: Tensor, shift: int, groups: int) -> list[Tensor]:
    """The jigsaw.  (B, N, D) -> GROUPS of (B, N // GROUPS, D).

    The first `shift` - 1 patches go to the end; the row is cut into `groups` runs and dealt from them in turn; the
    result is cut into GROUPS runs, what is left over is dropped.  Where N is not a multiple of `groups`, the last
    patch but one is repeated, as in the authors' code.
    """
    rolled = torch.roll(patches, 1 - shift, dims=1)
    if rolled.shape[1] % groups:
        rolled = torch.cat([rolled, rolled[:, -2:-1]], dim=1)
    runs = rolled.reshape(rolled.shape[0], groups, -1, rolled.shape[2])  # (B, groups, N / groups, D)
    shuffled = runs.transpose(1, 2).flatten(1, 2)  # (B, N, D)
    size = patches.shape[1] // GROUPS
    return [shuffled[:, i * size : (i + 1) * size] for i in range(GROUPS)]
