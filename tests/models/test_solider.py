"""SOLIDER's Swin: windows, what the shift brings together, sizes, and the controller."""

from __future__ import annotations

import pytest
import torch

from resight import models
from resight.models.backbones.swin import APART, SIZES, WINDOW, cut, join, region_mask

TINY = {"backbone": {"dim": 32, "depths": (1, 2, 1, 1)}, "input_size": (64, 32)}


@pytest.mark.parametrize(("name", "parameters"), [("swin_tiny", 27.5), ("swin_small", 48.8), ("swin_base", 86.7)])
def test_the_sizes_of_swin(name: str, parameters: float) -> None:
    """Millions without classifiers: those of timm's networks of these names, the controller aside."""
    with torch.device("meta"):
        model = models.build("solider", 0, backbone=name, semantic_weight=None)
    assert round(models.complexity_of(model).parameters / 1e6, 1) == parameters
    assert model.embedding_dim == 8 * SIZES[name][0]


def test_windows_are_cut_and_joined() -> None:
    x = torch.arange(2 * 14 * 21 * 3.0).reshape(2, 14, 21, 3)
    windows = cut(x)
    assert windows.shape == (2, 6, 49, 3)
    assert torch.equal(windows[0, 1].reshape(7, 7, 3), x[0, :7, 7:14])
    assert torch.equal(join(windows, 14, 21), x)


def test_the_mask_keeps_apart_what_the_shift_brought_together() -> None:
    mask = region_mask(14, 7, WINDOW // 2, torch.zeros(()))
    assert set(mask.flatten().tolist()) == {0.0, APART}
    first, last = mask
    top, bottom = 0, 6 * WINDOW  # first and last row of a window, first column
    assert first[top, bottom] == 0  # neighbors on the map
    assert last[top, bottom] == APART  # the last rows and the first, rolled round


def test_lambda_moves_the_features_and_belongs_to_the_space() -> None:
    built = {}
    for share in (0.2, 1.0):
        torch.manual_seed(0)
        built[share] = models.build("solider", 0, **TINY, semantic_weight=share).eval()
    low, high = built.values()
    with torch.no_grad():
        images = torch.rand(2, 3, 64, 32)
        assert not torch.allclose(low.embed(images), high.embed(images))
    assert low.fingerprint() != high.fingerprint()
    controller = [p for name, p in low.named_parameters() if ".semantic_embed_" in name]
    assert len(controller) == 12
    assert not any(p.requires_grad for p in controller)
