"""Windows on a map, placed by a network: differentiable in the map and in the place."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from resight.models.precision import full_precision


def crop(map: Tensor, theta: Tensor, size: tuple[int, int], scale: tuple[float, float]) -> Tensor:
    """Bilinear windows of `size` (rows, columns), `scale` (height, width) of the map, zero outside.

    map (B, C, h, w), theta (B, T, 2) -> (B, T, C, rows, columns).  With scale = size / map a step is one
    pixel, so a window on whole pixels is an exact slice.  Pixel-edge convention: -1 and 1 are the outer
    borders.
    """
    batch, regions = theta.shape[:2]
    y, x = (centres(count, theta) for count in size)
    rows = scale[0] * y[None, None] + theta[:, :, 1, None]  # (B, T, rows)
    columns = scale[1] * x[None, None] + theta[:, :, 0, None]  # (B, T, columns)
    shape = (batch, regions, *size)
    grid = torch.stack([columns[:, :, None].expand(shape), rows[..., None].expand(shape)], dim=-1)
    # The T windows lie above each other in one grid, so the map is not copied T times.
    with full_precision(map):
        sampled = F.grid_sample(map.to(grid.dtype), grid.flatten(1, 2), mode="bilinear", align_corners=False)
    return sampled.to(map.dtype).reshape(batch, -1, regions, *size).transpose(1, 2)


def centres(count: int, like: Tensor) -> Tensor:
    """The middles of `count` equal cells of [-1, 1]."""
    return (2 * torch.arange(count, device=like.device, dtype=like.dtype) + 1) / count - 1


def crop_resampled(map: Tensor, theta: Tensor, size: tuple[int, int], scale: tuple[float, float]) -> Tensor:
    """A window sampled at the map's full size and then resized, corners aligned.  Shapes as `crop`."""
    full = crop(map, theta, (map.shape[2], map.shape[3]), scale)
    small = F.interpolate(full.flatten(0, 1), size=size, mode="bilinear", align_corners=True)
    return small.reshape(*theta.shape[:2], *small.shape[1:])


def corners(theta: Tensor, height: float, width: float) -> Tensor:
    """theta (B, T, 2), a window's share of the map -> corners (B, T, 2, 2), within [0, 1] while inside."""
    half = torch.tensor([width, height], device=theta.device, dtype=theta.dtype)
    return (torch.stack([theta - half, theta + half], dim=2) + 1) / 2
