"""Pixels to vectors: any kind of picture in, unit descriptors out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from resight.data.loading.decode import decode, resize
from resight.dist import rank, sum_over_ranks, world_size
from resight.dist.processes import gather_objects
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
    share: in a process group all processes call together, each embeds every W-th batch, and all get all vectors, those
    one process would give; False leaves the others out of it.
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
        share: bool = True,
    ) -> None:
        if batch < 1:
            raise UsageError(f"batch is {batch}; give at least 1.")
        self.device = resolve_device(device)
        self.batch, self.flip, self.precision = batch, flip, precision
        self.shared = share and world_size() > 1
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
        vectors = [np.zeros((0, self.model.embedding_dim), np.float32)]
        rows: list[int] = []  # of the pictures that gave a vector
        broken: list[Unreadable] = []
        first, turn = (rank(), world_size()) if self.shared else (0, 1)
        for start in range(first * self.batch, len(pictures), turn * self.batch):
            block, unread = self._block(pictures[start : start + self.batch], start)
            broken += unread.values()
            if broken and not tolerant:
                break
            rows += [row for row in range(start, start + len(block) + len(unread)) if row not in unread]
            if block:
                vectors.append(self.finish(self.tensors(_stack(block))))
            if progress is not None:
                progress(min(start + turn * self.batch, len(pictures)))
        found = np.concatenate(vectors)
        if self.shared:
            found, broken = self._from_all(found, rows, broken, len(pictures))
        if broken and not tolerant:
            raise ImageError(broken[0].reason)
        return found, broken

    def _block(self, pictures: Sequence[Any], start: int) -> tuple[list[Tensor], dict[int, Unreadable]]:
        """The pixels of those that can be read; the others by their row, which counts from `start`."""
        block: list[Tensor] = []
        unread: dict[int, Unreadable] = {}
        for row, picture in enumerate(pictures, start):
            try:
                block.append(self._pixels(picture))
            except ImageError as error:
                unread[row] = Unreadable(row, Path(str(picture)), str(error))
        return block, unread

    def _from_all(
        self, vectors: NDArray[np.float32], rows: list[int], broken: list[Unreadable], count: int
    ) -> tuple[NDArray[np.float32], list[Unreadable]]:
        """Everybody's vectors and unreadable pictures, in the order of the pictures."""
        heard = gather_objects((rows, broken))
        whole = torch.zeros(count, vectors.shape[1], device=self.device)
        whole[rows] = torch.from_numpy(vectors).to(self.device)
        kept = sorted(row for theirs, _ in heard for row in theirs)
        lost = sorted((item for _, theirs in heard for item in theirs), key=lambda item: item.index)
        return sum_over_ranks(whole)[kept].cpu().numpy(), lost

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
    if device in ("auto", "cuda") and torch.cuda.is_available():  # by number: a thread of its own starts at the first
        return torch.device("cuda", torch.cuda.current_device())
    if device == "auto":
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
