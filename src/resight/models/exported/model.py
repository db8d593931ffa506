"""An exported file as an Embedder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from resight.errors import CheckpointError, UsageError
from resight.models.base import PairScores
from resight.models.exported.proof_file import PROOF, Proof, check_proof
from resight.models.exported.runtimes import OnnxFile, OpenVINOFile
from resight.models.exported.torch_export import TorchExportFile

if TYPE_CHECKING:
    from resight.models.exported.description import Description
    from resight.types import Metric


class Runtime(Protocol):
    """A file opened by the library that runs it."""

    description: Description

    def run(self, images: Tensor) -> Tensor:
        """(B, 3, h, w) as the description says, contiguous, on the CPU -> (B, D) float32."""
        ...


RUNTIMES: dict[str, type[OnnxFile] | type[OpenVINOFile] | type[TorchExportFile]] = {
    ".onnx": OnnxFile,
    ".xml": OpenVINOFile,
    ".pt2": TorchExportFile,
}


class ExportedModel:
    """Runs an exported file on the CPU: `embed(images) -> (B, embedding_dim)`, in the precision it was exported in.

    Its fingerprint is that of the model it was exported from, so a gallery takes vectors of both.  There are neither
    maps nor classifiers, and it cannot be trained: for that, load the run folder.
    """

    def __init__(self, path: Path) -> None:
        """Opens the file whatever its proof says; `open_exported` asks for one."""
        self.path = path
        self.runtime: Runtime = RUNTIMES[path.suffix](path)
        self.description = self.runtime.description
        self.name = self.description.model
        self.input_size = self.description.input_size
        self.interpolation = self.description.interpolation
        self.embedding_dim = self.description.dimension
        self.metric: Metric = self.description.metric
        self.precision = self.description.precision

    def embed(self, images: Tensor) -> Tensor:
        """RGB (B, 3, h, w), uint8 or float in [0, 1] -> (B, D) on the CPU, of unit length where the metric is cosine.

        Any h and w, except for raw files, which take `input_size` alone.  Float pixels are rounded to 256 levels for
        files that take bytes.  Raises UsageError for images of another kind.
        """
        self._check(images)
        images = images.detach().cpu()
        if self.description.raw:
            images = images.float() / 255 if images.dtype == torch.uint8 else images.float()
        elif images.is_floating_point():
            images = (images.float() * 255).round().clamp(0, 255).to(torch.uint8)
        return self.runtime.run(images.contiguous())

    def verify(self, a: Tensor, b: Tensor) -> PairScores:
        """Two batches of images compared row by row, by the descriptor alone."""
        return PairScores.of(self.embed(a), self.embed(b), self.metric)

    def fingerprint(self) -> str:
        return self.description.fingerprint

    def _check(self, images: Tensor) -> None:
        kinds = images.dtype == torch.uint8 or images.is_floating_point()
        if images.ndim != 4 or images.shape[1] != 3 or not kinds:
            raise UsageError(
                f"{self.path.name}: images of shape {tuple(images.shape)}, {images.dtype}; expected (B, 3, H, W), RGB, "
                f"uint8 or float in [0, 1]."
            )
        size = (images.shape[2], images.shape[3])
        if self.description.raw and size != self.input_size:
            raise UsageError(
                f"{self.path.name}: images of {size[0]}x{size[1]}, but this raw file takes "
                f"{self.input_size[0]}x{self.input_size[1]} alone. Resize them, or export without --raw."
            )


def is_exported(path: Path) -> bool:
    """Whether a path names an exported model: by its ending, or a folder that holds a proof and no run."""
    return path.suffix in RUNTIMES or ((path / PROOF).is_file() and not (path / "model.safetensors").exists())


def open_exported(path: Path) -> ExportedModel:
    """The model in an .onnx, .xml or .pt2 file, or in the folder of one, after its proof is checked.

    Raises CheckpointError where the file or its proof is missing, the proof failed, or the two do not belong together;
    MissingExtraError where the runtime is not installed.
    """
    if path.is_dir():
        path = path / _model_in(path)
    if not path.is_file():
        raise CheckpointError(f"there is no exported model {path}. Make one with: resight export MODEL --to onnx")
    proof = check_proof(path)
    model = ExportedModel(path)
    if model.fingerprint() != proof.fingerprint:
        raise CheckpointError(f"{path} and its {PROOF} name two models; export the model again.")
    return model


def _model_in(folder: Path) -> str:
    names = [name for name in Proof.load(folder / PROOF).files if Path(name).suffix in RUNTIMES]
    if len(names) != 1 or Path(names[0]).name != names[0]:
        raise CheckpointError(f"{folder / PROOF} names no exported model. Export again.")
    return names[0]
