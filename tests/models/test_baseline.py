"""The two baselines of the field."""

from __future__ import annotations

import torch
from torch import nn

from resight import models
from resight.models.layers import GeM, Neck
from tests.models.flow import reached, touches

TINY = {"name": "resnet10", "width": 4}
SIZE = (64, 32)


def test_the_plain_baseline_compares_what_it_classifies() -> None:
    model = models.build("baseline", 3, backbone=TINY, input_size=SIZE).eval()
    images = torch.rand(2, 3, *SIZE)
    output = model(images)
    assert set(output.features) == {"global"}
    torch.testing.assert_close(model.embed(images), model.backbone(model.normalize(images)).mean(dim=(2, 3)))  # type: ignore[operator]
    torch.testing.assert_close(output.logits["identity"], model.classifier(output.features["global"]))  # type: ignore[operator]
    assert model.classifier.bias is not None  # type: ignore[union-attr]


def test_an_embedding_layer_is_what_is_compared() -> None:
    model = models.build("baseline", 3, backbone=TINY, input_size=SIZE, embedding=6, pooling="gem").eval()
    assert model.embedding_dim == 6
    assert isinstance(model.pool, GeM)
    assert model(torch.rand(2, 3, *SIZE)).features["global"].shape == (2, 6)


def test_the_neck_stands_between_metric_and_classifier() -> None:
    """Luo et al.: the metric loss before the batch normalisation, the ID loss and retrieval after it."""
    model = models.build("strong_baseline", 3, backbone=TINY, input_size=SIZE).train()
    assert isinstance(model.neck, Neck)
    assert not model.neck.bias.requires_grad
    images = torch.rand(4, 3, *SIZE)
    output = model(images)
    torch.testing.assert_close(output.features["neck"].mean(dim=0), torch.zeros(32), atol=1e-5, rtol=0)
    metric = reached(model, output.features["global"].square().sum())
    assert touches(metric, "backbone.", "neck.", "classifier.") == [True, False, False]
    identity = reached(model, model(images).logits["identity"].square().sum())
    assert touches(identity, "backbone.", "neck.", "classifier.") == [True, True, True]
    model.eval()
    assert torch.equal(model.embed(images), model(images).features["neck"])
    assert model.classifier.bias is None  # type: ignore[union-attr]
    assert model.metric == "cosine"


def test_the_last_stride_is_one_unless_told_otherwise() -> None:
    strong = models.build("strong_baseline", 0, backbone=TINY)
    told = models.build("strong_baseline", 0, backbone=TINY | {"last_stride": 2})
    plain = models.build("baseline", 0, backbone=TINY)
    images = torch.rand(1, 3, 256, 128)
    maps = [m.backbone(images).shape[2:] for m in (strong, told, plain)]  # type: ignore[operator]
    assert maps == [(16, 8), (8, 4), (8, 4)]


def test_any_feature_can_be_compared_instead() -> None:
    model = models.build("strong_baseline", 3, backbone=TINY, input_size=SIZE, retrieval=["global", "neck"]).eval()
    images = torch.rand(2, 3, *SIZE)
    features = model(images).features
    assert model.embedding_dim == 64
    assert torch.equal(model.embed(images), torch.cat([features["global"], features["neck"]], dim=1))


def test_cosine_head() -> None:
    model = models.build("strong_baseline", 3, backbone=TINY, input_size=SIZE, head="cosine").eval()
    assert model(torch.rand(2, 3, *SIZE)).logits["identity"].abs().max() <= 1 + 1e-6


def test_the_classifier_is_no_part_of_the_descriptor() -> None:
    model = models.build("strong_baseline", 3, backbone=TINY, input_size=SIZE).eval()
    images = torch.rand(2, 3, *SIZE)
    before, fingerprint = model.embed(images), model.fingerprint()
    nn.init.normal_(model.classifier.weight)  # type: ignore[union-attr, arg-type]
    assert torch.equal(model.embed(images), before)
    assert model.fingerprint() == fingerprint
