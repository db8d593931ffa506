"""Image formats that are read: always, and where this installation can (AVIF, HEIC).

HEIC needs the package pi-heif or pillow-heif, whose decoders are under other licenses than ours: they are used where
they are installed, and nothing here installs them.
"""

from __future__ import annotations

import importlib
from functools import cache

FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF")  # none that runs another program
SUFFIXES = {
    ".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".bmp": "BMP", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF",
    ".gif": "GIF", ".avif": "AVIF", ".heic": "HEIF", ".heif": "HEIF",
}  # fmt: skip
CURES = {
    "AVIF": "AVIF is read from Pillow 11.3 on: pip install --upgrade pillow",
    "HEIF": "HEIC is read where pi-heif is installed: pip install pi-heif",
}
HEIF_PACKAGES = ("pi_heif", "pillow_heif")
BRANDS = {b"avif": "AVIF", b"avis": "AVIF"} | dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"mif1"), "HEIF")


def readable() -> tuple[str, ...]:
    """Names, as Pillow has them, of the formats that are read here."""
    return (*FORMATS, *(name for name in CURES if _decodes(name)))


def unread(suffix: str) -> str:
    """Why pictures with this ending are not read here, and what to install; empty where they are."""
    name = SUFFIXES.get(suffix.lower(), "")
    return CURES[name] if name in CURES and not _decodes(name) else ""


def unread_bytes(data: bytes | bytearray) -> str:
    """The same of a file's first bytes."""
    name = BRANDS.get(bytes(data[8:12]), "") if data[4:8] == b"ftyp" else ""
    return CURES[name] if name and not _decodes(name) else ""


def _decodes(name: str) -> bool:
    from PIL import Image, features

    if name == "AVIF":
        return "avif" in features.modules and bool(features.check("avif"))
    return "HEIF" in Image.OPEN or _register_heif()


@cache
def _register_heif() -> bool:
    """Teach Pillow HEIC where a package for it is installed."""
    for package in HEIF_PACKAGES:
        try:
            importlib.import_module(package).register_heif_opener()
        except (ImportError, OSError):  # not there, or its library does not load
            continue
        return True
    return False
