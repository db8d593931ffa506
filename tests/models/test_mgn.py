"""MGN: three branches with weights of their own, and strips that see their own rows."""

from __future__ import annotations

import pytest
import torch

from resight import models
from resight.errors import UsageError
from resight.models.mgn import MGN
from tests.models.flow import reached, touches

TINY = {"backbone": {"name": "resnet18", "width": 4}, "input_size": (96, 32), "dim": 8}


def test_the_papers_shapes() -> None:
    with torch.device("meta"):
        model = models.build("mgn", 751).eval()
        assert isinstance(model, MGN)
        maps = model.maps_of(torch.empty(1, 3, 384, 128))
    assert {name: tuple(map.shape[1:]) for name, map in maps.items()} == {
        "global/1": (2048, 12, 4), "global/2": (2048, 24, 8), "part/2-0": (2048, 12, 8), "part/2-1": (2048, 12, 8),
        "global/3": (2048, 24, 8), "part/3-0": (2048, 8, 8), "part/3-1": (2048, 8, 8), "part/3-2": (2048, 8, 8),
    }  # fmt: skip
    assert model.embedding_dim == 2048


@pytest.mark.parametrize(("name", "first"), [("mgn", (3, 1)), ("mgn-fastreid", (6, 2))])
def test_the_first_branch_keeps_or_halves_its_map(name: str, first: tuple[int, int]) -> None:
    model = models.build(name, 0, **TINY).eval()
    assert isinstance(model, MGN)
    assert model.maps_of(torch.rand(1, 3, 96, 32))["global/1"].shape[2:] == first


def test_a_branch_teaches_itself_and_the_stem() -> None:
    model = models.build("mgn", 3, **TINY).train()
    output = model(torch.rand(4, 3, 96, 32))
    found = reached(model, output.logits["part/2-1"].square().sum())
    assert touches(found, "stem", "branches.1", "branches.0", "branches.2") == [True, True, False, False]
    joined = torch.cat([output.features[f"part/3-{i}"] for i in range(3)], dim=1)
    assert torch.equal(output.features["parts/3"], joined)


def test_what_it_cannot_divide_is_a_sentence() -> None:
    with pytest.raises(UsageError, match="multiple of 96"):
        models.build("mgn", 0, **TINY).eval().embed(torch.rand(1, 3, 64, 32))
    with pytest.raises(UsageError, match="comes from timm"):
        models.build("mgn", 0, backbone="convnext_atto")
