"""What a converter leaves behind, put right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn
from torch.export import Dim

from resight.export.writers import fold_constants, to_onnx
from resight.models.exported.runtimes import openvino

if TYPE_CHECKING:
    from pathlib import Path


def test_weights_of_depthwise_convolutions_are_constants(tmp_path: Path) -> None:
    """Behind a computed reshape NNCF would quantize them along the wrong axis."""
    pytest.importorskip("onnxscript")
    pytest.importorskip("openvino")
    layer = nn.Conv2d(4, 4, 3, groups=4, bias=False)
    program = torch.export.export(layer, (torch.zeros(2, 4, 8, 8),), dynamic_shapes=({0: Dim("batch")},))
    to_onnx(program, tmp_path / "model.onnx")
    model = openvino().Core().read_model(tmp_path / "model.onnx")

    def weights() -> list[str]:
        found = [op for op in model.get_ordered_ops() if op.get_type_name() == "GroupConvolution"]
        return [op.input_value(1).get_node().get_type_name() for op in found]

    assert weights() == ["Reshape"]
    fold_constants(model)
    assert weights() == ["Constant"]
