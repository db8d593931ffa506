"""Every model leaves as ONNX, and every kind of block as OpenVINO and pt2, whatever the batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from resight.export.export import describe, without_heads
from resight.export.graph import trace
from resight.export.proof import agreement, vectors
from resight.export.writers import write
from resight.models.exported import ExportedModel
from tests.contracts.test_models import NAMES, TRUNK
from tests.export.examples import pictures, ready

if TYPE_CHECKING:
    from pathlib import Path

    from resight.export.writers import Format
    from resight.models import ReIDModel

pytest.importorskip("onnxscript")
BATCHES = (1, 2, 7)
SLOW = {"hacnn", "hacnn-torchreid"}
BLOCKS: dict[str, tuple[str, dict[str, Any]]] = {
    "instance normalization, GeM, neck": ("strong_baseline", {"backbone": TRUNK | {"ibn": True}, "pooling": "gem"}),
    "attention": ("mancs", {}),
    "regions": ("hacnn", {}),
    "stripes": ("pyramid", {}),
    "omni-scale gates": ("osnet", {}),
    "transformer": ("transreid", {}),
    "shifted windows": ("solider", {}),
}


def exported(model: ReIDModel, to: Format, folder: Path) -> ExportedModel:
    description = describe(model, "fp32", raw=False, card={})
    return ExportedModel(write(trace(without_heads(model)), to, description, folder, None))


def check(model: ReIDModel, file: ExportedModel) -> None:
    images = pictures(model.input_size, sum(BATCHES), seed=9)
    expected = vectors(model, images)
    assert file.fingerprint() == model.fingerprint()
    assert agreement(expected, expected[::-1], model.metric) < 0.9999  # or equal vectors would prove nothing
    for part, wanted in zip(
        torch.split(images, list(BATCHES)), torch.split(torch.from_numpy(expected), list(BATCHES)), strict=True
    ):
        assert agreement(vectors(file, part), wanted, model.metric) > 0.99999


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in NAMES]
)
def test_every_model_as_onnx_in_batches_of_1_2_and_7(name: str, tmp_path: Path) -> None:
    model = ready(name)
    check(model, exported(model, "onnx", tmp_path))


@pytest.mark.parametrize("to", ["openvino", "pt2"])
@pytest.mark.parametrize("block", BLOCKS)
def test_every_kind_of_block_as_openvino_and_pt2(block: str, to: Format, tmp_path: Path) -> None:
    if to == "openvino":
        pytest.importorskip("openvino")
    name, options = BLOCKS[block]
    model = ready(name, **options)
    check(model, exported(model, to, tmp_path))
