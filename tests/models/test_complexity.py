"""What models cost, counted."""

from __future__ import annotations

import pytest
import torch

from resight import models
from resight.errors import UnknownNameError
from resight.models.complexity import CLASSICAL, classical


def test_profiling_leaves_the_model_as_it_is() -> None:
    model = models.build("baseline", 7, backbone={"name": "resnet10", "width": 4}, input_size=(64, 32)).train()
    before = model.fingerprint()
    found = models.complexity_of(model)
    assert model.training
    assert model.fingerprint() == before
    assert found.parameters - found.parameters_without_classifiers == 7 * 32 + 7
    assert (found.embedding_dim, found.input_size) == (32, (64, 32))


def test_multiply_adds_by_hand() -> None:
    """A 1x1-like count: the stem alone is 7 x 7 x 3 x width at half the resolution."""
    with torch.device("meta"):
        slim = models.build("baseline", 0, backbone={"name": "resnet10", "width": 4}, input_size=(64, 32))
        with_layer = models.build(
            "baseline", 0, backbone={"name": "resnet10", "width": 4}, input_size=(64, 32), embedding=10
        )
    assert models.complexity_of(with_layer).macs - models.complexity_of(slim).macs == 32 * 10
    stem = 7 * 7 * 3 * 4 * 32 * 16
    stages = 0
    for inner, outer, h, w, shortcut in ((4, 4, 16, 8, 0), (4, 8, 8, 4, 1), (8, 16, 4, 2, 1), (16, 32, 2, 1, 1)):
        stages += (9 * inner * outer + 9 * outer * outer + shortcut * inner * outer) * h * w
    assert models.complexity_of(slim).macs == stem + stages


def test_every_part_stays_in_its_mode() -> None:
    model = models.build("baseline", 0, backbone={"name": "resnet10", "width": 4}, input_size=(64, 32)).train()
    backbone = model.get_submodule("backbone").eval()  # frozen
    models.complexity_of(model)
    assert model.training and model.get_submodule("pool").training
    assert not any(part.training for part in backbone.modules())


@pytest.mark.parametrize(
    ("name", "parameters", "gmacs"),
    [
        ("alexnet", 61_100_840, 0.714),
        ("vgg16", 138_357_544, 15.47),
        ("googlenet", 6_624_904, 1.498),
        ("resnet50", 25_557_032, 4.089),
    ],
)
def test_the_classical_networks(name: str, parameters: int, gmacs: float) -> None:
    found = classical(name)
    assert found.parameters == parameters
    assert found.macs / 1e9 == pytest.approx(gmacs, rel=0.005)


def test_a_network_we_do_not_know() -> None:
    assert set(CLASSICAL) == {"alexnet", "vgg16", "googlenet", "resnet50"}
    with pytest.raises(UnknownNameError, match="classical network"):
        classical("lenet")
