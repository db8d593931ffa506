"""Windows on a map, placed by a network: differentiable in the map and in the place.

An upright window is sampled along its rows and along its columns, each line from a few lines of the map.  Sums of few
are bags of an embedding: cheap, and repeated bit for bit on CUDA too, where the gradient of a sampled grid is not.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from resight.precision import full_precision


class Taps(NamedTuple):
    """What lines are made of, along one axis: k lines of the map each (..., n, k), and their shares."""

    lines: Tensor
    shares: Tensor


def crop(map: Tensor, theta: Tensor, size: tuple[int, int], scale: tuple[float, float]) -> Tensor:
    """Bilinear windows of `size` (rows, columns), `scale` (height, width) of the map, zero outside.

    map (B, C, h, w), theta (B, T, 2) -> (B, T, C, rows, columns).  With scale = size / map a step is one
    pixel, so a window on whole pixels is an exact slice.  Pixel-edge convention: -1 and 1 are the outer
    borders.
    """
    height, width = map.shape[2:]
    with full_precision(map):
        return _sampled(
            map, _window(theta[..., 1], size[0], scale[0], height), _window(theta[..., 0], size[1], scale[1], width)
        )


def crop_resampled(map: Tensor, theta: Tensor, size: tuple[int, int], scale: tuple[float, float]) -> Tensor:
    """A window sampled at the map's full size and then resized, corners aligned.  Shapes as `crop`."""
    height, width = map.shape[2:]
    with full_precision(map):
        rows = _resized(_window(theta[..., 1], height, scale[0], height), size[0])
        columns = _resized(_window(theta[..., 0], width, scale[1], width), size[1])
        return _sampled(map, rows, columns)


def centers(count: int, like: Tensor) -> Tensor:
    """The middles of `count` equal cells of [-1, 1]."""
    return (2 * torch.arange(count, device=like.device, dtype=like.dtype) + 1) / count - 1


def _window(middle: Tensor, count: int, scale: float, of: int) -> Taps:
    """The `count` lines of windows around `middle` (B, T), on an axis of `of` lines: (B, T, count, 2)."""
    places = scale * centers(count, middle) + middle[..., None]
    return _between(((places + 1) * of - 1) / 2, of)


def _between(places: Tensor, of: int) -> Taps:
    """The lines on both sides of places in pixels, weighted by nearness; what lies beyond the border weighs nothing.

    A place that is no number gives shares that are none, of lines that exist.
    """
    before = places.detach().floor()
    nearness = places - before
    lines = torch.stack([before, before + 1], dim=-1)
    inside = (lines >= 0) & (lines < of)
    return Taps(lines.clamp(0, of - 1).nan_to_num().long(), torch.stack([1 - nearness, nearness], dim=-1) * inside)


def _resized(taps: Taps, count: int) -> Taps:
    """Lines of lines: (..., n, k) -> (..., count, 2 k), the first and the last staying what they are."""
    of = taps.lines.shape[-2]
    places = torch.linspace(0, of - 1, count, device=taps.shares.device, dtype=taps.shares.dtype)
    lines, shares = _between(places, of)  # (count, 2)
    return Taps(taps.lines[..., lines, :].flatten(-2), (shares[..., None] * taps.shares[..., lines, :]).flatten(-2))


def _sampled(map: Tensor, rows: Taps, columns: Taps) -> Tensor:
    """map (B, C, h, w), rows (B, T, y, k), columns (B, T, x, k) -> (B, T, C, y, x), of the map's type."""
    batch, channels, height, width = map.shape
    regions, y, x = *rows.lines.shape[1:3], columns.lines.shape[2]
    pixels = map.to(rows.shares.dtype).permute(0, 2, 3, 1)
    across = _summed(pixels.reshape(batch * height, -1), rows, height)  # a window's row: (B T y, w C)
    spread = Taps(*(_each_row(part, y) for part in columns))
    found = _summed(across.reshape(batch * regions * y * width, channels), spread, width)
    return found.view(batch, regions, y, x, channels).permute(0, 1, 4, 2, 3).to(map.dtype)


def _each_row(columns: Tensor, rows: int) -> Tensor:
    """(B, T, x, k) -> (B T y, x, k)"""
    return columns[:, :, None].expand(-1, -1, rows, -1, -1).flatten(0, 2)


def _summed(table: Tensor, taps: Taps, of: int) -> Tensor:
    """Weighted sums of a table's lines, of which the first axis of the taps owns `of` each."""
    count = taps.lines.shape[-1]
    own = of * torch.arange(taps.lines.shape[0], device=table.device).view(-1, *[1] * (taps.lines.dim() - 1))
    lines, shares = (taps.lines + own).view(-1, count), taps.shares.reshape(-1, count)
    if torch.compiler.is_exporting():  # ONNX has no bags: they become a loop, slow in one runtime, unknown to another
        return (F.embedding(lines, table) * shares[..., None]).sum(dim=1)
    return F.embedding_bag(lines, table, mode="sum", per_sample_weights=shares)


def corners(theta: Tensor, height: float, width: float) -> Tensor:
    """theta (B, T, 2), a window's share of the map -> corners (B, T, 2, 2), within [0, 1] while inside."""
    half = torch.tensor([width, height], device=theta.device, dtype=theta.dtype)
    return (torch.stack([theta - half, theta + half], dim=2) + 1) / 2
