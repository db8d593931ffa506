"""Windows that a network places: exact slices on whole pixels, zeros beyond the border."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from resight.models.windows import corners, crop, crop_resampled


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


def test_windows_equal_torchs_affine_grid() -> None:
    map, places = torch.randn(2, 3, 20, 8), torch.rand(2, 4, 2) - 0.5
    found = crop(map, places, (6, 7), (0.3, 0.875))
    for k in range(4):
        matrix = torch.zeros(2, 2, 3)
        matrix[:, 0, 0], matrix[:, 1, 1], matrix[:, :, 2] = 0.875, 0.3, places[:, k]
        grid = F.affine_grid(matrix, [2, 3, 6, 7], align_corners=False)
        torch.testing.assert_close(found[:, k], F.grid_sample(map, grid, align_corners=False))


def test_the_ports_window_is_scaled_twice() -> None:
    map, places = torch.randn(2, 3, 20, 8), torch.rand(2, 4, 2) - 0.5
    found = crop_resampled(map, places, (6, 7), (0.25, 1.0))
    for k in range(4):
        matrix = torch.zeros(2, 2, 3)
        matrix[:, 0, 0], matrix[:, 1, 1], matrix[:, :, 2] = 1.0, 0.25, places[:, k]
        full = F.grid_sample(map, F.affine_grid(matrix, [2, 3, 20, 8], align_corners=False), align_corners=False)
        expected = F.interpolate(full, (6, 7), mode="bilinear", align_corners=True)
        torch.testing.assert_close(found[:, k], expected)


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
