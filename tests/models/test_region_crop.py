"""Windows that a network places: exact slices on whole pixels, zeros beyond the border."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from resight.models.region_crop import corners, crop, crop_resampled

if TYPE_CHECKING:
    from collections.abc import Callable


def theta(*places: tuple[float, float]) -> Tensor:
    return torch.tensor([list(places)])


@pytest.mark.parametrize(("rows", "columns", "size"), [(80, 32, (24, 28)), (40, 16, (12, 14)), (20, 8, (6, 7))])
def test_windows_are_exact_slices(rows: int, columns: int, size: tuple[int, int]) -> None:
    map = torch.arange(rows * columns, dtype=torch.float32).view(1, 1, rows, columns)
    found = crop(map, theta((-0.125, -0.7), (0.125, 0.7), (0.0, 0.0)), size, (0.3, 0.875))[0, :, 0]
    h, w = size
    torch.testing.assert_close(found[0], map[0, 0, :h, :w], atol=1e-3, rtol=0)
    torch.testing.assert_close(found[1], map[0, 0, rows - h :, columns - w :], atol=1e-3, rtol=0)
    if rows == 80:
        assert [found[2][0, 0].item(), found[2][-1, -1].item()] == pytest.approx([898, 1661], abs=1e-3)
        assert [found[1][0, 0].item(), found[1][-1, -1].item()] == pytest.approx([1796, 2559], abs=1e-3)
        assert found[0][-1, -1].item() == pytest.approx(763, abs=1e-3)


def test_windows_beyond_the_border_see_zeros_and_move_by_rows() -> None:
    map = torch.arange(80 * 32, dtype=torch.float32).view(1, 1, 80, 32)
    out = crop(map, theta((0.0, -0.725), (0.0, -0.1), (0.0, -0.1 + 2 / 80)), (24, 28), (0.3, 0.875))[0, :, 0]
    assert not out[0, 0].count_nonzero()
    assert out[0, 1, :3].tolist() == pytest.approx([2, 3, 4], abs=1e-3)
    torch.testing.assert_close(out[1, 1:], out[2, :-1], atol=2e-3, rtol=0)


def by_torch(map: Tensor, places: Tensor, size: tuple[int, int], scale: tuple[float, float]) -> Tensor:
    """`crop` by the general sampling of a grid, window by window."""
    zeros, (height, width) = torch.zeros_like(places[:, 0, 0]), scale
    windows = []
    for x, y in (place.unbind(1) for place in places.unbind(1)):
        matrix = torch.stack([zeros + width, zeros, x, zeros, zeros + height, y], dim=1).view(-1, 2, 3)
        grid = F.affine_grid(matrix, [*map.shape[:2], *size], align_corners=False)
        windows.append(F.grid_sample(map, grid, align_corners=False))
    return torch.stack(windows, dim=1)


def by_torch_resampled(map: Tensor, places: Tensor, size: tuple[int, int], scale: tuple[float, float]) -> Tensor:
    full = by_torch(map, places, (map.shape[2], map.shape[3]), scale)
    small = F.interpolate(full.flatten(0, 1), size, mode="bilinear", align_corners=True)
    return small.view(*full.shape[:3], *size)


@pytest.mark.parametrize(("ours", "theirs"), [(crop, by_torch), (crop_resampled, by_torch_resampled)])
@pytest.mark.parametrize("scale", [(0.3, 0.875), (0.25, 1.0)])
def test_windows_and_their_gradients_equal_torchs_grids(
    ours: Callable[..., Tensor], theirs: Callable[..., Tensor], scale: tuple[float, float]
) -> None:
    """In the middle, over the border, and wholly outside."""
    map = torch.randn(2, 3, 20, 8, dtype=torch.float64, requires_grad=True)
    places = (3 * torch.rand(2, 6, 2, dtype=torch.float64) - 1.5).requires_grad_()
    upstream = torch.randn(2, 6, 3, 6, 7, dtype=torch.float64)
    found, expected = (work(map, places, (6, 7), scale) for work in (ours, theirs))
    torch.testing.assert_close(found, expected)
    gradients = [torch.autograd.grad(out, (map, places), upstream) for out in (found, expected)]
    torch.testing.assert_close(*gradients)


def test_a_place_that_is_no_number_shows_in_its_window_alone() -> None:
    map, places = torch.randn(2, 3, 20, 8), torch.tensor([[[0.0, 0.0]], [[0.0, float("nan")]]])
    first, second = crop(map, places, (6, 7), (0.3, 0.875))
    assert first.isfinite().all() and second.isnan().all()


def test_half_precision_keeps_its_type_and_exact_places() -> None:
    map, places = torch.randn(1, 2, 20, 8).bfloat16(), torch.rand(1, 3, 2) - 0.5
    found = crop(map, places, (6, 7), (0.3, 0.875))
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found, crop(map.float(), places, (6, 7), (0.3, 0.875)).bfloat16())


def test_corners_are_shares_of_the_picture() -> None:
    boxes = corners(theta((-0.125, -0.7), (0.0, 0.0)), 0.3, 0.875)[0]
    assert boxes[0].flatten().tolist() == pytest.approx([0.0, 0.0, 0.875, 0.3], abs=1e-6)
    assert boxes[1].flatten().tolist() == pytest.approx([0.0625, 0.35, 0.9375, 0.65], abs=1e-6)


def test_gradient_reaches_the_map_and_the_place() -> None:
    map, places = torch.randn(1, 2, 20, 8, requires_grad=True), (torch.rand(1, 3, 2) - 0.5).requires_grad_()
    crop(map, places, (6, 7), (0.3, 0.875)).square().sum().backward()  # type: ignore[no-untyped-call]
    assert map.grad is not None
    assert places.grad is not None
    assert places.grad.abs().min() > 0
