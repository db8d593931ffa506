"""Thumbnails of pictures, through the safe decoder; an unreadable picture has none."""

from __future__ import annotations

import base64
import io
import warnings
from typing import TYPE_CHECKING

from resight.errors import ImageError

if TYPE_CHECKING:
    from pathlib import Path

    from PIL.Image import Image

BUDGET = 2_000_000  # characters of data URIs on one page
NARROWEST, WIDEST = 0.25, 1.25  # width over height; a picture beyond is squeezed


def thumbnail(path: Path | None, height: int) -> Image | None:
    """The picture at so many pixels high, its shape kept within bounds; None where it cannot be had."""
    from PIL import Image

    from resight.data.loading.decode import decode, resize

    if path is None:
        return None
    try:
        pixels = decode(path)  # (h, w, 3), upright
    except ImageError:
        return None
    ratio = min(max(pixels.shape[1] / pixels.shape[0], NARROWEST), WIDEST)
    return Image.fromarray(resize([pixels], (height, max(1, round(height * ratio))))[0])


class Album:
    """Pictures as data URIs, each made once, until the page's budget is spent.

    `missing` counts pictures that could not be read, `left_out` those the budget had no room for.
    """

    def __init__(self, pictures: int, budget: int = BUDGET) -> None:
        self.height = 128 if pictures <= 300 else 96 if pictures <= 600 else 64
        self.room = budget
        self.missing = 0
        self.left_out = 0
        self._made: dict[Path, str | None] = {}

    def uri(self, path: Path | None) -> str | None:
        """`data:image/jpeg;base64,...`, or None: show a placeholder."""
        if path is None:
            return None
        if path not in self._made:
            self._made[path] = self._make(path)
        uri = self._made[path]
        if uri is not None and len(uri) > self.room:  # a picture shown twice is carried twice
            self.left_out += 1
            return None
        self.room -= len(uri or "")
        return uri

    def _make(self, path: Path) -> str | None:
        small = thumbnail(path, self.height)
        if small is None:
            self.missing += 1
            return None
        buffer = io.BytesIO()
        small.save(buffer, "JPEG", quality=78, optimize=True)
        return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def shape(path: Path) -> tuple[int, int] | None:
    """(height, width) as the picture's header says; nothing is decoded.  None where there is none to read."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as picture:
                return picture.height, picture.width
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
