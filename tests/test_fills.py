"""Fills of erased regions follow the model's own normalization, whatever its backbone was trained with."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from resight import data
from resight.assembly import build_trainer
from resight.training.monitoring.progress import Silent
from tests.tiny import tiny

ODD = ("model.mean=[0.5, 0.4, 0.3]", "model.std=[0.5, 0.25, 0.2]")


@pytest.mark.parametrize("settings", [(), ODD])
@pytest.mark.parametrize("fill", ["mean", "strong_baseline"])
def test_the_fill_of_a_run_is_the_models(people: Path, tmp_path: Path, settings: tuple[str, ...], fill: str) -> None:
    recipe = tiny(people, "augment.erase=1.0", f"augment.erase_fill={fill}", "augment.pad=0", *settings)
    dataset = data.load_dataset("market", root=people)
    trainer = build_trainer(recipe, dataset, None, tmp_path, torch.device("cpu"), Silent())
    trainer.model.eval()
    white = torch.full((8, 3, 64, 32), 255, dtype=torch.uint8)
    erased = trainer.model.normalize(trainer.feed.augment(white, torch.Generator().manual_seed(0)))
    kept = trainer.model.normalize(white)
    expected = torch.zeros(3) if fill == "mean" else trainer.model.mean.flatten()
    changed = (erased - kept).abs().amax(dim=1) > 1e-3  # (B, H, W)
    assert 0.01 < changed.double().mean() < 0.5
    torch.testing.assert_close(erased.permute(0, 2, 3, 1)[changed], expected.expand(int(changed.sum()), 3))


def test_a_backbone_of_timm_brings_its_own() -> None:
    from resight import models

    with torch.device("meta"):
        model = models.build("baseline", 3, backbone={"name": "inception_v3"}, input_size=[256, 128])
    assert model.pixel_statistics == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
