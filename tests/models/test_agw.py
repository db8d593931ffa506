"""AGW: non-local blocks that start as the identity, do what the equation says, and stand where they should."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from resight import models
from resight.errors import UsageError
from resight.models.agw import NonLocal

TINY = {"backbone": {"name": "resnet18", "width": 4}, "input_size": (64, 32)}


def test_a_block_starts_as_the_identity() -> None:
    x = torch.randn(2, 6, 4, 3)
    assert torch.equal(NonLocal(6, 2)(x), x)


def test_the_equation_in_loops() -> None:
    torch.manual_seed(0)
    block = NonLocal(4, 2).eval()
    torch.nn.init.ones_(block.W[1].weight)  # type: ignore[arg-type]
    x = torch.randn(1, 4, 2, 3)
    with torch.no_grad():
        theta, phi, g = (layer(x)[0].flatten(1) for layer in (block.theta, block.phi, block.g))  # (2, 6)
        y = torch.zeros(2, 6)
        for i in range(6):
            for j in range(6):
                y[:, i] += (theta[:, i] @ phi[:, j]) * g[:, j] / 6
        torch.testing.assert_close(block(x), x + block.W(y.reshape(1, 2, 2, 3)))


def test_where_the_blocks_stand() -> None:
    """After the last blocks of a stage: with all of them the identity, moving one shows at its place alone."""
    torch.manual_seed(0)
    model: Any = models.build("agw", 0, **TINY, non_local=(0, 1, 2, 0)).eval()
    assert [len(added) for added in model.backbone.non_local] == [0, 1, 2, 0]
    plain = models.build("strong_baseline", 0, **TINY, pooling="gem").eval()
    state = {name.replace("backbone.trunk.", "backbone."): tensor for name, tensor in model.state_dict().items()}
    plain.load_state_dict({name: tensor for name, tensor in state.items() if ".non_local." not in name})
    x = torch.rand(2, 3, 64, 32)
    with torch.no_grad():
        torch.testing.assert_close(model.embed(x), plain.embed(x))
        torch.nn.init.ones_(model.backbone.non_local[2][1].W[1].weight)
        assert not torch.allclose(model.embed(x), plain.embed(x))


def test_as_published_and_what_is_refused() -> None:
    with torch.device("meta"):
        built: dict[str, Any] = {name: models.build("agw", 0, backbone=name) for name in ("resnet50", "resnet101")}
    counts = {name: [len(added) for added in model.backbone.non_local] for name, model in built.items()}
    assert counts == {"resnet50": [0, 2, 3, 0], "resnet101": [0, 2, 9, 0]}
    with pytest.raises(UsageError, match="3 in stage 1, which has 2 blocks"):
        models.build("agw", 0, **TINY, non_local=(3, 0, 0, 0))
    with pytest.raises(UsageError, match="comes from timm"):
        models.build("agw", 0, backbone="convnext_atto")
