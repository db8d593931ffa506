"""MDPR: mutual distillation learning for person re-identification.  Fu et al., arXiv 2401.06430, 2024.

The figure: one ResNet-101-IBN-a whose stem, res2 and res3 are shared and whose res4 and res5 exist twice.
The hard content branch keeps the whole map and cuts it into stripes; the soft content branch pools what
learnt attention maps select, the fine map guiding the coarse one.  Mutual distillation ties the branches'
global features together, and a fusion module merges all maps into one more feature.  No feature compared at
test time reads an attention map.

Where the paper is silent, and the authors' own variant (`mdpr-release`): docs/methods/mdpr.md
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resight.errors import UsageError
from resight.models.backbones.resnet import conv, initialize
from resight.models.backbones.timm import BackboneOptions, build_backbone
from resight.models.base import ModelOptions, ReIDModel
from resight.models.heads import CosineHead
from resight.models.layers import GeM, Neck
from resight.options import Count

if TYPE_CHECKING:
    from resight.types import ReIDOutput


@dataclass(frozen=True, kw_only=True)
class MDPROptions(ModelOptions):
    input_size: tuple[int, int] = (384, 192)
    backbone: BackboneOptions = field(default_factory=lambda: BackboneOptions(name="resnet101"))  # IBN-a, last stride 1
    branches: Literal["both", "hard", "soft"] = "both"
    dim: Count = 512  # E
    attentions: Count = 2  # K foreground maps; one more for the background is dropped
    parts: Count = 2  # P stripes
    guidance: bool = True  # the res5 attention guides the res4 attention
    distillation: bool = True
    fusion: bool = True
    shared_gem: bool = False  # one GeM exponent for all maps of a level instead of one each
    pre_embed_res4: bool = True  # a further embedding on res4 before it is attended and pooled


class Embedding(nn.Sequential):
    """EO(i, o): 1x1 convolution, batch normalisation, ReLU."""

    def __init__(self, inner: int, outer: int) -> None:
        super().__init__(conv(inner, outer, 1), nn.BatchNorm2d(outer), nn.ReLU(inplace=True))


class AttentionGenerator(nn.Module):
    """AG(i): R = ReLU(BN(conv1x1(F) + conv3x3(F))).  (B, i, h, w) -> (B, K + 1, h, w), raw."""

    def __init__(self, inner: int, maps: int) -> None:
        super().__init__()
        self.near, self.around = conv(inner, maps, 1), conv(inner, maps, 3)
        self.norm = nn.BatchNorm2d(maps)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.near(x) + self.around(x)))


def foreground(raw: Tensor) -> Tensor:
    """Softmax over the K + 1 raw maps at every pixel, the last one (background) discarded."""
    return raw.softmax(dim=1)[:, :-1]


class AttentionPooling(nn.Module):
    """Bilinear attention pooling: b_k = GeM(EO_k(A_k * F)).  F, A -> K pieces (B, E)."""

    def __init__(self, inner: int, dim: int, maps: int, shared_gem: bool) -> None:
        super().__init__()
        self.embed = nn.ModuleList(Embedding(inner, dim) for _ in range(maps))
        self.pool = nn.ModuleList(GeM() for _ in range(1 if shared_gem else maps))

    def forward(self, features: Tensor, attention: Tensor) -> list[Tensor]:
        pools = list(self.pool) * (len(self.embed) // len(self.pool))
        maps = attention.chunk(len(self.embed), dim=1)
        return [pool(embed(features * map)) for pool, embed, map in zip(pools, self.embed, maps, strict=True)]


class Fuse(nn.Sequential):
    """CF(c): 1x1 then 3x3 convolution, batch normalisation, ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__(
            conv(channels, channels, 1),
            conv(channels, channels, 3),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
        )


class Fusion(nn.Module):
    """Stripes re-joined, then each branch's maps, then both branches.  -> (B, 4E, h, w)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.stripes, self.hard, self.soft, self.both = (Fuse(c) for c in (dim, 2 * dim, 2 * dim, 4 * dim))

    def forward(self, stripes: list[Tensor], whole: Tensor, res5: Tensor, res4: Tensor) -> Tensor:
        joined = self.stripes(torch.cat(stripes, dim=2))
        hard = self.hard(torch.cat([joined, whole], dim=1))
        soft = self.soft(torch.cat([res5, like(res4, res5)], dim=1))
        fused: Tensor = self.both(torch.cat([hard, like(soft, hard)], dim=1))
        return fused


class Head(nn.Module):
    """GeM (where a map comes in), batch normalisation without shift, and cosines to the identities."""

    def __init__(self, dim: int, num_ids: int, pool: bool = True) -> None:
        super().__init__()
        self.pool = GeM() if pool else nn.Identity()
        self.neck = Neck(dim)
        self.classifier = CosineHead(dim, num_ids, bias=False, std=0.01) if num_ids else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w), or (B, C) where nothing is pooled -> (B, C)."""
        necked: Tensor = self.neck(self.pool(x))
        return necked


class Predictor(nn.Sequential):
    """The MLP of mutual distillation.  (B, E) -> (B, E)."""

    def __init__(self, dim: int) -> None:
        super().__init__(
            nn.Linear(dim, dim, bias=False), nn.BatchNorm1d(dim), nn.ReLU(inplace=True), nn.Linear(dim, dim)
        )


class HardBranch(nn.Module):
    """The whole res5 map and its stripes, embedded."""

    def __init__(self, channels: int, dim: int, parts: int) -> None:
        super().__init__()
        self.whole = Embedding(channels, dim)
        self.parts = nn.ModuleList(Embedding(channels, dim) for _ in range(parts))

    def forward(self, res5: Tensor) -> tuple[Tensor, list[Tensor]]:
        stripes = res5.tensor_split(cuts(res5.shape[2], len(self.parts)), dim=2)
        return self.whole(res5), [embed(stripe) for embed, stripe in zip(self.parts, stripes, strict=True)]


class SoftBranch(nn.Module):
    """res5 and res4 embedded, for global features; and the attention on both, which training alone needs."""

    def __init__(self, res4: int, res5: int, options: MDPROptions) -> None:
        super().__init__()
        dim, maps = options.dim, options.attentions + 1
        self.res5 = Embedding(res5, dim)
        self.pre_embed = Embedding(res4, res4) if options.pre_embed_res4 else nn.Identity()
        self.res4 = Embedding(res4, dim)
        self.attend5 = AttentionGenerator(res5, maps)
        self.guide = conv(maps, maps, 1) if options.guidance else None
        self.attend4 = AttentionGenerator(res4 + maps if options.guidance else res4, maps)
        self.pool5 = AttentionPooling(res5, dim, options.attentions, options.shared_gem)
        self.pool4 = AttentionPooling(res4, dim, options.attentions, options.shared_gem)

    def attention(self, res4: Tensor, res5: Tensor) -> tuple[Tensor, Tensor]:
        """Foreground maps of res4 and res5, (B, K, h, w) each; the raw res5 maps guide res4."""
        raw5 = self.attend5(res5)
        guided = res4
        if self.guide is not None:
            guided = torch.cat([res4, like(F.relu(self.guide(raw5)), res4)], dim=1)
        return foreground(self.attend4(guided)), foreground(raw5)


class MDPR(ReIDModel):
    """features: `hard`, `hard/1`, `hard/2`, `soft/res5`, `soft/res4` (B, E), `fusion` (B, 4E), compared by
    cosine; for training `attended/res5`, `attended/res4` (B, K E), their pieces before the neck
    `piece/res5/1`, ... (B, E), and the predictions `predicted/hard`, `predicted/soft` (B, E).

    logits: cosines (B, K) under the names of the first eight.  maps: `attention/res5`, `attention/res4`
    (B, K, h, w).
    """

    name: ClassVar[str] = "mdpr"
    paper: ClassVar[str] = "Fu et al., arXiv 2024"
    year: ClassVar[int] = 2024
    Options: ClassVar[type[ModelOptions]] = MDPROptions

    def __init__(self, num_ids: int, options: MDPROptions) -> None:
        trunk = build_backbone(options.backbone, options.input_size, last_stride=1, ibn=True, ceil_pool=True)
        if len(trunk.channels) < 3:
            raise UsageError(f"mdpr doubles the last two of at least three stages; {options.backbone.name} lacks them.")
        hard, soft = options.branches != "soft", options.branches != "hard"
        widths = feature_widths(options)
        self.stride, self.hard_parts = trunk.stride, options.parts if hard else 0
        super().__init__(
            num_ids,
            options,
            widths=widths,
            retrieval=tuple(name for name in widths if not name.startswith("attended/")),
            metric="cosine",
            trunk=trunk,
        )
        res4, res5 = trunk.channels[-2:]
        *shared, first, second = trunk.stage_modules()
        ends = nn.ModuleList([first, second])
        sides: dict[str, nn.Module] = {"shared": nn.Sequential(*shared)}
        if soft:  # both copies start from the same weights and then part
            sides["soft"] = deepcopy(ends) if hard else ends
        if hard:
            sides["hard"] = ends
        self.backbone = nn.ModuleDict(sides)
        self.hard = HardBranch(res5, options.dim, options.parts) if hard else None
        self.soft = SoftBranch(res4, res5, options) if soft else None
        self.fusion = Fusion(options.dim) if options.fusion and hard and soft else None
        for module in (self.hard, self.soft, self.fusion):
            if module is not None:
                module.apply(initialize)
        self.heads = nn.ModuleDict({
            name: Head(width, num_ids, pool=not name.startswith("attended/")) for name, width in
            widths.items()
        })  # fmt: skip
        self.predict = None
        if options.distillation and hard and soft:
            self.predict = nn.ModuleDict({side: Predictor(options.dim) for side in ("hard", "soft")})

    def check_size(self, height: int, width: int) -> None:
        super().check_size(height, width)
        rows = -(-height // self.stride)
        if self.hard_parts and cuts(rows, self.hard_parts)[-1:] >= [rows]:
            raise UsageError(
                f"mdpr: images {height} high give a map of {rows} rows, too few for {self.hard_parts} stripes."
            )

    def branch_maps(
        self, x: Tensor, fuse: bool = True
    ) -> tuple[dict[str, Tensor], tuple[Tensor, Tensor, Tensor] | None]:
        """Pixels -> the map behind each compared feature; and the soft side's res4, res4 embedded, res5."""
        shared = self.backbone["shared"](x)
        maps: dict[str, Tensor] = {}
        stripes: list[Tensor] = []
        if self.hard is not None:
            maps["hard"], stripes = self.hard(self.chain("hard", shared)[1])
            maps |= {f"hard/{i}": stripe for i, stripe in enumerate(stripes, start=1)}
        seen = None
        if self.soft is not None:
            res4, res5 = self.chain("soft", shared)
            embedded = self.soft.pre_embed(res4)
            maps |= {"soft/res5": self.soft.res5(res5), "soft/res4": self.soft.res4(embedded)}
            seen = res4, embedded, res5
        if self.fusion is not None and fuse:
            maps["fusion"] = self.fusion(stripes, maps["hard"], maps["soft/res5"], maps["soft/res4"])
        return maps, seen

    def head(self, name: str) -> Head:
        head = self.heads[name]
        assert isinstance(head, Head)
        return head

    def chain(self, side: Literal["hard", "soft"], shared: Tensor) -> tuple[Tensor, Tensor]:
        ends: Any = self.backbone[side]
        res4: Tensor = ends[0](shared)
        return res4, ends[1](res4)

    def describe(self, x: Tensor) -> dict[str, Tensor]:
        maps, seen = self.branch_maps(x, fuse="fusion" in self.retrieval)
        features = {name: self.head(name)(map) for name, map in maps.items() if name in self.retrieval}
        if seen is not None and any(name.startswith("attended/") for name in self.retrieval):
            features |= self.attended(*seen)[0]
        return features

    def attended(
        self, res4: Tensor, embedded: Tensor, res5: Tensor
    ) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
        """The attention task: features after the neck, their pieces before it, the attention maps."""
        assert self.soft is not None
        attention4, attention5 = self.soft.attention(res4, res5)
        pieces5, pieces4 = self.soft.pool5(res5, attention5), self.soft.pool4(embedded, attention4)
        features = {
            "attended/res5": self.head("attended/res5")(torch.cat(pieces5, dim=1)),
            "attended/res4": self.head("attended/res4")(torch.cat(pieces4, dim=1)),
        }
        pieces = {f"piece/res5/{k}": piece for k, piece in enumerate(pieces5, start=1)}
        pieces |= {f"piece/res4/{k}": piece for k, piece in enumerate(pieces4, start=1)}
        return features, pieces, {"attention/res5": attention5, "attention/res4": attention4}

    def forward(self, images: Tensor) -> ReIDOutput:
        branch_maps, seen = self.branch_maps(self.normalize(images))
        features = {name: self.head(name)(map) for name, map in branch_maps.items()}
        pieces: dict[str, Tensor] = {}
        maps: dict[str, Tensor] = {}
        if seen is not None:
            attended, pieces, maps = self.attended(*seen)
            features |= attended
        logits: dict[str, Tensor] = {}
        for name, feature in features.items():
            if (classifier := self.head(name).classifier) is not None:
                logits[name] = classifier(feature)
        if self.predict is not None:
            pieces["predicted/hard"] = self.predict["hard"](features["hard"])
            pieces["predicted/soft"] = self.predict["soft"](features["soft/res5"])
        return self.output(features | pieces, logits, maps)


def cuts(rows: int, parts: int) -> list[int]:
    """Where stripes of ceil(rows / parts) rows end; the last takes what is left."""
    step = -(-rows // parts)
    return [step * i for i in range(1, parts)]


def like(map: Tensor, other: Tensor) -> Tensor:
    """Bring a map to another's size; nothing to do where the backbone keeps its last stride at 1."""
    if map.shape[2:] == other.shape[2:]:
        return map
    return F.interpolate(map, size=other.shape[2:], mode="bilinear", align_corners=False)


def feature_widths(options: MDPROptions) -> dict[str, int]:
    """Every feature with a head, in the order of the descriptor, and its width."""
    dim = options.dim
    widths: dict[str, int] = {}
    if options.branches != "soft":
        widths |= {"hard": dim} | {f"hard/{i}": dim for i in range(1, options.parts + 1)}
    if options.branches != "hard":
        widths |= {"soft/res5": dim, "soft/res4": dim}
    if options.branches == "both" and options.fusion:
        widths["fusion"] = 4 * dim
    if options.branches != "hard":
        widths |= {"attended/res5": options.attentions * dim, "attended/res4": options.attentions * dim}
    return widths
