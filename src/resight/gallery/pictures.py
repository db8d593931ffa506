"""Pictures of records: their bytes for the id, and the thumbnail that is kept."""

from __future__ import annotations

import hashlib
import io
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from resight.errors import ImageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from resight.gallery.backend import Vectors

QUALITY = 88  # of the JPEG that is kept


def content(image: Any) -> bytes:
    """The bytes that identify a picture: the file's own, or the pixels' where there is no file.

    image: a path, the bytes of a file, a PIL image or an RGB uint8 array (H, W, 3).
    """
    from resight.data.loading.decode import read

    if isinstance(image, str | Path):
        return bytes(read(image))
    if isinstance(image, bytes | bytearray):
        return bytes(image)
    pixels = _pixels(image)
    return struct.pack("<2I", *pixels.shape[:2]) + pixels.tobytes()


def thumbnail(image: Any, data: bytes, longest: int) -> bytes:
    """JPEG with no side longer than `longest` pixels, without the metadata of the original."""
    from PIL import Image

    picture = Image.fromarray(_decoded(image, data))
    picture.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=QUALITY)
    return out.getvalue()


def record_id(data: bytes | None, vector: Vectors, source: str, camera: str | None, time: float | None) -> str:
    """32 hexadecimal digits: the hash of picture (of the vector where there is none), source, camera and time."""
    found = hashlib.sha256(hashlib.sha256(vector.tobytes() if data is None else data).digest())
    for part in (source, camera, None if time is None else repr(time)):
        encoded = b"" if part is None else part.encode()
        found.update(struct.pack("<?q", part is not None, len(encoded)) + encoded)
    return found.hexdigest()[:32]


def _decoded(image: Any, data: bytes) -> NDArray[np.uint8]:
    from resight.data.loading.decode import decode_bytes

    if isinstance(image, str | Path | bytes | bytearray):
        return decode_bytes(bytearray(data), str(image) if isinstance(image, str | Path) else "the picture")
    return _pixels(image)


def _pixels(image: Any) -> NDArray[np.uint8]:
    array = np.asarray(image.convert("RGB") if hasattr(image, "convert") else image)
    if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8 or not array.size:
        raise ImageError(f"a picture array is RGB uint8 (H, W, 3); this one is {array.dtype} {array.shape}.")
    return np.ascontiguousarray(array)
