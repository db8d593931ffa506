"""Peers that are no package: our model of their file gives the numbers that their own modules gave."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from resight.errors import CheckpointError
from resight.models.checkpoints import convert
from tests.models.checkpoints.peers import pixels, record, state

CASES: dict[str, tuple[str, str, dict[str, Any]]] = {  # record -> family, arch, options
    "fastreid_bot": ("fastreid", "bagtricks_R50", {}),
    "fastreid_agw": ("fastreid", "AGW_R50", {}),
    "fastreid_sbs": ("fastreid", "sbs_R50-ibn", {}),
    "fastreid_mgn": ("fastreid", "mgn_R50-ibn", {}),
    "strong_baseline": ("strong-baseline", "resnet50", {}),
    "transreid_plain": ("transreid", "vit_base", {"backbone": {"stride": 16}}),
    "transreid_full": ("transreid", "transreid", {"backbone": {"stride": 12}}),
    "personvit": ("personvit", "vit_base", {"backbone": {"stride": 16}}),
    "clip_reid": ("clip-reid", "clip_reid", {"backbone": {"stride": 12}}),
    "solider": ("solider", "solider_swin_tiny", {}),
}
CAMERAS = torch.tensor([1, 3])  # the first and the last of three, where the peer was given 0 and 2


@pytest.mark.parametrize("name", CASES)
def test_the_descriptor_is_the_peers(name: str, tmp_path: Path) -> None:
    found, (family, arch, options) = record(name), CASES[name]
    torch.save({"model": state(found)}, tmp_path / "peer.pth")
    size = tuple(found["size"])
    converted = convert(tmp_path / "peer.pth", input_size=size, **options)
    assert converted.arch == arch
    assert converted.family.name == (family if family != "personvit" else "transreid")  # the names are the same
    model = converted.model
    assert model.interpolation == ("bicubic" if family == "fastreid" else "bilinear")
    with torch.no_grad():
        cameras = (CAMERAS,) if getattr(model, "takes_cameras", False) else ()
        descriptor = model.embed(pixels(*size), *cameras)
    assert descriptor.shape == (2, found["dim"])
    expected = torch.tensor(found["values"])
    scale = expected.abs().max()
    torch.testing.assert_close(descriptor[:, :: found["every"]] / scale, expected / scale, atol=1e-5, rtol=0)
    torch.testing.assert_close(descriptor.double().norm(dim=1), torch.tensor(found["norm"]).double(), rtol=1e-5, atol=0)


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("transreid_plain", "base.pos_embed"),
        ("clip_reid", "image_encoder.positional_embedding"),
        ("clip_reid", "image_encoder.proj"),
        ("solider", "base.patch_embed.projection.weight"),
    ],
)
def test_a_file_that_lacks_a_tensor_is_answered_with_its_name(name: str, tensor: str, tmp_path: Path) -> None:
    found = record(name)
    torch.save({key: value for key, value in state(found).items() if key != tensor}, tmp_path / "part.pth")
    with pytest.raises(CheckpointError, match=tensor):
        convert(tmp_path / "part.pth", input_size=tuple(found["size"]), **CASES[name][2])


def test_a_branch_that_fastreid_does_not_have_is_answered_with_its_name(tmp_path: Path) -> None:
    found = record("fastreid_mgn")
    torch.save(state(found) | {"b4_head.bottleneck.0.weight": torch.zeros(1)}, tmp_path / "more.pth")
    with pytest.raises(CheckpointError, match=r"without a place \(b4_head.bottleneck.0.weight"):
        convert(tmp_path / "more.pth", input_size=tuple(found["size"]))
