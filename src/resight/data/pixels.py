"""Where a training run gets its pixels: one interface over a cache that fits and a stream for what does not."""

from __future__ import annotations

import hashlib
import logging
import os
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, get_args

import numpy as np

from resight.data import images
from resight.errors import ImageError, UsageError

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray
    from torch import Tensor

    from resight.data.images import Interpolation, Pixels8
    from resight.types import Sample

log = logging.getLogger("resight.data")

Mode = Literal["auto", "cache", "memory", "device", "stream"]
Progress = Callable[[int, int], None]  # done, total
CHUNK = 32  # pictures decoded and resized together: what stays in a processor's cache
KEEP = 256 * 2**20  # bytes of undecoded pictures held between hashing and decoding


@dataclass(frozen=True)
class Unreadable:
    """A picture that was left out, and the sentence that says why."""

    sample: Sample
    reason: str


class Pixels(Protocol):
    """Uint8 pictures of one size, by row.

    Row i is the picture of `samples[i]`; pictures that cannot be read are not among the samples but in
    `unreadable`.
    """

    samples: tuple[Sample, ...]
    unreadable: tuple[Unreadable, ...]
    size: tuple[int, int]  # (H, W)

    def __len__(self) -> int: ...

    def take(self, index: NDArray[np.int64]) -> Tensor:
        """Rows (B,) -> RGB (B, 3, H, W) uint8, channels last in memory, where they are held."""
        ...

    def batches(self, indices: Iterable[NDArray[np.int64]]) -> Iterator[Tensor]:
        """`take` of each index in turn, the next ones prepared while one is used."""
        ...


def open_pixels(
    samples: Sequence[Sample],
    size: tuple[int, int],
    *,
    mode: Mode = "auto",
    interpolation: Interpolation = "bilinear",
    progress: Progress | None = None,
    device: torch.device | None = None,
) -> Pixels:
    """Pixels of some samples.

    cache   decoded once into a memory-mapped file that later runs find again
    memory  decoded once into memory
    device  as cache, then held in the memory of `device`; memory where that is the processor
    stream  decoded each time it is asked for
    auto    cache where the disk has room, else memory where that has, else stream
    """
    from resight.data.cache import PixelCache
    from resight.data.stream import PixelStream

    if mode not in get_args(Mode):
        raise UsageError(f"there is no pixel mode {mode!r}; choose {', '.join(get_args(Mode)[:-1])} or stream.")
    need = len(samples) * size[0] * size[1] * 3
    held = mode == "device" and device is not None and device.type != "cpu"
    chosen = _where(need) if mode == "auto" or held else mode
    if chosen == "stream":
        return PixelStream(samples, size, interpolation=interpolation, progress=progress)
    pixels = PixelCache(
        samples, size, interpolation=interpolation, progress=progress, in_memory=chosen in ("memory", "device")
    )
    return _on_device(pixels, need, device) if held and device is not None else pixels


def _where(need: int) -> Literal["cache", "memory", "stream"]:
    """Where so many bytes of pixels have room."""
    from resight.data.cache import cache_folder, room_on_disk

    if need < room_on_disk(cache_folder()):
        return "cache"
    mode: Literal["memory", "stream"] = "memory" if need < free_memory() // 2 else "stream"
    log.warning("%.1f GB of pixels do not fit %s: %s is used.", need / 1e9, cache_folder(), mode)
    return mode


def _on_device(pixels: Pixels, need: int, device: torch.device) -> Pixels:
    from resight.data.device import PixelsOnDevice, fits

    return PixelsOnDevice(pixels, device) if fits(need, device) else pixels


def free_memory() -> int:
    """Bytes of physical memory nobody uses, or a careful guess where the system does not say."""
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 4 * 2**30


def default_workers() -> int:
    """Decoding threads: libjpeg runs without the interpreter's lock."""
    return max(1, min(8, os.cpu_count() or 1))


def decode_rows(
    sources: Sequence[Path | bytearray | ImageError], size: tuple[int, int], interpolation: Interpolation
) -> tuple[Pixels8, list[str | None]]:
    """Pictures -> (n, H, W, 3) of those that can be read, and for each source None or why it cannot.

    Pictures of equal size are resized together, which is what makes a data set of crops quick.
    """
    reasons: list[str | None] = [None] * len(sources)
    groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
    decoded: dict[int, Pixels8] = {}
    for row, source in enumerate(sources):
        try:
            pixels = decoded[row] = _decode(source)
            groups[pixels.shape].append(row)
        except ImageError as unreadable:
            reasons[row] = str(unreadable)
    if len(groups) == 1:
        return images.resize(list(decoded.values()), size, interpolation), reasons
    resized = np.empty((len(sources), *size, 3), np.uint8)
    for rows in groups.values():
        resized[rows] = images.resize([decoded[row] for row in rows], size, interpolation)
    return resized[sorted(decoded)], reasons


def _decode(source: Path | bytearray | ImageError) -> Pixels8:
    if isinstance(source, ImageError):
        raise source
    if isinstance(source, Path):
        return images.decode_bytes(images.read(source), str(source))
    return images.decode_bytes(source, "the picture")


class Files:
    """The bytes of a list of pictures, hashed once and, where they fit, not read a second time.

    key(about)  a name for these pictures, in this order, treated this way: equal bytes give equal keys
    wherever
                they lie
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = paths
        self._kept: dict[int, bytearray | ImageError] = {}

    def key(self, about: str) -> str:
        whole = hashlib.sha256(about.encode())
        room = KEEP
        for row, path in enumerate(self.paths):
            try:
                data = images.read(path)
            except ImageError as unreadable:
                whole.update(b"unreadable:")
                self._kept[row] = unreadable
                continue
            whole.update(b"%d:" % len(data))
            whole.update(data)
            room -= len(data)
            if room > 0:
                self._kept[row] = data
        return whole.hexdigest()[:32]

    def take(self, rows: range) -> list[Path | bytearray | ImageError]:
        """Sources for `decode_rows`; bytes that were kept are given away."""
        return [self._kept.pop(row) if row in self._kept else self.paths[row] for row in rows]


def prefetch(
    take: Callable[[NDArray[np.int64]], Tensor], indices: Iterable[NDArray[np.int64]], ahead: int = 2
) -> Iterator[Tensor]:
    """`take` of each index, in order, with `ahead` of them under way in a thread of their own."""
    source = iter(indices)
    with ThreadPoolExecutor(1, thread_name_prefix="resight-pixels") as pool:
        waiting = deque(pool.submit(take, index) for index in islice(source, ahead))
        try:
            while waiting:
                ready = waiting.popleft().result()
                waiting.extend(pool.submit(take, index) for index in islice(source, 1))
                yield ready
        finally:  # the reader stopped early: what has not begun is not wanted
            for future in waiting:
                future.cancel()
