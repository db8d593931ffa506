"""Every model leaves as ONNX, and every kind of block as OpenVINO and pt2, whatever the batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from resight.export.export import describe, without_heads
from resight.export.graph import trace
from resight.export.proof import agreement, vectors
from resight.export.writers import convert_onnx, write_onnx, write_pt2
from resight.models.exported import ExportedModel
from tests.contracts.test_models import NAMES, TRUNK
from tests.export.examples import pictures, ready

if TYPE_CHECKING:
    from pathlib import Path

    from resight.models import ReIDModel

pytest.importorskip("onnxscript")
BATCHES = (1, 2, 7)
SLOW = {"hacnn", "hacnn-torchreid"}
BLOCKS = {
    "agw": "non-local attention",
    "hacnn": "regions",
    "mancs": "attention",
    "osnet": "omni-scale gates",
    "pyramid": "stripes",
    "solider": "shifted windows",
    "strong_baseline": "instance normalization, GeM, neck",
    "transreid": "transformer",
}
OPTIONS: dict[str, dict[str, Any]] = {"strong_baseline": {"backbone": TRUNK | {"ibn": True}, "pooling": "gem"}}


def check(model: ReIDModel, path: Path) -> None:
    file, images = ExportedModel(path), pictures(model.input_size, sum(BATCHES), seed=9)
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
def test_every_model_as_onnx_and_every_kind_of_block_as_openvino_and_pt2(name: str, tmp_path: Path) -> None:
    """One trace, for it takes most of the time: what the formats add is checked file by file."""
    model = ready(name, **OPTIONS.get(name, {}))
    program, description = trace(without_heads(model)), describe(model, "fp32", raw=False, card={})
    images = pictures(model.input_size, 5, seed=4)
    with torch.no_grad():
        traced = program.module()(images)
    assert agreement(traced, vectors(model, images), model.metric) > 0.99999, "another batch than the trace's"
    write_onnx(program, description, tmp_path / "model.onnx", None)
    check(model, tmp_path / "model.onnx")
    if name not in BLOCKS:
        return
    write_pt2(program, description, tmp_path / "model.pt2")
    check(model, tmp_path / "model.pt2")
    pytest.importorskip("openvino")
    convert_onnx(tmp_path / "model.onnx", description, tmp_path / "model.xml", None)
    check(model, tmp_path / "model.xml")


def test_the_kinds_of_block_are_of_models_that_are_here() -> None:
    assert BLOCKS.keys() <= set(NAMES)
