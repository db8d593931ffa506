"""Vision transformers of timm, with overlapping patches, side information, and the class token as the feature.

Dosovitskiy et al., ICLR 2021; overlapping patches and side information: He et al. (TransReID), ICCV 2021.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from resight.errors import UnknownNameError, UsageError
from resight.models.backbones.base import Trunk, foreign, offline, timm_normalization
from resight.models.backbones.pretrained import load_weights_file
from resight.options import Count, Share

HEAD_DIM = 64  # channels of one attention head, in all of ViT's own sizes


@dataclass(frozen=True, kw_only=True)
class ViTOptions:
    """Which vision transformer, and where its weights come from."""

    name: str = "vit_base_patch16_224"  # a plain one of timm
    pretrained: bool = False  # its ImageNet weights, fetched by timm
    weights: str | None = None  # a .pth or .safetensors file instead
    partial: bool = False  # accept a file that leaves some tensors as initialized
    stride: Count | None = None  # pixels from patch to patch; None: the patch's side, so that none overlap
    drop_path: Share = 0.0  # stochastic depth of the last block, growing from 0
    dim: Count | None = None  # channels; None: as named.  A multiple of 64, one attention head each
    depth: Count | None = None  # blocks; None: as named


class ViT(Trunk):
    """forward: pixels (B, 3, H, W) -> class token and patches after the last norm, (B, 1 + N, D).

    body: timm's network, under its own tensor names.  `embed_patches` and `body.blocks` for a method that goes block
    by block.  grid: rows and columns of patches.  classes: outputs of `body.head`, which is not part of forward.
    """

    def __init__(self, options: ViTOptions, input_size: tuple[int, int], classes: int = 0) -> None:
        super().__init__()
        read = torch.get_default_device().type != "meta"
        fetched = options.pretrained and read and options.weights is None
        self.body = create(options, input_size, classes, fetched)
        patch = self.body.patch_embed.proj.kernel_size
        self.stride = options.stride or patch[0]
        self.fixed_size = input_size
        self.grid = (grid_size(input_size[0], patch[0], self.stride), grid_size(input_size[1], patch[1], self.stride))
        if self.stride != patch[0]:
            self.overlap()
        self.channels = (self.body.embed_dim,)
        self.mean, self.std = timm_normalization(options.name)
        if options.weights is not None and read:
            load_weights_file(self.body, Path(options.weights), options.partial)

    def overlap(self) -> None:
        """Let patches overlap: another stride, and the positions resampled to the denser grid."""
        from timm.layers.pos_embed import resample_abs_pos_embed

        before = list(self.body.patch_embed.grid_size)
        self.body.patch_embed.proj.stride = (self.stride, self.stride)
        positions = resample_abs_pos_embed(self.body.pos_embed.detach(), list(self.grid), before, num_prefix_tokens=1)
        self.body.pos_embed = nn.Parameter(positions)

    def embed_patches(self, x: Tensor, side: Tensor | None = None) -> Tensor:
        """Pixels -> what the first block takes, (B, 1 + N, D).

        side: side information, added where it broadcasts: (B, 1, D) to all tokens.
        """
        patches = self.body.patch_embed.proj(x).flatten(2).transpose(1, 2)  # (B, N, D)
        tokens = torch.cat([self.body.cls_token.expand(x.shape[0], -1, -1), patches], dim=1) + self.body.pos_embed
        prepared: Tensor = self.body.norm_pre(tokens if side is None else tokens + side)
        return prepared

    def forward(self, x: Tensor, side: Tensor | None = None) -> Tensor:
        final: Tensor = self.body.norm(self.body.blocks(self.embed_patches(x, side)))
        return final


class ClassToken(ViT):
    """The class token as a map of one position, for the methods that pool a map.  -> (B, D, 1, 1)."""

    def forward(self, x: Tensor, side: Tensor | None = None) -> Tensor:
        return super().forward(x, side)[:, 0, :, None, None]


def create(options: ViTOptions, input_size: tuple[int, int], classes: int, fetched: bool) -> Any:
    """timm's network.  Raises UnknownNameError, UsageError, CheckpointError."""
    import timm
    from timm.models.vision_transformer import VisionTransformer

    name = options.name.removeprefix("timm/")
    if "/" in name or ":" in name or not timm.is_model(name.split(".")[0]):
        raise UnknownNameError("vision transformer", name, timm.list_models("vit_*patch16*"))
    sizes: dict[str, Any] = {} if options.depth is None else {"depth": options.depth}
    if options.dim is not None:
        sizes |= {"embed_dim": options.dim, "num_heads": heads(options.dim)}
    try:
        body = timm.create_model(
            name,
            pretrained=fetched,
            img_size=input_size,
            num_classes=classes,
            drop_path_rate=options.drop_path,
            **sizes,
        )
    except (OSError, RuntimeError, TypeError, AttributeError, AssertionError) as error:
        raise (offline(name, error) if fetched else foreign(name, error)) from error
    if not isinstance(body, VisionTransformer) or body.cls_token is None or body.pos_embed is None:
        raise UsageError(
            f"{name} is not a plain vision transformer with a class token. Choose one such as vit_base_patch16_224."
        )
    return body


def heads(dim: int) -> int:
    if dim % HEAD_DIM:
        raise UsageError(f"backbone.dim = {dim} is not a multiple of {HEAD_DIM}, the channels of an attention head.")
    return dim // HEAD_DIM


def grid_size(pixels: int, patch: int, stride: int) -> int:
    """Patches along one side."""
    if pixels < patch:
        raise UsageError(f"images of {pixels} pixels on one side are smaller than a patch of {patch}.")
    return (pixels - patch) // stride + 1
