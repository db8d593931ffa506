"""Small models and a small data set to export and to prove on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from resight.data import Dataset, load_dataset
from tests.contracts.test_models import small

if TYPE_CHECKING:
    from torch import Tensor

    from resight.models import ReIDModel


def ready(name: str = "strong_baseline", **options: Any) -> ReIDModel:
    """A small model whose normalizations have seen some pictures, so that vectors of two pictures differ."""
    model = small(name, **options).train()
    with torch.no_grad():
        for seed in range(3):
            model(pictures(model.input_size, 8, seed).float() / 255)
    return model.eval()


def pictures(size: tuple[int, int], count: int, seed: int = 0) -> Tensor:
    """(count, 3, H, W) uint8: blobs of color, which differ more from one another than noise does."""
    coarse = torch.rand(count, 3, 4, 2, generator=torch.Generator().manual_seed(seed)) * 255
    return torch.nn.functional.interpolate(coarse, size=size, mode="bicubic").clamp(0, 255).to(torch.uint8)


def people(count: int = 8) -> Dataset:
    """Some people of the bundled sample."""
    whole = load_dataset("sample")
    tested = set(sorted({sample.pid for sample in whole.query})[:count])
    query = tuple(sample for sample in whole.query if sample.pid in tested)
    gallery = tuple(sample for sample in whole.gallery if sample.pid in tested)
    return replace(whole, train=whole.train[:24], query=query, gallery=gallery)
