"""OSNet against its papers: sizes, where instance normalization stands, and what the gate shares."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from resight import models
from resight.models.osnet import AggregationGate, OSBlock, OSNet


@pytest.mark.parametrize(
    ("name", "parameters", "macs"),
    [
        ("osnet_x1_0", 2.2, 978.9),
        ("osnet_x0_75", 1.3, 571.8),
        ("osnet_x0_5", 0.6, 272.9),
        ("osnet_x0_25", 0.2, 82.3),
        ("osnet_ibn_x1_0", 2.2, 978.9),
        ("osnet_ain_x1_0", 2.2, 978.9),
    ],
)
def test_the_papers_parameters_and_multiply_adds(name: str, parameters: float, macs: float) -> None:
    """Millions, as table 4 of 2019 and the authors' model zoo give them."""
    with torch.device("meta"):
        found = models.complexity_of(models.build(name, 0))
    assert round(found.parameters_without_classifiers / 1e6, 1) == parameters
    assert round(found.macs / 1e6, 1) == macs
    assert found.embedding_dim == 512


def instance_norms(name: str) -> list[str]:
    with torch.device("meta"):
        model = models.build(name, 0)
    return [name for name, module in model.named_modules() if isinstance(module, nn.InstanceNorm2d)]


def test_where_instance_normalization_stands() -> None:
    assert instance_norms("osnet") == []
    assert instance_norms("osnet_ibn_x1_0") == ["conv1.bn", "conv2.0.IN", "conv2.1.IN"]
    assert instance_norms("osnet_ain_x1_0") == ["conv1.bn", "conv2.0.IN", "conv2.1.IN", "conv3.1.IN", "conv4.0.IN"]


def test_a_stream_sees_as_far_as_it_is_long() -> None:
    """A gradient from one place reaches 3, 5, 7, 9 pixels in the four streams."""
    block = OSBlock(16, 64, "none", listed=False).eval()
    for length, name in enumerate(block.streams, start=1):
        x = torch.randn(1, 16, 11, 11, requires_grad=True)
        block.get_submodule(name)(x)[0, :, 5, 5].sum().backward()
        assert x.grad is not None
        touched = x.grad.abs().sum(dim=(0, 1, 2)).nonzero().flatten()
        assert (touched.min().item(), touched.max().item()) == (5 - length, 5 + length)


def test_one_gate_weighs_all_streams() -> None:
    torch.manual_seed(0)
    block = OSBlock(16, 64, "none", listed=True)
    gates = [module for module in block.modules() if isinstance(module, AggregationGate)]
    assert len(gates) == 1
    x = torch.randn(2, 16, 4, 4)
    gate = gates[0](x) / x  # the same weight at every place of a channel, between 0 and 1
    assert ((gate > 0) & (gate < 1)).all()
    torch.testing.assert_close(gate, gate[:, :, :1, :1].expand_as(gate))


def test_only_ain_is_compared_by_cosine() -> None:
    with torch.device("meta"):
        kinds = {name: models.build(name, 0) for name in ("osnet", "osnet_ibn_x1_0", "osnet_ain_x1_0")}
    assert all(isinstance(model, OSNet) for model in kinds.values())
    assert {name: model.metric for name, model in kinds.items()} == {
        "osnet": "euclidean", "osnet_ibn_x1_0": "euclidean", "osnet_ain_x1_0": "cosine",
    }  # fmt: skip
