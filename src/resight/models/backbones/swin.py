"""Swin transformer.  Liu et al., ICCV 2021; the semantic controller: Chen et al. (SOLIDER), CVPR 2023.

A map of 4 x 4 patches goes through four stages of attention within 7 x 7 windows, every other block with the windows
shifted by half their size; between stages four neighbors become one.  Padding and tensor names are those of MMCV's
implementation, which SOLIDER's code uses; timm's shifts before it pads, and differs where windows do not fit.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resight.models.backbones.pretrained import load_weights_file
from resight.options import Count, Share

SIZES: dict[str, tuple[int, tuple[int, ...]]] = {  # channels of the first stage, blocks of each
    "swin_tiny": (96, (2, 2, 6, 2)),
    "swin_small": (96, (2, 2, 18, 2)),
    "swin_base": (128, (2, 2, 18, 2)),
}
HEAD_DIM = 32
WINDOW = 7
PATCH = 4
APART = -100.0  # added to the attention between what the shift has brought together from opposite sides


@dataclass(frozen=True, kw_only=True)
class SwinOptions:
    name: Literal["swin_tiny", "swin_small", "swin_base"] = "swin_base"
    weights: str | None = None  # a file of the authors' pre-training
    partial: bool = False  # accept a file that leaves some tensors as initialized
    drop_path: Share = 0.1  # stochastic depth of the last block, growing from 0
    dim: Count | None = None  # channels of the first stage; None: as named.  A multiple of 32
    depths: tuple[Count, Count, Count, Count] | None = None  # blocks of each stage; None: as named


class WindowAttention(nn.Module):
    """Attention within windows, with a learnt bias for each relative position.  (B, n, w * w, C) -> the same."""

    index: Tensor

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * WINDOW - 1) ** 2, heads))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)
        self.register_buffer("index", relative_positions(), persistent=False)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        split = self.qkv(x).reshape(*x.shape[:-1], 3, self.heads, -1)  # (B, n, w * w, 3, heads, C / heads)
        q, k, v = split.permute(3, 0, 1, 4, 2, 5)
        bias = self.relative_position_bias_table[self.index].permute(2, 0, 1)  # (heads, w * w, w * w)
        attention = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1) + bias
        if mask is not None:
            attention = attention + mask[:, None]
        mixed = (attention.softmax(dim=-1) @ v).transpose(2, 3).flatten(3)  # (B, n, w * w, C)
        out: Tensor = self.proj(mixed)
        return out


def relative_positions() -> Tensor:
    """Row of the bias table for every two places of a window, (w * w, w * w)."""
    rows, columns = torch.meshgrid(torch.arange(WINDOW), torch.arange(WINDOW), indexing="ij")
    down = rows.flatten()[:, None] - rows.flatten()[None] + WINDOW - 1
    right = columns.flatten()[:, None] - columns.flatten()[None] + WINDOW - 1
    return down * (2 * WINDOW - 1) + right


class ShiftedWindows(nn.Module):
    """Cuts a map into windows, after shifting it by half a window or not, and attends within them.

    The map is padded with zeros below and to the right before it is shifted, as in the authors' code; padding takes
    part in the attention.  (B, H, W, C) -> the same.
    """

    def __init__(self, dim: int, heads: int, shift: int) -> None:
        super().__init__()
        self.shift = shift
        self.w_msa = WindowAttention(dim, heads)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[1:3]
        x = F.pad(x, (0, 0, 0, -width % WINDOW, 0, -height % WINDOW))
        high, wide = x.shape[1:3]
        if self.shift:
            x = x.roll((-self.shift, -self.shift), dims=(1, 2))
        mask = region_mask(high, wide, self.shift, x) if self.shift else None
        x = join(self.w_msa(cut(x), mask), high, wide)
        if self.shift:
            x = x.roll((self.shift, self.shift), dims=(1, 2))
        return x[:, :height, :width]


def cut(x: Tensor) -> Tensor:
    """(B, H, W, C) -> windows, row by row (B, n, w * w, C)."""
    batch, height, width, channels = x.shape
    tiles = x.reshape(batch, height // WINDOW, WINDOW, width // WINDOW, WINDOW, channels)
    return tiles.transpose(2, 3).reshape(batch, -1, WINDOW * WINDOW, channels)


def join(windows: Tensor, height: int, width: int) -> Tensor:
    """The inverse of `cut`."""
    batch, channels = windows.shape[0], windows.shape[-1]
    tiles = windows.reshape(batch, height // WINDOW, width // WINDOW, WINDOW, WINDOW, channels)
    return tiles.transpose(2, 3).reshape(batch, height, width, channels)


def region_mask(height: int, width: int, shift: int, like: Tensor) -> Tensor:
    """(n, w * w, w * w): 0 between places that were neighbors before the shift, APART between the others."""

    def bands(length: int) -> Tensor:
        places = torch.arange(length, device=like.device)
        return (places >= length - WINDOW).long() + (places >= length - shift).long()

    regions = cut((3 * bands(height)[:, None] + bands(width))[None, :, :, None])[0, :, :, 0]  # (n, w * w)
    return (regions[:, :, None] != regions[:, None]).to(like.dtype) * APART


class FeedForward(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU()), nn.Linear(4 * dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return out


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)).  (B, H, W, C) -> the same."""

    def __init__(self, dim: int, shift: int, drop_path: float) -> None:
        super().__init__()
        from timm.layers.drop import DropPath

        self.norm1 = nn.LayerNorm(dim)
        self.attn = ShiftedWindows(dim, dim // HEAD_DIM, shift)
        self.norm2 = nn.LayerNorm(dim)
        self.ffn = FeedForward(dim)
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.attn(self.norm1(x)))
        out: Tensor = x + self.drop_path(self.ffn(self.norm2(x)))
        return out


class PatchEmbedding(nn.Module):
    """Patches of 4 x 4 pixels, one vector each.  (B, 3, H, W) -> (B, H / 4, W / 4, C), padded up."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.projection = nn.Conv2d(3, dim, PATCH, stride=PATCH)
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, (0, -x.shape[3] % PATCH, 0, -x.shape[2] % PATCH))
        embedded: Tensor = self.norm(self.projection(x).permute(0, 2, 3, 1))
        return embedded


class PatchMerging(nn.Module):
    """Four neighbors to one vector of twice the channels.  (B, H, W, C) -> (B, H / 2, W / 2, 2 C), padded up."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * dim)
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, (0, 0, 0, x.shape[2] % 2, 0, x.shape[1] % 2))
        batch, height, width, channels = x.shape
        tiles = x.reshape(batch, height // 2, 2, width // 2, 2, channels)
        fours = tiles.permute(0, 1, 3, 5, 2, 4).flatten(3)  # (B, H / 2, W / 2, 4 C), the four of a channel together
        merged: Tensor = self.reduction(self.norm(fours))
        return merged


class Level(nn.Module):
    """One stage: blocks, every other one shifted, and the way down to the next."""

    def __init__(self, dim: int, rates: list[float], last: bool) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(Block(dim, WINDOW // 2 if i % 2 else 0, rate) for i, rate in enumerate(rates)))
        self.downsample = None if last else PatchMerging(dim)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(x)
        return x if self.downsample is None else self.downsample(x)


class Swin(nn.Module):
    """forward: pixels (B, 3, H, W) -> the last map (B, channels[3], H / 32, W / 32).

    semantic_weight: lambda of the semantic controller; None for no controller.
    """

    def __init__(self, options: SwinOptions, semantic_weight: float | None) -> None:
        super().__init__()
        first, depths = SIZES[options.name]
        dim, depths = options.dim or first, options.depths or depths
        self.channels = tuple(dim * 2**i for i in range(4))
        rates = torch.linspace(0, options.drop_path, sum(depths), device="cpu").tolist()
        starts = [sum(depths[:i]) for i in range(5)]
        self.patch_embed = PatchEmbedding(dim)
        self.stages = nn.ModuleList(
            Level(channels, rates[starts[i] : starts[i + 1]], last=i == 3) for i, channels in enumerate(self.channels)
        )
        self.norm3 = nn.LayerNorm(self.channels[-1])
        self.apply(initialize)
        controlled = self.channels[1:] if semantic_weight is not None else ()
        self.semantic_embed_w = nn.ModuleList(controller(channels) for channels in controlled)
        self.semantic_embed_b = nn.ModuleList(controller(channels) for channels in controlled)
        if options.weights is not None and torch.get_default_device().type != "meta":
            load_weights_file(self, Path(options.weights), options.partial)
        share = 0.0 if semantic_weight is None else semantic_weight
        self.register_buffer("semantic", torch.tensor([share, 1 - share]))  # kept: it is part of what is compared

    def control(self, x: Tensor, level: int) -> Tensor:
        """Equation 6: x * softplus(W s) + B s, s = (lambda, 1 - lambda)."""
        if level >= len(self.semantic_embed_w):
            return x
        scale: Tensor = F.softplus(self.semantic_embed_w[level](self.semantic))  # (C,)
        shift: Tensor = self.semantic_embed_b[level](self.semantic)
        return x * scale + shift

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch_embed(x)
        for level, stage in enumerate(self.stages):
            x = self.control(stage(x), level)
        final: Tensor = self.norm3(x)
        return final.permute(0, 3, 1, 2)


def controller(channels: int) -> nn.Linear:
    """Learnt in pre-training, fixed afterwards."""
    layer = nn.Linear(2, channels).requires_grad_(False)
    nn.init.trunc_normal_(layer.weight, std=0.02)
    nn.init.zeros_(layer.bias)
    return layer


def initialize(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
