"""Pictures to descriptors: any kind of picture in, (N, D) float32 out."""

from __future__ import annotations

import contextlib
import os
import time
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from resight.data.loading.ahead import decode_ahead
from resight.data.loading.base import Unreadable
from resight.dist import rank, sum_over_ranks, world_size
from resight.dist.processes import gather_objects, on_rank_zero
from resight.errors import ImageError, UsageError
from resight.inference.device import evaluating, resolve_device
from resight.inference.pictures import as_sequence, cut_boxes
from resight.inference.precision import Chosen, Precision, autocast, check_precision, choose
from resight.models import load_model
from resight.types import Embedder, Interpolation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import ArrayLike, NDArray

    from resight.data import Pixels
    from resight.data.loading.picture import Picture
    from resight.inference.pictures import Pictures

    Progress: TypeAlias = Callable[[int], None]
    Block: TypeAlias = tuple[range, Tensor, list[Unreadable]]


class Extractor:
    """Embeds pictures with a model: `embed(pictures) -> (N, D) float32`.

    Vectors are of unit length where the model's metric is cosine.  Pictures are decoded in parallel while the model
    computes, resized to its input size, and give the same vector alone or in a batch.

    Args:
        model: an Embedder, or what `resight.load_model` takes: a folder, a file, a packaged name, a hub id.
        device: "auto" (cuda, mps, cpu in this order), a name as torch has it, or a torch.device.
        batch_size: pictures computed together.
        flip: average each descriptor with that of the mirrored picture.
        precision: "auto" tries float32 and bfloat16 once and takes bfloat16 where it is faster; "fp32", "bf16", or on
            a GPU "fp16".  Half formats move similarities by about 1e-3.  `chosen` tells what was taken.
        compile: translate the model for batches of this size by torch.compile; every batch is filled up to it.  Takes
            about half a minute, once, and a C++ compiler on the CPU.
        share: in a process group all processes call together, each embeds every W-th batch, and all get all vectors,
            those one process would give; False leaves the others out of it.

    Raises:
        UsageError: no such device or precision, or the model is no Embedder.

    Example:
        >>> embed = Extractor("synth_small", device="cpu")
        >>> embed(np.zeros((128, 64, 3), np.uint8)).shape
        (1, 512)
    """

    def __init__(
        self,
        model: Embedder | str | os.PathLike[str],
        device: str | torch.device = "auto",
        batch_size: int = 64,
        *,
        flip: bool = False,
        precision: Precision = "auto",
        compile: bool = False,
        share: bool = True,
    ) -> None:
        if batch_size < 1:
            raise UsageError(f"batch_size is {batch_size}; give at least 1.")
        self.device = resolve_device(device)
        self.model: Embedder = load_model(os.fspath(model)) if isinstance(model, str | os.PathLike) else _checked(model)
        self.interpolation: Interpolation = getattr(self.model, "interpolation", "bilinear")
        check_precision(precision, self.model, self.device)
        if compile and not isinstance(self.model, nn.Module):
            raise UsageError(f"compile=True needs a torch model; {type(self.model).__name__} computes by itself.")
        self.batch_size, self.flip, self._asked, self._compile = batch_size, flip, precision, compile
        self.shared = share and world_size() > 1
        self.embedded, self.seconds = 0, 0.0
        if isinstance(self.model, nn.Module):
            self.model.to(self.device)

    @cached_property
    def chosen(self) -> Chosen:
        """The precision taken; "auto" is tried here, when it is first needed, and then stays."""

        def tried() -> Chosen:
            with evaluating(self.model):
                return choose(self._asked, self.model, self.device, self.batch_size)

        return on_rank_zero(tried) if self.shared and self._asked == "auto" else tried()

    @property
    def rate(self) -> float:
        """Pictures a second over all calls so far, decoding and copying included; 0 before the first."""
        return self.embedded / self.seconds if self.seconds else 0.0

    def __call__(self, pictures: Pictures, progress: Progress | None = None) -> NDArray[np.float32]:
        """Embed pictures.

        Args:
            pictures: one or a sequence of paths, bytes of files, open binary files, PIL images, RGB uint8 arrays
                (h, w, 3) or tensors (3, h, w), uint8 or float in [0, 1]; or a ready batch, an array (N, h, w, 3) or a
                tensor (N, 3, h, w).  Of any size; of any mixture.
            progress: called with the number of pictures done.

        Returns:
            (N, D) float32 in the order of the pictures.

        Raises:
            ImageError: naming the first picture that cannot be read; `tolerant` goes on and lists them instead.
        """
        return self._embed(as_sequence(pictures), progress, tolerant=False)[0]

    def tolerant(
        self, pictures: Pictures, progress: Progress | None = None, camids: Sequence[int] | None = None
    ) -> tuple[NDArray[np.float32], list[Unreadable]]:
        """Vectors (n, D) of the pictures that can be read, and the list of those that cannot, with the reason.

        camids: the camera of each picture, for a model that takes them.
        """
        return self._embed(as_sequence(pictures), progress, tolerant=True, camids=camids)

    def stored(
        self, pixels: Pixels, progress: Progress | None = None, camids: Sequence[int] | None = None
    ) -> NDArray[np.float32]:
        """Vectors (N, D) of pictures that were decoded before (see `resight.data.open_pixels`)."""
        given, taken = (*pixels.size, pixels.interpolation), (*self.model.input_size, self.interpolation)
        if given != taken:
            raise UsageError(f"the pixels are {given}, the model takes {taken}; open them anew.")
        blocks = list(self._blocks(len(pixels)))
        images = pixels.batches(np.arange(rows.start, rows.stop) for rows in blocks)
        held: Iterator[Block] = ((rows, image, []) for rows, image in zip(blocks, images, strict=True))
        return self._run(held, len(pixels), progress, tolerant=False, camids=camids)[0]

    def boxes(self, frame: Picture, xyxy: ArrayLike) -> NDArray[np.float32]:
        """Embed the people a detector found in one frame.

        Args:
            frame: the whole picture, of any kind that `__call__` takes.
            xyxy: (N, 4) corners x1, y1, x2, y2 in pixels; what lies outside the frame is cut off.

        Returns:
            (N, D) float32, a row a box in their order.  A box that cannot be cropped (nothing of it inside the frame,
            corners the wrong way round, not finite) has a row of NaN and is named in a warning of the log.

        Raises:
            ImageError: the frame cannot be read.
            UsageError: `xyxy` has another shape.
        """
        crops = cut_boxes(frame, xyxy)
        inside = [row for row, crop in enumerate(crops) if crop is not None]
        vectors = np.full((len(crops), self.model.embedding_dim), np.nan, np.float32)
        vectors[inside] = self([crop for crop in crops if crop is not None])
        return vectors

    def tensors(self, images: Tensor, camids: Tensor | None = None) -> Tensor:
        """(B, 3, H, W) at the model's input size -> (B, D) on the device, not yet of unit length.

        Nothing is checked, rounded or shared: for pixels that are on the device already.  camids: (B,), for a model
        that takes them.
        """
        cameras: tuple[Tensor, ...] = ()
        if camids is not None and getattr(self.model, "takes_cameras", False):
            cameras = (camids.to(self.device),)
        precision = self.chosen.name
        with evaluating(self.model), torch.inference_mode(), autocast(precision, self.device):
            images = images.to(self.device)
            vectors = self._computed(images, *cameras)
            if self.flip:
                vectors = vectors + self._computed(images.flip(-1), *cameras)
        return vectors

    def _computed(self, images: Tensor, *cameras: Tensor) -> Tensor:
        """The model's own vectors (B, D)."""
        if not self._compile or len(images) > self.batch_size:
            return self.model.embed(images, *cameras).float()
        count, order = len(images), torch.channels_last
        filled = [_filled(part, self.batch_size) for part in (images, *cameras)]
        return self._compiled(filled[0].contiguous(memory_format=order), *filled[1:])[:count].float()

    @cached_property
    def _compiled(self) -> Callable[..., Tensor]:
        return torch.compile(self.model.embed)

    def finish(self, vectors: Tensor) -> NDArray[np.float32]:
        """To the host, of unit length where the metric asks for it."""
        if self.model.metric == "cosine":
            vectors = nn.functional.normalize(vectors, dim=1)
        return vectors.cpu().numpy().astype(np.float32, copy=False)

    def _embed(
        self,
        pictures: Sequence[Picture],
        progress: Progress | None,
        *,
        tolerant: bool,
        camids: Sequence[int] | None = None,
    ) -> tuple[NDArray[np.float32], list[Unreadable]]:
        """Decoding ahead, embedding behind."""
        decoded = decode_ahead(
            pictures, self.model.input_size, self._blocks(len(pictures)), interpolation=self.interpolation
        )
        blocks = ((rows, torch.from_numpy(pixels).permute(0, 3, 1, 2), lost) for rows, pixels, lost in decoded)
        with contextlib.closing(decoded):
            return self._run(blocks, len(pictures), progress, tolerant=tolerant, camids=camids)

    def _blocks(self, count: int) -> Iterator[range]:
        """The rows of this process's batches."""
        first, turn = (rank(), world_size()) if self.shared else (0, 1)
        for start in range(first * self.batch_size, count, turn * self.batch_size):
            yield range(start, min(start + self.batch_size, count))

    def _run(
        self,
        blocks: Iterable[Block],
        count: int,
        progress: Progress | None,
        *,
        tolerant: bool,
        camids: Sequence[int] | None = None,
    ) -> tuple[NDArray[np.float32], list[Unreadable]]:
        began, turn = time.perf_counter(), world_size() if self.shared else 1
        vectors = [np.zeros((0, self.model.embedding_dim), np.float32)]
        kept: list[int] = []  # rows of the pictures that gave a vector
        broken: list[Unreadable] = []
        if count:
            _ = self.chosen  # all processes together, those without a batch as well
        for rows, images, unread in blocks:
            broken += unread
            if broken and not tolerant:
                break
            lost = {item.index for item in unread}
            found_here = [row for row in rows if row not in lost]
            kept += found_here
            if len(images):
                cameras = None if camids is None else torch.tensor([camids[row] for row in found_here])
                vectors.append(self.finish(self.tensors(images, cameras)))
            if progress is not None:
                progress(min(rows.start + turn * self.batch_size, count))
        found = np.concatenate(vectors)
        if self.shared:
            found, broken = self._from_all(found, kept, broken, count)
        if broken and not tolerant:
            raise ImageError(broken[0].reason)
        self.embedded, self.seconds = self.embedded + len(found), self.seconds + time.perf_counter() - began
        return found, broken

    def _from_all(
        self, vectors: NDArray[np.float32], rows: list[int], broken: list[Unreadable], count: int
    ) -> tuple[NDArray[np.float32], list[Unreadable]]:
        """Every process's vectors and unreadable pictures, in the order of the pictures."""
        gathered = gather_objects((rows, broken))
        whole = torch.zeros(count, vectors.shape[1], device=self.device)
        whole[rows] = torch.from_numpy(vectors).to(self.device)
        kept = sorted(row for theirs, _ in gathered for row in theirs)
        lost = sorted((item for _, theirs in gathered for item in theirs), key=lambda item: item.index)
        return sum_over_ranks(whole)[kept].cpu().numpy(), lost


def _filled(batch: Tensor, size: int) -> Tensor:
    """The batch with its last entry repeated up to a size."""
    return torch.cat([batch, batch[-1:].expand(size - len(batch), *batch.shape[1:])])


def _checked(model: object) -> Embedder:
    if not isinstance(model, Embedder):
        wanted = ("input_size", "embedding_dim", "metric", "embed", "fingerprint")
        missing = ", ".join(name for name in wanted if not hasattr(model, name))
        raise UsageError(f"{type(model).__name__} cannot embed: it has no {missing}. See resight.types.Embedder.")
    return model
