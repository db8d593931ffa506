"""Pixels to vectors: any kind of picture in, unit descriptors out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from resight.data.images import decode, resize
from resight.errors import ImageError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from resight.types import Embedder


@dataclass(frozen=True)
class Unreadable:
    """A picture that gave no vector, and why."""

    index: int
    path: Path
    reason: str


class Extractor:
    """`embed(pictures) -> (N, D) float32`, unit length where the model's metric is cosine.

    A picture is a path, a PIL image, an RGB uint8 array (H, W, 3) or a tensor (3, H, W), uint8 or float in [0, 1];
    one or a sequence of them, or a ready tensor (N, 3, H, W).  Pictures of any size are resized to the model's input.

    flip: average with the mirrored picture.  precision: "fp32" or "bf16"; bf16 moves similarities by about 1e-3.
    Raises ImageError naming the first picture that cannot be read; `embed.tolerant` skips and lists instead.
    """

    def __init__(
        self,
        model: Embedder,
        device: str | torch.device = "auto",
        batch: int = 64,
        *,
        flip: bool = False,
        precision: str = "fp32",
    ) -> None:
        if batch < 1:
            raise UsageError(f"batch is {batch}; give at least 1.")
        self.device = resolve_device(device)
        self.batch, self.flip, self.precision = batch, flip, precision
        self.model = model
        if isinstance(model, nn.Module):
            model.to(self.device).eval()

    def __call__(self, pictures: Any, progress: Callable[[int], None] | None = None) -> NDArray[np.float32]:
        """Vectors (N, D) in the order of the pictures; `progress` hears how many are done."""
        vectors, _ = self._run(_as_sequence(pictures), progress, tolerant=False)
        return vectors

    def tolerant(
        self, pictures: Any, progress: Callable[[int], None] | None = None
    ) -> tuple[NDArray[np.float32], list[Unreadable]]:
        """Vectors of the pictures that can be read, and the list of those that cannot."""
        return self._run(_as_sequence(pictures), progress, tolerant=True)

    def tensors(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) at the model's input size -> (B, D) on the device, not yet of unit length."""
        with (
            torch.inference_mode(),
            torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"),
        ):
            images = images.to(self.device)
            vectors = self.model.embed(images).float()
            if self.flip:
                vectors = vectors + self.model.embed(images.flip(-1)).float()
        return vectors

    def _run(
        self, pictures: Sequence[Any], progress: Callable[[int], None] | None, *, tolerant: bool
    ) -> tuple[NDArray[np.float32], list[Unreadable]]:
        vectors: list[NDArray[np.float32]] = []
        broken: list[Unreadable] = []
        for start in range(0, len(pictures), self.batch):
            block = []
            for offset, picture in enumerate(pictures[start : start + self.batch]):
                try:
                    block.append(self._pixels(picture))
                except ImageError as error:
                    if not tolerant:
                        raise
                    broken.append(Unreadable(start + offset, Path(str(picture)), str(error)))
            if block:
                vectors.append(self.finish(self.tensors(_stack(block))))
            if progress is not None:
                progress(min(start + self.batch, len(pictures)))
        if not vectors:
            return np.zeros((0, self.model.embedding_dim), np.float32), broken
        return np.concatenate(vectors), broken

    def finish(self, vectors: Tensor) -> NDArray[np.float32]:
        """To the host, of unit length where the metric asks for it."""
        if self.model.metric == "cosine":
            vectors = nn.functional.normalize(vectors, dim=1)
        return vectors.cpu().numpy().astype(np.float32, copy=False)

    def _pixels(self, picture: Any) -> Tensor:
        """One picture -> (3, H, W) at the input size; uint8 except for float tensors."""
        size = self.model.input_size
        if isinstance(picture, str | Path | bytes):
            return torch.from_numpy(decode(picture, size)).permute(2, 0, 1)
        if isinstance(picture, Tensor):
            return _fit(picture, size)
        array = np.asarray(picture.convert("RGB") if hasattr(picture, "convert") else picture)
        if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8:
            raise ImageError(f"a picture array is RGB uint8 (H, W, 3); this one is {array.dtype} {array.shape}.")
        return torch.from_numpy(np.ascontiguousarray(resize([array], size)[0])).permute(2, 0, 1)


def resolve_device(device: str | torch.device) -> torch.device:
    """`auto`: cuda where there is one, then mps, then cpu.  Raises UsageError for one that is not here."""
    if isinstance(device, torch.device):
        return device
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise UsageError(f"there is no device {device!r}; use auto, cpu, cuda, cuda:1 or mps.") from error
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise UsageError(f"device {device!r} was asked for, but torch sees no CUDA device. Use --device auto or cpu.")
    return chosen


def chunks(count: int, size: int) -> Iterator[NDArray[np.int64]]:
    """Rows 0..count-1 in blocks."""
    for start in range(0, count, size):
        yield np.arange(start, min(start + size, count), dtype=np.int64)


def _as_sequence(pictures: Any) -> Sequence[Any]:
    if isinstance(pictures, str | Path | bytes) or hasattr(pictures, "convert"):
        return [pictures]
    if isinstance(pictures, Tensor | np.ndarray) and pictures.ndim == 3:
        return [pictures]
    return list(pictures)


def _stack(block: list[Tensor]) -> Tensor:
    """(B, 3, H, W): uint8 where all are, else float in [0, 1]."""
    if any(image.is_floating_point() for image in block):
        block = [image.float() if image.is_floating_point() else image.float() / 255.0 for image in block]
    return torch.stack(block)


def _fit(image: Tensor, size: tuple[int, int]) -> Tensor:
    if image.ndim != 3 or image.shape[0] != 3:
        raise ImageError(f"a picture tensor is RGB (3, H, W); this one is {tuple(image.shape)}.")
    if tuple(image.shape[1:]) == size:
        return image
    return nn.functional.interpolate(image[None], size=size, mode="bilinear", antialias=True)[0]
