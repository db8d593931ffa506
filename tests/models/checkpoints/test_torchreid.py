"""Against the package torchreid itself: its networks, its file, our model, one descriptor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from resight.errors import CheckpointError, UnknownNameError
from resight.models.checkpoints import convert
from tests.models.checkpoints.peers import fill

SIZES = {"hacnn": (160, 64), "pcb_p6": (96, 32), "pcb_p4": (64, 32)}
NAMES = (
    "osnet_x1_0", "osnet_x0_75", "osnet_x0_5", "osnet_x0_25", "osnet_ibn_x1_0", "osnet_ain_x1_0", "osnet_ain_x0_25",
    "resnet50", "resnet50_ibn_a", "resnet50_fc512", "pcb_p6", "pcb_p4", "hacnn",
)  # fmt: skip


@pytest.fixture(scope="module")
def factory() -> Any:
    return pytest.importorskip("torchreid.reid.models")


def peer(factory: Any, name: str) -> nn.Module:
    """A network of theirs, every tensor drawn by its name."""
    whole = name == "hacnn"  # keeps tensors that are no part of its state
    with torch.device("cpu" if whole else "meta"):  # else their own start is a waste here
        module: nn.Module = factory.build_model(name, 3, pretrained=False, use_gpu=False)
    module = module if whole else module.to_empty(device="cpu")
    module.load_state_dict({k: made(k, v) for k, v in module.state_dict().items()})
    return module.eval()


def made(name: str, tensor: Tensor) -> Tensor:
    return fill(name, tuple(tensor.shape)) if tensor.is_floating_point() else torch.zeros_like(tensor)


def arranged(name: str, descriptor: Tensor) -> Tensor:
    """Their PCB puts channels before strips, ours strips before channels."""
    if not name.startswith("pcb"):
        return descriptor
    parts = int(name[-1])
    return descriptor.reshape(len(descriptor), -1, parts).transpose(1, 2).flatten(1)


@pytest.mark.parametrize("name", NAMES)
def test_the_descriptor_is_theirs(name: str, factory: Any, tmp_path: Path) -> None:
    theirs = peer(factory, name)
    state = {f"module.{k}": v for k, v in theirs.state_dict().items()}
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "m.pth")
    size = SIZES.get(name, (64, 32))
    converted = convert(tmp_path / "m.pth", input_size=size)
    assert (converted.family.name, converted.arch) == ("torchreid", name)
    assert all("classifier" in dropped for dropped in converted.dropped)
    model = converted.model
    images = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = arranged(name, theirs(model.normalize(images)))
        found = model.embed(images)
    scale = expected.abs().max()
    torch.testing.assert_close(found / scale, expected / scale, atol=1e-5, rtol=0)


def test_what_has_no_home_is_refused_by_name(tmp_path: Path) -> None:
    torch.save({"conv1.weight": torch.zeros(8, 3, 3, 3), "stage2.0.conv.weight": torch.zeros(4)}, tmp_path / "m.pth")
    with pytest.raises(CheckpointError, match=r"no home here. Those that have one: osnet_x1_0, "):
        convert(tmp_path / "m.pth", "torchreid")
    with pytest.raises(UnknownNameError, match="no network of torchreid named 'mlfn'"):
        convert(tmp_path / "m.pth", "torchreid", "mlfn")
    with pytest.raises(UnknownNameError, match="family of checkpoints"):
        convert(tmp_path / "m.pth", "torchried")


@pytest.mark.parametrize("name", ["densenet121", "mlfn", "mobilenetv2_x1_0", "se_resnet50", "shufflenet"])
def test_its_networks_without_a_home_are_refused(name: str, factory: Any, tmp_path: Path) -> None:
    with torch.device("meta"):
        names = factory.build_model(name, 3, pretrained=False, use_gpu=False).state_dict()
    torch.save({tensor: torch.zeros(1) for tensor in names}, tmp_path / "m.pth")
    with pytest.raises(CheckpointError, match=r"home here.*osnet_x1_0"):
        convert(tmp_path / "m.pth", "torchreid")
