"""Choice of a pixel source for a list of samples: cache, memory, device or stream."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal, get_args

from resight.data.loading.base import Pixels, Progress, log, room_on_disk
from resight.data.loading.cache import PixelCache
from resight.data.loading.stream import PixelStream
from resight.errors import UsageError
from resight.files import cache_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from resight.types import Interpolation, Sample


Mode = Literal["auto", "cache", "memory", "device", "stream"]


def open_pixels(
    samples: Sequence[Sample],
    size: tuple[int, int],
    *,
    mode: Mode = "auto",
    interpolation: Interpolation = "bilinear",
    progress: Progress | None = None,
    device: torch.device | None = None,
) -> Pixels:
    """Open the pixels of some samples.

    Args:
        samples: whose pictures.
        size: (H, W) in pixels they are resized to.
        mode: "cache" decodes once into a memory-mapped file that later runs reuse; "memory" once into memory;
            "device" as cache, then into the memory of `device` (memory where that is the CPU); "stream" each time a
            picture is used; "auto" is cache where the disk has room, else memory where that has, else stream.
        interpolation: of the resizing.
        progress: called with (done, total) while pictures are decoded.
        device: for mode "device".

    Returns:
        The pixels, without the pictures that cannot be read; those are listed in `unreadable`.

    Raises:
        UsageError: an unknown mode.
        DatasetError: no picture can be read.
    """
    if mode not in get_args(Mode):
        raise UsageError(f"there is no pixel mode {mode!r}; choose {', '.join(get_args(Mode))}.")
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
    if need < room_on_disk(cache_folder()):
        return "cache"
    mode: Literal["memory", "stream"] = "memory" if need < free_memory() // 2 else "stream"
    log.warning("%.1f GB of pixels do not fit %s: %s is used.", need / 1e9, cache_folder(), mode)
    return mode


def _on_device(pixels: Pixels, need: int, device: torch.device) -> Pixels:
    from resight.data.loading.device import PixelsOnDevice, fits

    return PixelsOnDevice(pixels, device) if fits(need, device) else pixels


def free_memory() -> int:
    """Bytes of free physical memory, 4 GiB where the system does not tell."""
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 4 * 2**30
