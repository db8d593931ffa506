"""Our residual networks against torchvision's, and the edits of this field."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import nn

from resight.models.backbones.resnet import IBN, ResNet


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_torchvisions_weights_give_torchvisions_map(name: str) -> None:
    theirs = getattr(torchvision.models, name)(weights=None).eval()
    ours = ResNet(name).eval()
    state = {k: v for k, v in theirs.state_dict().items() if not k.startswith("fc.")}
    ours.load_state_dict(state)  # strict: the names are the same
    images = torch.rand(1, 3, 64, 32)
    with torch.no_grad():
        expected = torch.nn.Sequential(*list(theirs.children())[:-2])(images)
        torch.testing.assert_close(ours(images), expected)


@pytest.mark.parametrize(
    ("name", "count"), [("resnet18", 11_176_512), ("resnet50", 23_508_032), ("resnet101", 42_500_160)]
)
def test_parameters_without_classifier(name: str, count: int) -> None:
    with torch.device("meta"):
        assert parameters(ResNet(name)) == count
        assert parameters(ResNet(name, ibn=True)) == count  # the split norms have as many


def test_the_last_stride_keeps_the_resolution() -> None:
    with torch.device("meta"):
        images = torch.empty(1, 3, 384, 128)
        assert ResNet("resnet101", last_stride=1)(images).shape == (1, 2048, 24, 8)
        assert ResNet("resnet101")(images).shape == (1, 2048, 12, 4)
        assert ResNet("resnet18", last_stride=1, width=16)(images).shape == (1, 128, 24, 8)


def test_stages_are_the_network_cut_in_four() -> None:
    network = ResNet("resnet10", width=8).eval()
    x = images = torch.rand(2, 3, 64, 32)
    for stage, channels in zip(network.stages(), network.channels, strict=True):
        x = stage(x)
        assert x.shape[1] == channels
    assert torch.equal(x, network(images))
    assert torch.equal(x, nn.Sequential(*network.stage_modules())(images))


def test_ibn_normalises_half_by_instance() -> None:
    norm = IBN(6).train()
    x = torch.randn(4, 6, 5, 5) * torch.arange(1.0, 5).view(4, 1, 1, 1) + 3
    y = norm(x)
    torch.testing.assert_close(y[:, :3].mean(dim=(2, 3)), torch.zeros(4, 3), atol=1e-5, rtol=0)
    assert y[:, 3:].mean(dim=(2, 3)).abs().max() > 0.01  # only the batch as a whole is centred there
    torch.testing.assert_close(y[:, 3:].mean(dim=(0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)


def test_ibn_sits_in_the_first_norm_of_the_first_three_stages() -> None:
    network = ResNet("resnet50", ibn=True, width=8)
    places = [name for name, module in network.named_modules() if isinstance(module, IBN)]
    assert len(places) == 3 + 4 + 6
    assert all(name.endswith(".bn1") and not name.startswith("layer4") for name in places)
    assert "layer1.0.bn1.IN.weight" in network.state_dict()


def test_ceil_pooling_has_no_padding() -> None:
    network = ResNet("resnet10", width=4, ceil_pool=True)
    assert (network.maxpool.padding, network.maxpool.ceil_mode) == (0, True)
    assert network.maxpool(torch.zeros(1, 4, 192, 96)).shape == (1, 4, 96, 48)


def test_a_stem_without_relu_lets_negative_values_through() -> None:
    torch.manual_seed(0)
    plain, linear = ResNet("resnet10", width=4).eval(), ResNet("resnet10", width=4, stem_relu=False).eval()
    linear.load_state_dict(plain.state_dict())
    images = torch.rand(2, 3, 64, 32)
    with torch.no_grad():
        normed = plain.bn1(plain.conv1(images))
        torch.testing.assert_close(linear.stem(images), linear.maxpool(normed))
        torch.testing.assert_close(plain.stem(images), plain.maxpool(normed.relu()))
        assert not torch.equal(linear(images), plain(images))
