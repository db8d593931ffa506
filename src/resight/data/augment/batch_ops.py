"""Cropping and filling boxes of a whole batch, on any device.

On a processor a loop over the pictures is the quickest, since each is one plain copy; on a device it would be a
hundred small launches, and there one indexing does all.  Both give the same bytes.  What is decided about a picture
is decided on the processor and `sent`; nothing comes back, so a device is never waited for.
"""

from __future__ import annotations

import torch
from torch import Tensor

from resight.data.transfer import to_device


def windows(images: Tensor, top: Tensor, left: Tensor, mirrored: Tensor, size: tuple[int, int]) -> Tensor:
    """Cut `size` out of each picture at its own place, mirrored where asked.

    images (B, 3, H', W'); top, left (B,) int64 and mirrored (B,) bool on the processor -> (B, 3, H, W), channels
    last in memory.
    """
    cut = windows_one_by_one if images.device.type == "cpu" else windows_at_once
    return cut(images, top, left, mirrored, size)


def windows_one_by_one(images: Tensor, top: Tensor, left: Tensor, mirrored: Tensor, size: tuple[int, int]) -> Tensor:
    """`windows`, a copy for each picture."""
    cut = images.new_empty(len(images), *size, 3).permute(0, 3, 1, 2)
    for source, target, y, x, mirror in zip(images, cut, top.tolist(), left.tolist(), mirrored.tolist(), strict=True):
        window = source[:, y : y + size[0], x : x + size[1]]
        target.copy_(window.flip(-1) if mirror else window)
    return cut


def windows_at_once(images: Tensor, top: Tensor, left: Tensor, mirrored: Tensor, size: tuple[int, int]) -> Tensor:
    """`windows`, one indexing for all pictures."""
    device = images.device
    top, left, mirror = to_device(torch.stack([top, left, mirrored.long()]), device)[:, :, None]  # (B, 1) each
    column = torch.arange(size[1], device=device)
    columns = left + torch.where(mirror > 0, size[1] - 1 - column, column)  # (B, W)
    rows = top + torch.arange(size[0], device=device)  # (B, H)
    picture = torch.arange(len(images), device=device)[:, None, None]
    return images.permute(0, 2, 3, 1)[picture, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def filled(images: Tensor, where: Tensor, color: tuple[float, ...]) -> Tensor:
    """A copy of the batch with a box of each picture in one color; a box of height 0 fills nothing.

    images (B, 3, H, W); where (B, 4) top, left, height, width on the processor.
    """
    fill = filled_one_by_one if images.device.type == "cpu" else filled_at_once
    return fill(images, where, color)


def filled_one_by_one(images: Tensor, where: Tensor, color: tuple[float, ...]) -> Tensor:
    """`filled`, a box after the other."""
    copy, pixel = images.clone(), images.new_tensor(color)[:, None, None]
    for image, (top, left, h, w) in zip(copy, where.tolist(), strict=True):
        if h:
            image[:, top : top + h, left : left + w] = pixel
    return copy


def filled_at_once(images: Tensor, where: Tensor, color: tuple[float, ...]) -> Tensor:
    """`filled`, one choice between picture and color for every pixel."""
    device = images.device
    top, left, h, w = to_device(where, device).T[:, :, None]  # (B, 1) each
    row, column = (torch.arange(extent, device=device) for extent in images.shape[2:])
    in_rows, in_columns = (row >= top) & (row < top + h), (column >= left) & (column < left + w)
    inside = (in_rows[:, :, None] & in_columns[:, None, :])[:, None]  # (B, 1, H, W)
    return torch.where(inside, to_device(torch.tensor(color, dtype=images.dtype), device)[:, None, None], images)
