"""What a converter leaves behind, put right."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import pytest
import torch
from torch import nn
from torch.export import Dim

from resight.export.graph import resize
from resight.export.proof import at_size
from resight.export.writers import antialias, fold_constants, to_onnx
from resight.models.exported.runtimes import onnxruntime, openvino
from resight.types import Interpolation
from tests.export.examples import pictures
from tests.export.test_graph import MOST

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor


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


class Resize(nn.Module):
    def __init__(self, interpolation: Interpolation) -> None:
        super().__init__()
        self.interpolation = interpolation

    def forward(self, images: Tensor) -> Tensor:
        return resize(images.float(), (64, 32), self.interpolation)


@pytest.mark.parametrize("interpolation", get_args(Interpolation))
def test_both_runtimes_resize_as_the_loader_does(interpolation: Interpolation, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    pytest.importorskip("openvino")
    sizes = {0: Dim("batch"), 2: Dim("height"), 3: Dim("width")}
    program = torch.export.export(
        Resize(interpolation), (torch.zeros(2, 3, 69, 35, dtype=torch.uint8),), dynamic_shapes={"images": sizes}
    )
    to_onnx(program, tmp_path / "model.onnx")
    session = onnxruntime().InferenceSession(tmp_path / "model.onnx")
    core = openvino().Core()
    model = core.read_model(tmp_path / "model.onnx")
    antialias(model)
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    noise = torch.Generator().manual_seed(0)
    for size in ((131, 59), (48, 25), (64, 32), (17, 40)):
        edges = 255 * torch.randint(0, 2, (4, 3, *size), dtype=torch.uint8, generator=noise)  # bicubic overshoots
        for images in (edges, pictures(size, 4)):
            loaded = at_size([*images.permute(0, 2, 3, 1).numpy()], (64, 32), interpolation).numpy()
            for found in (session.run(None, {"images": images.numpy()})[0], compiled([images.numpy()])[0]):
                assert abs(found - loaded).max() <= (0 if size == (64, 32) else MOST[interpolation])
                assert (found != loaded).mean() < 0.03
