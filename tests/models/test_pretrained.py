"""Weights from files: every wrapping comes off, nothing is loaded in silence, nothing is executed."""

from __future__ import annotations

import logging
import pickle
import warnings
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from resight import models
from resight.errors import CheckpointError
from resight.models.backbones.pretrained import load_weights_file, read_weights
from resight.models.backbones.resnet import ResNet

if TYPE_CHECKING:
    from pathlib import Path


def network(**options: Any) -> ResNet:
    return ResNet("resnet10", width=4, **options)


def state(seed: int = 1) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    return network().state_dict()


@pytest.mark.parametrize(
    ("prefix", "wrapper"),
    [
        ("", None),
        ("", "state_dict"),
        ("module.", "state_dict"),
        ("module.encoder_q.", "state_dict"),  # MoCo
        ("module.base_encoder.", "state_dict"),  # MoCo v3
        ("backbone.", "model"),  # fast-reid, LUPerson's fine-tuned files
        ("base.", None),  # the strong baseline's own
        ("module.model.", None),
    ],
)
def test_every_wrapping_comes_off(prefix: str, wrapper: str | None, tmp_path: Path) -> None:
    wrapped: dict[str, Any] = {prefix + name: tensor for name, tensor in state().items()}
    wrapped[prefix + "fc.weight"] = torch.zeros(10, 32)
    torch.save({"epoch": 3, wrapper: wrapped} if wrapper else wrapped, tmp_path / "w.pth")
    target = network()
    report = load_weights_file(target, tmp_path / "w.pth")
    assert report.prefix == prefix
    assert report.dropped == (prefix + "fc.weight",)
    assert not report.missing
    assert all(torch.equal(a, b) for a, b in zip(target.state_dict().values(), state().values(), strict=True))


def test_what_is_of_no_use_is_listed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    torch.save(state() | {"fc.weight": torch.zeros(10, 32), "fc.bias": torch.zeros(10)}, tmp_path / "w.pth")
    load_weights_file(network(), tmp_path / "w.pth")
    (record,) = caplog.records
    assert record.levelname == "WARNING"  # seen without any set-up
    assert "2 dropped (fc.bias, fc.weight), none missing" in record.message


@pytest.mark.parametrize("name", ["NL_2.0.theta.weight", "sie_embed", "layer1.0.se.fc1.weight"])
def test_a_trunk_with_more_layers_is_another_network(name: str, tmp_path: Path) -> None:
    wrapped = {f"backbone.{key}": tensor for key, tensor in state().items()}
    torch.save(
        {"model": wrapped | {f"backbone.{name}": torch.zeros(3), "heads.weight": torch.zeros(3)}}, tmp_path / "w"
    )
    target = network()
    before = target.conv1.weight.clone()
    with pytest.raises(CheckpointError, match=rf"1 without a place \(backbone.{name}\).*resight import"):
        load_weights_file(target, tmp_path / "w", partial=True)
    assert torch.equal(target.conv1.weight, before)


def test_moco_gives_its_query_encoder(tmp_path: Path) -> None:
    query = {f"module.encoder_q.{k}": v for k, v in state(1).items()}
    momentum = {f"module.encoder_k.{k}": v for k, v in state(2).items()}
    torch.save({"state_dict": momentum | query}, tmp_path / "moco.pth")
    target = network()
    report = load_weights_file(target, tmp_path / "moco.pth")
    assert torch.equal(target.conv1.weight, state(1)["conv1.weight"])
    assert len(report.dropped) == len(momentum)


def test_safetensors_load_as_well(tmp_path: Path) -> None:
    save_file(state(), tmp_path / "w.safetensors")
    target = network()
    load_weights_file(target, tmp_path / "w.safetensors")
    assert torch.equal(target.conv1.weight, state()["conv1.weight"])


def test_missing_tensors_are_refused_or_listed(tmp_path: Path) -> None:
    """A plain checkpoint into IBN layers: half of every first norm has nowhere to come from."""
    torch.save(state(), tmp_path / "plain.pth")
    with pytest.raises(CheckpointError, match=r"missing .*IN\.bias.*partial"):
        load_weights_file(network(ibn=True), tmp_path / "plain.pth")
    target = network(ibn=True)
    with pytest.warns(UserWarning, match=r"18 missing .*layer1.0.bn1.BN"):
        report = load_weights_file(target, tmp_path / "plain.pth", partial=True)
    assert len(report.missing) == 3 * 6  # three norms: two tensors of IN, four of BN
    assert all(".bn1." in name for name in report.missing)
    assert torch.equal(target.conv1.weight, state()["conv1.weight"])


def test_another_shape_names_the_tensor(tmp_path: Path) -> None:
    torch.save(ResNet("resnet10", width=8).state_dict(), tmp_path / "wide.pth")
    with pytest.raises(CheckpointError, match=r"bn1.bias: found \(8,\), expected \(4,\)"):
        load_weights_file(network(), tmp_path / "wide.pth")


def test_another_network_fits_nothing(tmp_path: Path) -> None:
    torch.save({"text.embedding": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match=r"fits nothing here.*text.embedding"):
        load_weights_file(network(), tmp_path / "other.pth")


class Trap:
    """Unpickling this writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (open, (str(self.path), "w"))


def test_a_file_is_never_executed(tmp_path: Path) -> None:
    torch.save({"state_dict": state(), "args": Trap(tmp_path / "sprung")}, tmp_path / "trap.pth")
    (tmp_path / "raw.pth").write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    for name in ("trap.pth", "raw.pth"):
        with warnings.catch_warnings(), pytest.raises(CheckpointError, match="cannot be read as weights"):
            warnings.simplefilter("ignore")
            read_weights(tmp_path / name)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("content", [b"", b"not weights at all", b"PK\x03\x04broken"])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_damaged_files_are_a_sentence(content: bytes, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="cannot be read as weights"):
        read_weights(path)


def test_what_is_not_there_or_holds_nothing(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no weights file"):
        read_weights(tmp_path / "absent.pth")
    torch.save({"epoch": 1}, tmp_path / "empty.pth")
    with pytest.raises(CheckpointError, match="no tensors by name"):
        read_weights(tmp_path / "empty.pth")


def test_a_model_reads_its_backbone_from_a_file(tmp_path: Path) -> None:
    torch.save({"module." + k: v for k, v in state().items()}, tmp_path / "w.pth")
    backbone = {"name": "resnet10", "width": 4, "weights": str(tmp_path / "w.pth")}
    model = models.build("strong_baseline", 3, backbone=backbone)
    assert torch.equal(model.state_dict()["backbone.conv1.weight"], state()["conv1.weight"])
    models.save_model(model, tmp_path)
    (tmp_path / "w.pth").unlink()  # the saved model needs its source no more
    assert models.load_model(tmp_path).fingerprint() == model.fingerprint()


@pytest.mark.parametrize("name", ["resnet50", "timm/resnet18"])
def test_a_file_takes_the_place_of_what_would_be_fetched(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(*_: Any, **__: Any) -> None:
        pytest.fail("fetched")

    monkeypatch.setattr("resight.models.backbones.timm.fetch_imagenet", fetch)
    options = {"name": name, "pretrained": True, "weights": str(tmp_path / "absent.pth")}
    with pytest.raises(CheckpointError, match="no weights file"):
        models.build("baseline", 0, backbone=options, input_size=(64, 32))


@pytest.mark.parametrize("name", ["convnext_atto", "mobilenetv3_small_050", "vit_tiny_patch16_224"])
def test_a_timm_network_reads_timms_own_files(name: str, tmp_path: Path) -> None:
    import timm

    size: dict[str, Any] = {"img_size": (64, 32)} if name.startswith("vit") else {}
    source: Any = timm.create_model(name, **size).eval()
    torch.save({"state_dict": {f"module.{k}": v for k, v in source.state_dict().items()}}, tmp_path / "w.pth")
    options = {"name": name, "weights": str(tmp_path / "w.pth")}
    model = models.build("baseline", 0, backbone=options, input_size=(64, 32)).eval()
    images = model.normalize(torch.rand(2, 3, 64, 32))
    with torch.no_grad():
        expected = source.forward_intermediates(images, indices=1, norm=True, intermediates_only=True)[0]
        torch.testing.assert_close(model.backbone(images), expected)  # type: ignore[operator]
