"""Trunks by name: ours, timm's, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.error import URLError

import pytest
import torch
import torchvision.models
from torch import nn

from resight import models
from resight.errors import CheckpointError, UnknownNameError, UsageError
from resight.models.backbones.timm import BackboneOptions, build_backbone

if TYPE_CHECKING:
    from resight.models.backbones.base import Trunk

SIZE = (64, 32)


def trunk(name: str, **options: object) -> Trunk:
    return build_backbone(BackboneOptions(name=name, **options), SIZE)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["timm/resnet18", "convnext_atto", "mobilenetv3_small_050", "dla34"])
def test_a_timm_network_is_a_chain_of_four_stages(name: str) -> None:
    backbone = trunk(name).eval()
    x = images = torch.rand(2, 3, *SIZE)
    with torch.no_grad():
        expected = backbone.body(images)[-1]  # type: ignore[operator]
        for stage, channels in zip(backbone.stages(), backbone.channels, strict=True):
            x = stage(x)
            assert x.shape[1] == channels
        parts = nn.Sequential(*backbone.stage_modules())(images)
    assert len(backbone.channels) == 4
    assert backbone.stride == 32
    for map in (x, parts, backbone(images)):
        torch.testing.assert_close(map, expected)


def test_channels_kept_last_come_out_second() -> None:
    backbone = build_backbone(BackboneOptions(name="swin_s3_tiny_224"), (224, 224))
    assert backbone.channels == (96, 192, 384, 768)
    assert backbone.fixed_size == (224, 224)
    x = torch.rand(1, 3, 224, 224)
    with torch.no_grad():
        for stage, channels in zip(backbone.eval().stages(), backbone.channels, strict=True):
            x = stage(x)
            assert x.shape[1] == channels


def test_a_transformer_is_one_map_of_one_size() -> None:
    backbone = build_backbone(BackboneOptions(name="vit_tiny_patch16_224"), SIZE)
    assert backbone(torch.rand(2, 3, *SIZE)).shape == (2, 192, 4, 2)
    with pytest.raises(UsageError, match="not a chain of stages"):
        backbone.stages()
    model = models.build("baseline", 0, backbone="vit_tiny_patch16_224", input_size=SIZE).eval()
    with pytest.raises(UsageError, match="64x32 only"):
        model.embed(torch.rand(1, 3, 128, 64))


def test_attention_attaches_to_the_stages_of_a_timm_network() -> None:
    model = models.build("mancs", 3, backbone="convnext_atto", input_size=SIZE).eval()
    output = model(torch.rand(2, 3, *SIZE))
    assert {name: tuple(mask.shape) for name, mask in output.maps.items()} == {
        "conv2": (2, 40, 16, 8),
        "conv3": (2, 80, 8, 4),
        "conv4": (2, 160, 4, 2),
    }
    assert output.features["rank"].shape == (2, 320)


@pytest.mark.parametrize("method", ["pyramid", "mdpr", "strong_baseline", "verification"])
def test_every_method_takes_a_timm_network(method: str) -> None:
    with torch.device("meta"):
        model = models.build(method, 3, backbone="convnext_atto", input_size=(192, 64)).train()
        assert model.embed(torch.empty(2, 3, 192, 64)).shape == (2, model.embedding_dim)


def test_pictures_too_small_for_a_network_are_a_sentence() -> None:
    with pytest.raises(UsageError, match=r"mancs cannot take pictures of 64x32 .*larger input_size"):
        models.probe("mancs", 3, backbone="inception_v3", input_size=SIZE)


@pytest.mark.parametrize("name", ["resnet1888", "hf-hub:someone/model", "local-dir:/etc", "timm/../x", ""])
def test_an_unknown_backbone_is_named(name: str) -> None:
    with pytest.raises(UnknownNameError, match="no backbone named"):
        trunk(name)


@pytest.mark.parametrize("option", [{"ibn": True}, {"last_stride": 1}, {"last_stride": 2}, {"width": 32}])
def test_our_edits_are_refused_on_timm_networks(option: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="keeps its form"):
        trunk("convnext_atto", **option)


def test_a_timm_network_keeps_the_resolution_of_its_last_stage() -> None:
    theirs, ours = trunk("timm/resnet18", last_stride=1).eval(), trunk("resnet18", last_stride=1).eval()
    ours.load_state_dict({name.removeprefix("body."): tensor for name, tensor in theirs.state_dict().items()})
    with torch.no_grad():
        images = torch.rand(2, 3, *SIZE)
        torch.testing.assert_close(theirs(images), ours(images))
        assert trunk("tf_efficientnet_lite0", last_stride=1).eval()(images).shape == (2, 320, 4, 2)
    assert theirs.stride == ours.stride == 16
    for name in ("resnet18d", "vit_tiny_patch16_224"):  # averages its way down; has no stages
        with pytest.raises(UsageError, match="keeps its form"):
            trunk(name, last_stride=1)
    with pytest.raises(UsageError, match="keeps its form"):
        trunk("vit_tiny_patch16_224", class_token=True, last_stride=1)


def test_offline_says_so_and_offers_a_way(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*args: object, **kwargs: object) -> None:
        raise URLError("no route to host")

    weights = torchvision.models.get_model_weights("resnet18")["IMAGENET1K_V1"]
    monkeypatch.setattr(type(weights), "get_state_dict", unreachable)
    with pytest.raises(CheckpointError, match=r"could not be fetched.*backbone.pretrained = false"):
        trunk("resnet18", pretrained=True)
    monkeypatch.setattr("timm.create_model", unreachable)
    with pytest.raises(CheckpointError, match=r"could not be fetched.*backbone.pretrained = false"):
        trunk("timm/resnet18", pretrained=True)


def test_pretrained_weights_are_those_of_torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    source = torchvision.models.resnet18(weights=None).state_dict()
    weights = torchvision.models.get_model_weights("resnet18")["IMAGENET1K_V1"]
    monkeypatch.setattr(type(weights), "get_state_dict", lambda *_, **__: source)
    assert torch.equal(trunk("resnet18", pretrained=True).state_dict()["conv1.weight"], source["conv1.weight"])
    with torch.device("meta"):
        trunk("resnet18", pretrained=True)  # nothing is fetched for a probe


@pytest.mark.parametrize("option", [{"name": "resnet10"}, {"width": 32}, {"ibn": True}])
def test_weights_nobody_published_are_not_promised(option: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="no ImageNet weights"):
        trunk(**({"name": "resnet18", "pretrained": True} | option))  # type: ignore[arg-type]


def test_a_method_that_needs_ibn_says_what_it_lacks() -> None:
    """MDPR's trunk has IBN-a unless told otherwise: plain ImageNet weights would fill it in part."""
    with pytest.raises(UsageError, match="ibn True"):
        models.build("mdpr", 3, backbone={"name": "resnet18", "pretrained": True})


def test_normalisation_follows_the_weights() -> None:
    vit = models.build("baseline", 0, backbone="vit_tiny_patch16_224", input_size=SIZE)
    ours = models.build("baseline", 0, backbone={"name": "resnet10", "width": 8})
    assert vit.mean.flatten().tolist() == [0.5, 0.5, 0.5]
    torch.testing.assert_close(ours.mean.flatten(), torch.tensor([0.485, 0.456, 0.406]))
    own = models.build("baseline", 0, backbone={"name": "resnet10", "width": 8}, mean=(0.0, 0.0, 0.0), std=(1, 1, 1))
    images = torch.rand(1, 3, *SIZE)
    assert torch.equal(own.eval().normalize(images), images)
