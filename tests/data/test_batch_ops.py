"""Boxes of a whole batch: the loop for a processor and the one indexing for a device are the same function."""

from __future__ import annotations

import pytest
import torch
from torch import Generator, Tensor

from resight.data import Augment, Augmenter
from resight.data.augment.batch_ops import (
    filled,
    filled_at_once,
    filled_one_by_one,
    windows,
    windows_at_once,
    windows_one_by_one,
)
from resight.data.transfer import to_device

B, H, W = 40, 12, 7
EVERYTHING = {
    "erase": 0.5, "patch": 0.5, "brightness": 0.3, "contrast": 0.2, "saturation": 0.4, "hue": 0.1, "gray": 0.2,
    "cast": 0.2,
}  # fmt: skip


def _places(slack: int, seed: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    draws = Generator().manual_seed(seed)
    top, left = torch.randint(slack + 1, (2, B), generator=draws)
    return top, left, torch.rand(B, generator=draws) < 0.5


def _images(dtype: torch.dtype, height: int, width: int, order: torch.memory_format) -> Tensor:
    images = torch.randint(0, 256, (B, 3, height, width), dtype=torch.uint8, generator=Generator().manual_seed(1))
    return images.to(dtype).contiguous(memory_format=order)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_both_ways_of_cutting_give_the_same_bytes(dtype: torch.dtype, order: torch.memory_format) -> None:
    images, (top, left, mirrored) = _images(dtype, H + 4, W + 4, order), _places(4)
    cut = windows_at_once(images, top, left, mirrored, (H, W))
    assert torch.equal(cut, windows_one_by_one(images, top, left, mirrored, (H, W)))
    assert cut.is_contiguous(memory_format=torch.channels_last)
    row = int(mirrored.nonzero()[0])
    y, x = int(top[row]), int(left[row])
    assert torch.equal(cut[row], images[row, :, y : y + H, x : x + W].flip(-1))


@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_both_ways_of_filling_give_the_same_bytes(order: torch.memory_format) -> None:
    images, (top, left, chosen) = _images(torch.float32, H, W, order), _places(5)
    where = torch.stack([top, left, H - top, torch.full_like(left, 2)], dim=1) * chosen[:, None]
    before = images.clone()
    marked = filled_at_once(images, where, (0.5, -1.0, 2.0))
    assert torch.equal(marked, filled_one_by_one(images, where, (0.5, -1.0, 2.0)))
    assert torch.equal(images, before) and torch.equal(marked[~chosen], images[~chosen])


@pytest.mark.parametrize("crop", ["none", "pad", "zoom", "sized"])
def test_a_device_is_never_asked_for_what_it_holds(crop: str) -> None:
    """A tensor on the meta device has no values: whoever reads one back from it, or waits for it, fails."""
    images = torch.empty(B, 3, 32, 16, dtype=torch.uint8, device="meta")
    augmenter = Augmenter(Augment(crop=crop, **EVERYTHING))  # type: ignore[arg-type]
    for step in range(4):  # from the third on, the pool of patches is large enough to paste from
        out = augmenter(images, Generator().manual_seed(step))
        assert out.device.type == "meta" and out.shape == images.shape and out.dtype == torch.float32
    assert len(augmenter.pool.patches) > 100


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_the_way_is_chosen_by_where_the_pictures_lie(device: str) -> None:
    images, (top, left, mirrored) = _images(torch.float32, H, W, torch.channels_last).to(device), _places(0)
    assert windows(images, top, left, mirrored, (H, W)).device.type == device
    assert filled(images, torch.zeros(B, 4, dtype=torch.int64), (0.0, 0.0, 0.0)).device.type == device
    assert to_device(top, images.device).device.type == device
