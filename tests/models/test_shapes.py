"""The papers' tables of shapes at their own input sizes, step by step, on the meta device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from resight import models

if TYPE_CHECKING:
    from torch import Tensor, nn

MANCS = {
    "backbone.maxpool": (64, 64, 32),
    "backbone.layer1": (256, 64, 32), "attention.0": (256, 64, 32),
    "backbone.layer2": (512, 32, 16), "attention.1": (512, 32, 16),
    "backbone.layer3": (1024, 16, 8), "attention.2": (1024, 16, 8),
    "backbone.layer4": (2048, 8, 4),
    "identity_task": (2048,), "attention_task": (1792,),
}  # fmt: skip
HACNN = {
    "stem": (32, 80, 32),
    "stages.0.0": (128, 80, 32), "stages.0": (128, 40, 16), "stages.1": (256, 20, 8), "stages.2": (384, 10, 4),
    "local.0": (128, 12, 14), "local.1": (256, 6, 7), "local.2": (384, 3, 4),
    "global_summary": (512,), "local_summary": (512,),
}  # fmt: skip
PYRAMID = {
    "backbone.conv1": (64, 192, 64), "backbone.maxpool": (64, 96, 32), "backbone.layer1": (256, 96, 32),
    "backbone.layer2": (512, 48, 16), "backbone.layer3": (1024, 24, 8), "backbone.layer4": (2048, 24, 8),
    "branches.0": (128,), "branches.20": (128,),
}  # fmt: skip
MDPR = {
    "backbone.shared": (512, 48, 24),
    "backbone.hard.0": (1024, 24, 12), "backbone.hard.1": (2048, 24, 12),
    "backbone.soft.0": (1024, 24, 12), "backbone.soft.1": (2048, 24, 12),
    "hard.whole": (512, 24, 12), "hard.parts.0": (512, 12, 12), "hard.parts.1": (512, 12, 12),
    "soft.res5": (512, 24, 12), "soft.attend5": (3, 24, 12), "soft.attend4": (3, 24, 12),
    "soft.pre_embed": (1024, 24, 12), "soft.res4": (512, 24, 12),
    "fusion.stripes": (512, 24, 12), "fusion.hard": (1024, 24, 12), "fusion.soft": (1024, 24, 12),
    "fusion.both": (2048, 24, 12), "heads.hard": (512,), "heads.fusion": (2048,), "heads.attended/res5": (1024,),
}  # fmt: skip


@pytest.mark.parametrize(("name", "steps"), [("mancs", MANCS), ("hacnn", HACNN), ("pyramid", PYRAMID), ("mdpr", MDPR)])
def test_each_step_has_the_papers_shape(name: str, steps: dict[str, tuple[int, ...]]) -> None:
    seen: dict[str, tuple[int, ...]] = {}

    def note(step: str) -> Any:
        def hook(_module: nn.Module, _given: Any, gives: Tensor | tuple[Tensor, ...]) -> None:
            first = gives if isinstance(gives, torch.Tensor) else gives[0]
            seen[step] = tuple(first.shape[1:])

        return hook

    with torch.device("meta"):
        model = models.build(name, 751).train()
        for step in steps:
            model.get_submodule(step).register_forward_hook(note(step))
        model(torch.empty(2, 3, *model.input_size))
    assert seen == steps
