"""Panoramas of real light, from a folder of the user's: .exr or .hdr files, or the modules of npm's @pmndrs/assets.

The package @pmndrs/assets (CC0) keeps its panoramas as JavaScript modules that hold the file in base64.
"""

from __future__ import annotations

import base64
import binascii
import re
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from resight.errors import ResightError, UsageError
from resight.synth.scene.surface import Array

_LARGEST = 64 * 2**20  # bytes of a file


@lru_cache(maxsize=4)
def panoramas(folder: str) -> tuple[Path, ...]:
    """The panoramas in a folder, sorted by name."""
    root = Path(folder)
    found = tuple(
        sorted(file for file in root.rglob("*") if file.name.endswith((".exr", ".hdr", ".exr.js", ".hdr.js")))
    )
    if not found:
        raise UsageError(f"{root}: no panoramas. Name a folder with .exr or .hdr files, or the package @pmndrs/assets.")
    return found


def panorama(file: Path, mitsuba: Any) -> Array:
    """Linear light by direction (rows, columns, 3), row 0 straight up."""
    if file.stat().st_size > _LARGEST:
        raise ResightError(f"{file}: larger than {_LARGEST // 2**20} MB. Name a smaller panorama.")
    try:
        with tempfile.TemporaryDirectory() as folder:
            plain = Path(folder) / ("light.hdr" if ".hdr" in file.suffixes else "light.exr")
            plain.write_bytes(_content(file))
            bitmap = mitsuba.Bitmap(str(plain))
        light = bitmap.convert(mitsuba.Bitmap.PixelFormat.RGB, mitsuba.Struct.Type.Float32, srgb_gamma=False)
    except RuntimeError as error:
        raise ResightError(f"{file}: not a panorama that can be read ({error}). Name an intact file.") from error
    return np.asarray(np.clip(np.array(light, float), 0, None))


def _content(file: Path) -> bytes:
    if file.suffix != ".js":
        return file.read_bytes()
    found = re.search(r"base64,([A-Za-z0-9+/=]+)", file.read_text(encoding="ascii", errors="replace"))
    try:
        return base64.b64decode(found[1] if found else "", validate=True)
    except binascii.Error as error:
        raise ResightError(f"{file}: not a module with a panorama in base64. Name an intact file.") from error
