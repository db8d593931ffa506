"""Classifiers, attribute heads, channel groups."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from resight import models
from resight.errors import UsageError
from resight.models.heads import AttributeHeads, ChannelGroups, CosineHead, LinearHead, build_head

TINY = {"name": "resnet10", "width": 4}


def test_a_linear_head_is_a_matrix() -> None:
    head = LinearHead(3, 5, bias=True)
    features = torch.randn(4, 3)
    assert head.bias is not None
    torch.testing.assert_close(head(features), features @ head.weight.T + head.bias)
    assert LinearHead(3, 5, bias=False).bias is None


def test_a_cosine_head_ignores_lengths() -> None:
    head = build_head("cosine", 3, 5, bias=True)
    assert isinstance(head, CosineHead)
    assert head.bias is None
    features = torch.randn(4, 3)
    cosines = head(features)
    torch.testing.assert_close(cosines, head(features * 7))
    assert cosines.abs().max() <= 1 + 1e-6
    expected = F.cosine_similarity(features[:, None], head.weight[None], dim=2)
    torch.testing.assert_close(cosines, expected)


def test_cosines_are_taken_in_full_precision_under_autocast() -> None:
    head = CosineHead(64, 5, bias=False)
    features = torch.randn(4, 64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(head(features), head(features).float())
        torch.testing.assert_close(
            head(features),
            F.linear(F.normalize(features).double(), F.normalize(head.weight).double()).float(),
            atol=1e-5,
            rtol=0,
        )


def test_classifiers_start_small() -> None:
    torch.manual_seed(0)
    assert LinearHead(512, 100, bias=True).weight.std().item() == pytest.approx(0.001, rel=0.02)
    assert CosineHead(512, 100, bias=False, std=0.01).weight.std().item() == pytest.approx(0.01, rel=0.02)


def test_attribute_heads_by_name() -> None:
    heads = AttributeHeads(8, {"hat": 2, "keys": 3, "upper colour": 9})
    scores = heads(torch.randn(4, 8))
    assert {name: tuple(s.shape) for name, s in scores.items()} == {
        "attribute/hat": (4, 2),
        "attribute/keys": (4, 3),
        "attribute/upper colour": (4, 9),
    }
    for wrong in ({"hat": 1}, {"a.b": 2}, {"": 2}):
        with pytest.raises(UsageError, match="attribute"):
            AttributeHeads(8, wrong)


def test_attributes_are_read_from_the_descriptor() -> None:
    """The shared feature that is compared, so attributes shape what retrieval sees."""
    model = models.build("strong_baseline", 3, backbone=TINY, input_size=(32, 32), attributes={"hat": 2}).train()
    output = model(torch.rand(4, 3, 32, 32))
    expected = model.attribute_heads(output.features["neck"])
    assert torch.equal(output.logits["attribute/hat"], expected["attribute/hat"])


def test_one_group_is_one_classifier() -> None:
    groups = ChannelGroups(12, 1, 5, dim=None, kind="linear").train()
    feature = torch.randn(6, 12)
    (group,) = groups(feature)
    norm, head = groups.norms[0], groups.heads[0]
    assert isinstance(head, LinearHead)
    torch.testing.assert_close(group, F.batch_norm(feature, None, None, norm.weight, norm.bias, training=True))  # type: ignore[arg-type]
    assert torch.equal(groups.classify([group])[0], F.linear(group, head.weight))


def test_a_group_sees_its_own_channels_only() -> None:
    groups = ChannelGroups(12, 3, 5, dim=2, kind="linear").eval()
    feature = torch.randn(2, 12, requires_grad=True)
    features = groups(feature)
    assert [tuple(f.shape) for f in features] == [(2, 2)] * 3
    (gradient,) = torch.autograd.grad(groups.classify(features)[1].square().sum(), feature)
    assert gradient[:, 4:8].count_nonzero()
    assert not gradient[:, :4].count_nonzero()
    assert not gradient[:, 8:].count_nonzero()


def test_channel_groups_on_a_model() -> None:
    model = models.build("baseline", 3, backbone=TINY, input_size=(32, 32), channel_groups=4).eval()
    output = model(torch.rand(2, 3, 32, 32))
    assert list(output.logits) == [f"group/{i}" for i in range(4)]
    assert model.embedding_dim == 32
    assert torch.equal(
        model.descriptor(output.features), torch.cat([output.features[f"group/{i}"] for i in range(4)], 1)
    )
