"""The graph before the network, and what it leaves open."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor

from resight.errors import UsageError
from resight.export.graph import resize, trace
from resight.export.proof import at_size
from resight.models import ReIDModel
from resight.types import Interpolation
from tests.export.examples import pictures, ready

MOST: dict[Interpolation, int] = {"bilinear": 1, "bicubic": 2}  # levels of 255


@pytest.mark.parametrize("interpolation", get_args(Interpolation))
@pytest.mark.parametrize("size", [(128, 64), (64, 32), (200, 90), (301, 77), (17, 40), (1, 1)])
def test_pixels_are_those_of_the_loader_but_for_the_last_level_in_a_few_places(
    size: tuple[int, int], interpolation: Interpolation
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (4, *size, 3), dtype=np.uint8)
    for images in (noise, pictures(size, 4).permute(0, 2, 3, 1).numpy()):
        loaded = at_size([*images], (128, 64), interpolation).float()
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float()
        difference = (resize(pixels, (128, 64), interpolation) - loaded).abs()
        assert difference.max() <= MOST[interpolation]
        assert (difference > 0).float().mean() < 0.01
        if size == (128, 64):
            assert not difference.any()


def test_the_order_of_passes_and_their_rounding_matter() -> None:
    """A resize in one step, as networks have it, is farther away."""
    images = torch.randint(0, 256, (4, 3, 301, 77), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    loaded = at_size([*images.permute(0, 2, 3, 1).numpy()], (128, 64), "bilinear").float()
    at_once = torch.nn.functional.interpolate(images.float(), size=(128, 64), mode="bilinear", antialias=True).round()
    assert ((at_once - loaded).abs() > 0).float().mean() > 0.05


def test_a_model_that_counts_its_batch_cannot_be_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    embed = ReIDModel.embed

    def counting(self: ReIDModel, images: Tensor) -> Tensor:
        return embed(self, images) * (2.0 if len(images) > 1 else 1.0) if len(images) != 2 else embed(self, images)

    monkeypatch.setattr(ReIDModel, "embed", counting)
    with pytest.raises(UsageError, match="strong_baseline cannot be exported"):
        trace(ready())
