"""PCB: each strip is its rows' mean, and its classifier sees nothing else."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from resight import models
from resight.errors import UsageError
from resight.models.pcb import PCB
from tests.models.flow import reached, touches

TINY = {"backbone": {"name": "resnet10", "width": 4}, "input_size": (96, 32), "dim": 8}


def build(**options: object) -> PCB:
    torch.manual_seed(0)
    model = models.build("pcb", 3, **TINY, **options)
    assert isinstance(model, PCB)
    return model


def test_the_papers_shapes() -> None:
    with torch.device("meta"):
        model = models.build("pcb", 751).train()
        output = model(torch.empty(2, 3, 384, 128))
    assert (output.features["g"].shape, output.features["h"].shape) == ((2, 6 * 2048), (2, 6 * 256))
    assert {name: score.shape for name, score in output.logits.items()} == {f"part/{i}": (2, 751) for i in range(6)}
    assert model.embedding_dim == 12_288


def test_the_descriptor_is_the_strips_at_unit_length() -> None:
    model, images = build().eval(), torch.rand(2, 3, 96, 32)
    with torch.no_grad():
        found = model.embed(images)
        map = model.backbone(model.normalize(images))  # six rows, one a strip
    expected = torch.cat([F.normalize(map[:, :, i].mean(dim=2)) for i in range(6)], dim=1)
    torch.testing.assert_close(found, expected)
    assert build(retrieval=("h",)).embedding_dim == 48


def test_a_strips_classifier_teaches_its_own_weights() -> None:
    model = build().train()
    found = reached(model, model(torch.rand(4, 3, 96, 32)).logits["part/2"].square().sum())
    assert touches(found, "classifiers_of_parts.2", "classifiers_of_parts.1", "reduce", "backbone") == [
        True, False, True, True,
    ]  # fmt: skip


def test_rows_that_do_not_divide_are_a_sentence() -> None:
    with pytest.raises(UsageError, match="multiple of 96"):
        build().eval().embed(torch.rand(1, 3, 80, 32))
