"""From pixels to the finished vector in one graph: resize, mean and std, the network, unit length."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from resight.errors import ResightError, UsageError

if TYPE_CHECKING:
    from resight.models import ReIDModel
    from resight.types import Interpolation

EXAMPLE_BATCH = 2  # of one, the exporter takes the batch for a constant of some networks, and says nothing


class PixelGraph(nn.Module):
    """images: RGB uint8 (B, 3, h, w) of any size -> (B, D) float32."""

    def __init__(self, model: ReIDModel, *, autocast: bool) -> None:
        super().__init__()
        self.model = model
        self.autocast = autocast

    def forward(self, images: Tensor) -> Tensor:
        return self.describe(resize(images.float(), self.model.input_size, self.model.interpolation) / 255)

    def describe(self, pixels: Tensor) -> Tensor:
        """RGB float in [0, 1] at the input size -> (B, D), of unit length where the metric is cosine."""
        with torch.autocast(pixels.device.type, torch.bfloat16, enabled=self.autocast):
            vectors = self.model.embed(pixels)  # (B, D)
        vectors = vectors.float()
        return F.normalize(vectors, dim=1) if self.model.metric == "cosine" else vectors


class RawGraph(PixelGraph):
    """images: RGB float in [0, 1], (B, 3, H, W) at the input size -> (B, D) float32."""

    def forward(self, images: Tensor) -> Tensor:
        return self.describe(images)


def resize(pixels: Tensor, size: tuple[int, int], interpolation: Interpolation) -> Tensor:
    """(B, 3, h, w) float in [0, 255] -> (B, 3, H, W), whole numbers: what `resight.data` makes of 8-bit pictures.

    That is Pillow's way: antialiased, first the width and then the height, rounded to 8 bits after each.  Weights have
    16 bits there and are floating-point here, which leaves a difference of one level (bicubic: two) in less than 1 % of
    the pixels.
    """
    for shape in ((pixels.shape[2], size[1]), size):  # (B, 3, h, W), then (B, 3, H, W)
        pixels = (F.interpolate(pixels, size=shape, mode=interpolation, antialias=True) + 0.5).floor()
        if interpolation == "bicubic":  # which leaves the range beside an edge
            pixels = pixels.clamp(0, 255)
    return pixels


def trace(model: ReIDModel, *, raw: bool = False, autocast: bool = False) -> ExportedProgram:
    """The graph of a model in evaluation mode, its batch (and, unless raw, the size of its pictures) left open.

    autocast: the network computes in bf16, as `Extractor(precision="bf16")` has it.
    Raises UsageError where the model's code depends on the number of pictures in a batch.
    """
    height, width = model.input_size
    sizes = {0: Dim("batch")} if raw else {0: Dim("batch"), 2: Dim("height"), 3: Dim("width")}
    graph = (RawGraph if raw else PixelGraph)(model, autocast=autocast).eval()
    images = torch.zeros(EXAMPLE_BATCH, 3, height, width) if raw else _bytes(height + 5, width + 3)
    try:
        with torch.no_grad():
            program = torch.export.export(graph, (images,), dynamic_shapes={"images": sizes})
    except ResightError:
        raise
    except Exception as error:  # torch.export passes on whatever stopped it
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise UsageError(f"{model.name} cannot be exported: torch.export stops with {reason!r}.") from error
    return program


def _bytes(height: int, width: int) -> Tensor:
    return torch.zeros(EXAMPLE_BATCH, 3, height, width, dtype=torch.uint8)
