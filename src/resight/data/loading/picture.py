"""A picture of any kind to RGB pixels: file, bytes, stream, PIL image, array or tensor, all by one decoder.

    pixels_of("a.jpg")                # (h, w, 3) uint8
    pixels_of(Image.open("a.jpg"))    # the same pixels

Every kind ends as 8-bit RGB, so that a picture has one vector however it was handed over.
"""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, BinaryIO, TypeAlias, TypeGuard, cast

import numpy as np

from resight.data.loading import decode
from resight.errors import ImageError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image
    from torch import Tensor

    from resight.data.loading.decode import Pixels8

    Picture: TypeAlias = (
        str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | Image | NDArray[np.uint8] | Tensor
    )

ROUNDING = 1e-3  # how far outside [0, 1] a float pixel may lie: what arithmetic in half precision leaves
NAMELESS = "the picture"  # what a message calls pixels that came without a file name


def pixels_of(picture: Picture) -> Pixels8:
    """One picture -> (h, w, 3) uint8 RGB in its own size, upright.

    Args:
        picture: a path; the bytes of a file, or an open binary file (read from its start); a PIL image of any mode;
            an RGB uint8 array (h, w, 3); an RGB tensor (3, h, w) of whole numbers 0..255 or floats in [0, 1], which
            are rounded to 8 bits.

    Raises:
        ImageError: it cannot be decoded, is empty, or its values are outside the range; the message says which.
    """
    if isinstance(picture, str | os.PathLike):
        return decode.decode_bytes(decode.read(picture), os.fspath(picture))
    if isinstance(picture, bytes | bytearray | memoryview):
        return decode.decode_bytes(bytearray(picture), NAMELESS)
    if isinstance(picture, np.ndarray):
        return _of_array(picture)
    if is_pil(picture):
        return decode.upright(picture, NAMELESS)
    if is_tensor(picture):
        return _of_tensor(picture)
    if hasattr(picture, "read"):
        return decode.decode_bytes(_whole(cast("BinaryIO", picture)), NAMELESS)
    raise ImageError(
        f"a {type(picture).__name__} is no picture; give a path, the bytes of a file, a PIL image, an RGB uint8 array "
        f"(h, w, 3) or a tensor (3, h, w)."
    )


def is_pil(picture: object) -> TypeGuard[Image]:
    """Whether it is an image of Pillow, which is not imported for the question."""
    return hasattr(picture, "convert") and hasattr(picture, "getexif")


def is_tensor(picture: object) -> TypeGuard[Tensor]:
    """Whether it is a tensor of torch, which is not imported for the question."""
    return hasattr(picture, "is_floating_point")


def name_of(picture: Picture, index: int) -> str:
    """What a message calls it: the path, or its place in the list."""
    return os.fspath(picture) if isinstance(picture, str | os.PathLike) else f"picture {index}"


def _whole(stream: BinaryIO) -> bytearray:
    """Everything in an open file, which is left at the position it had."""
    try:
        before = stream.tell() if stream.seekable() else None
        if before is not None:
            stream.seek(0)
        data = bytearray(stream.read(decode.MAX_BYTES + 1))
        if before is not None:
            stream.seek(before)
    except (OSError, ValueError, TypeError, io.UnsupportedOperation) as broken:
        raise ImageError(f"{NAMELESS} cannot be read from {type(stream).__name__}: {broken}.") from broken
    if len(data) > decode.MAX_BYTES:
        raise ImageError(f"{NAMELESS} has more than the {decode.MAX_BYTES:,} bytes a picture may have.")
    return data


def _of_array(array: NDArray[np.uint8]) -> Pixels8:
    if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8:
        raise ImageError(f"a picture array is RGB uint8 (h, w, 3); this one is {array.dtype} {array.shape}.")
    return _not_empty(array)


def _of_tensor(image: Tensor) -> Pixels8:
    if image.ndim != 3 or image.shape[0] != 3:
        raise ImageError(f"a picture tensor is RGB (3, h, w); this one is {tuple(image.shape)}.")
    values = image.detach().cpu()
    if not values.numel():
        return _not_empty(np.empty((*image.shape[1:], 3), np.uint8))
    if values.is_floating_point():
        values = _of_floats(values.float())
    elif str(values.dtype) != "torch.uint8":
        values = _of_integers(values)
    return np.ascontiguousarray(values.permute(1, 2, 0).numpy())


def _of_floats(values: Tensor) -> Tensor:
    low, high = float(values.min()), float(values.max())  # NaN where any is
    if not (low >= -ROUNDING and high <= 1 + ROUNDING):
        raise ImageError(
            f"a float picture lies in [0, 1]; this one {_range(low, high)}. Divide pixels of 0 to 255 by 255, and do "
            f"not normalize: the model does that itself."
        )
    return (values.clamp(0, 1) * 255).round().byte()


def _of_integers(values: Tensor) -> Tensor:
    whole = not values.dtype.is_complex and str(values.dtype) != "torch.bool"
    low, high = (int(values.min()), int(values.max())) if whole else (0, -1)
    if not 0 <= low <= high <= 255:
        raise ImageError(
            f"a picture of whole numbers has pixels from 0 to 255; this one is {values.dtype}"
            + (f" and goes from {low} to {high}." if whole else ".")
        )
    return values.byte()


def _range(low: float, high: float) -> str:
    return "holds values that are no numbers (NaN)" if low != low else f"goes from {low:.3g} to {high:.3g}"


def _not_empty(pixels: Pixels8) -> Pixels8:
    if not pixels.size:
        raise ImageError(f"{NAMELESS} is empty: {pixels.shape[1]} x {pixels.shape[0]} pixels.")
    return pixels
