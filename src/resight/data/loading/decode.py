"""Decoding of untrusted image files to RGB arrays: upright, eight bits, bounded in size, or an ImageError.

Plain baseline JPEG without EXIF, which is what the field's data sets are, goes straight to libjpeg-turbo once
its header has been read here; everything else takes Pillow's longer way.  Both ways share one resampler, so a
picture's pixels do not depend on which it took.
"""

from __future__ import annotations

import importlib
import io
import os
import stat
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from resight.data.loading.image_formats import readable, unread_bytes
from resight.errors import ImageError, ImageNotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from PIL.Image import Image

    from resight.types import Interpolation

Pixels8 = NDArray[np.uint8]

MAX_PIXELS = 64 * 2**20  # no crop of a person is larger; a bomb is
MAX_BYTES = 256 * 2**20
NEUTRAL = (124, 116, 104)  # ImageNet's mean color, shown through what is transparent


def decode(
    source: str | Path | bytes, size: tuple[int, int] | None = None, interpolation: Interpolation = "bilinear"
) -> Pixels8:
    """Decode an image file.

    Args:
        source: its path, or its bytes.
        size: (H, W) in pixels to resize to; default its own.
        interpolation: of the resizing.

    Returns:
        (H, W, 3) uint8 RGB, turned as its EXIF orientation asks.

    Raises:
        ImageError: it is missing, empty, truncated, larger than MAX_PIXELS, or no picture.
    """
    data, name = (bytearray(source), "the picture") if isinstance(source, bytes) else (read(source), str(source))
    pixels = decode_bytes(data, name)
    return pixels if size is None else resize([pixels], size, interpolation)[0]


def read(path: str | os.PathLike[str]) -> bytearray:
    """The bytes of an ordinary file of reasonable size."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))
    except ValueError as broken:  # a NUL in the name
        raise ImageError(f"{path} is no name of a file: {broken}.") from broken
    except OSError as missing:
        kind = ImageNotFoundError if isinstance(missing, FileNotFoundError) else ImageError
        raise kind(f"{path} cannot be opened: {missing.strerror}.") from missing
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ImageError(f"{path} is not a file. Name a picture.")
        if status.st_size > MAX_BYTES:
            raise ImageError(f"{path} has {status.st_size:,} bytes; a picture may have {MAX_BYTES:,}.")
        return bytearray(os.read(descriptor, status.st_size))
    except OSError as broken:
        raise ImageError(f"{path} cannot be read: {broken.strerror}.") from broken
    finally:
        os.close(descriptor)


def decode_bytes(data: bytearray, name: str) -> Pixels8:
    """Bytes -> (h, w, 3) uint8 RGB in the picture's own size.  `name` is only for the message."""
    if not data:
        raise ImageError(f"{name} is empty (zero bytes). Remove it or fetch it again.")
    if is_plain_jpeg(data):
        plain = _decode_plain_jpeg(data)
        if plain is not None:
            return plain
    return _decode_anything(data, name)


def is_plain_jpeg(data: bytearray) -> bool:
    """Baseline, 8 bits, gray or YCbCr, of modest size, complete, and with nothing in it that changes its
    look.

    Reads the segments up to the first scan; EXIF (orientation), Adobe (color transform) and progressive
    files say no, as does a file without its end marker.
    """
    end = len(data)
    if end < 4 or data[0] != 0xFF or data[1] != 0xD8 or data[-2] != 0xFF or data[-1] != 0xD9:
        return False
    at, frame = 2, False
    while at + 9 < end and data[at] == 0xFF:
        marker, length = data[at + 1], data[at + 2] << 8 | data[at + 3]
        if marker == 0xDA:  # start of scan: pixels from here on
            return frame
        if marker == 0xC0:  # baseline frame
            height, width = data[at + 5] << 8 | data[at + 6], data[at + 7] << 8 | data[at + 8]
            frame = data[at + 4] == 8 and data[at + 9] in (1, 3) and 0 < height * width <= MAX_PIXELS
        elif marker not in (0xE0, 0xDB, 0xC4, 0xDD, 0xFE):  # JFIF, tables, restart interval, comment
            return False
        at += 2 + length
    return False


@cache
def _quick_decoder() -> Callable[[bytearray], Pixels8] | None:
    """libjpeg-turbo through simplejpeg; None, and Pillow's slower way, where it is not installed."""
    try:
        simple = importlib.import_module("simplejpeg")
    except ImportError:
        return None
    return lambda data: simple.decode_jpeg(data, colorspace="RGB", strict=True)


def _decode_plain_jpeg(data: bytearray) -> Pixels8 | None:
    decoder = _quick_decoder()
    try:
        return decoder(data) if decoder is not None else None
    except (ValueError, RuntimeError):
        return None  # the long way round will say what is wrong


def _decode_anything(data: bytearray, name: str) -> Pixels8:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=readable()) as image:
            return upright(image, name)
    except ImageError:
        raise
    except Exception as broken:  # Pillow raises whatever its plug-ins meet: OSError, SyntaxError, struct.error...
        missing = unread_bytes(data)
        if missing:
            raise ImageError(f"{name} cannot be decoded here. {missing}.") from broken
        raise ImageError(f"{name} cannot be decoded: {_reason(broken)}. Remove it or fetch it again.") from broken


def upright(image: Image, name: str) -> Pixels8:
    """A PIL image -> (h, w, 3) uint8 RGB, turned as its EXIF orientation asks.

    Raises ImageError for an empty, truncated or too large one.
    """
    from PIL import ImageOps

    width, height = image.size
    if not 0 < width * height <= MAX_PIXELS:
        raise ImageError(
            f"{name} claims {width} x {height} pixels; at most {MAX_PIXELS:,} are read. Shrink it first."
            if width * height
            else f"{name} is empty: {width} x {height} pixels."
        )
    try:
        image.load()
        return np.asarray(to_rgb(ImageOps.exif_transpose(image), name), dtype=np.uint8)
    except ImageError:
        raise
    except Exception as broken:
        raise ImageError(f"{name} cannot be decoded: {_reason(broken)}. Remove it or fetch it again.") from broken


def _reason(broken: Exception) -> str:
    from PIL import Image, UnidentifiedImageError

    if isinstance(broken, UnidentifiedImageError):
        return f"it is none of {', '.join(readable())}"
    if isinstance(broken, Image.DecompressionBombError):
        return f"it claims more than {MAX_PIXELS:,} pixels"
    return str(broken).rstrip(".") or type(broken).__name__


def to_rgb(image: Image, name: str = "the picture") -> Image:
    """Any mode -> RGB.  16 bits keep their range, transparency shows NEUTRAL, color spaces are converted."""
    from PIL import Image as Pillow

    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode == "F":
        raise ImageError(f"{name} holds floating-point pixels of unknown range. Save it with 8 bits a channel.")
    if image.mode.startswith("I"):
        return _from_integers(image, name)
    if image.has_transparency_data:
        cut = image.convert("RGBA")
        ground = Pillow.new("RGBA", cut.size, (*NEUTRAL, 255))
        return Pillow.alpha_composite(ground, cut).convert("RGB")
    return image.convert("RGB")


def _from_integers(image: Image, name: str) -> Image:
    """16-bit gray -> 8-bit: 65535 is white.  Pillow's own conversion would clip at 255."""
    from PIL import Image as Pillow

    values = np.asarray(image)
    if values.min(initial=0) < 0 or values.max(initial=0) > 0xFFFF:
        raise ImageError(f"{name} holds 32-bit pixels of unknown range. Save it with 8 or 16 bits a channel.")
    return Pillow.fromarray((values.astype(np.uint32) // 257).astype(np.uint8)).convert("RGB")


def resize(pictures: Sequence[Pixels8], size: tuple[int, int], interpolation: Interpolation = "bilinear") -> Pixels8:
    """n pictures of one size, each (h, w, 3) -> (n, H, W, 3), antialiased as Pillow does it, together."""
    import torch
    import torch.nn.functional as F

    stacked = np.stack(pictures)  # (n, h, w, 3)
    if stacked.shape[1:3] == tuple(size):
        return stacked
    images = torch.from_numpy(stacked).permute(0, 3, 1, 2)  # (n, 3, h, w), channels last in memory
    small = F.interpolate(images, size=size, mode=interpolation, antialias=True)
    return small.permute(0, 2, 3, 1).contiguous().numpy()
