from __future__ import annotations

import io
import os
import struct
import sys
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from resight.data.loading import decode as decoding
from resight.data.loading.decode import NEUTRAL, decode, is_plain_jpeg, resize
from resight.errors import ImageError

if TYPE_CHECKING:
    from pathlib import Path

    from resight.types import Interpolation


def _noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    small = np.random.default_rng(seed).integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def _saved(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def _jpeg(seed: int = 0, **options: Any) -> bytes:
    return _saved(Image.fromarray(_noise(128, 64, seed)), **options)


def test_a_plain_jpeg_decodes_as_pillow_decodes_it() -> None:
    for data in (
        _jpeg(quality=90),
        _jpeg(quality=50, subsampling=0),
        _saved(Image.fromarray(_noise(37, 21))),
    ):
        assert is_plain_jpeg(bytearray(data))
        theirs = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
        np.testing.assert_allclose(decode(data).astype(int), theirs.astype(int), atol=1)


def test_a_grey_jpeg_becomes_rgb() -> None:
    data = _saved(Image.fromarray(_noise(16, 8)).convert("L"))
    assert is_plain_jpeg(bytearray(data))
    pixels = decode(data)
    assert pixels.shape == (16, 8, 3) and (pixels[..., 0] == pixels[..., 2]).all()


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(256, 128), (64, 32), (50, 70)])
def test_resizing_is_pillows_within_a_grey_level(size: tuple[int, int], interpolation: Interpolation) -> None:
    pixels = _noise(128, 64)
    method = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}[interpolation]
    theirs = np.asarray(Image.fromarray(pixels).resize((size[1], size[0]), method))
    ours = resize([pixels, pixels], size, interpolation)
    np.testing.assert_allclose(ours[1].astype(int), theirs.astype(int), atol=1)
    np.testing.assert_array_equal(ours[0], ours[1])


def test_a_picture_of_the_right_size_is_left_alone() -> None:
    pixels = _noise(32, 16)
    np.testing.assert_array_equal(resize([pixels], (32, 16))[0], pixels)


def test_orientation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn clockwise
    data = _saved(Image.fromarray(_noise(32, 16)), exif=exif)
    assert not is_plain_jpeg(bytearray(data))
    assert decode(data).shape == (16, 32, 3)


def test_sixteen_bits_keep_their_range() -> None:
    gray = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    pixels = decode(_saved(Image.fromarray(gray), "PNG"))
    np.testing.assert_array_equal(pixels[..., 0], (gray // 257).astype(np.uint8))


def test_transparency_shows_the_neutral_colour() -> None:
    clear = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    assert decode(_saved(clear, "PNG"))[0, 0].tolist() == list(NEUTRAL)
    assert decode(_saved(Image.new("LA", (4, 4), (200, 255)), "PNG"))[0, 0].tolist() == [200] * 3


def test_palettes_and_print_colours_are_converted() -> None:
    red = Image.new("RGB", (8, 8), (250, 10, 10))
    assert abs(decode(_saved(red.convert("P"), "PNG"))[0, 0].astype(int) - [250, 10, 10]).max() < 30
    assert abs(decode(_saved(red.convert("CMYK")))[4, 4].astype(int) - [250, 10, 10]).max() < 8
    assert decode(_saved(Image.new("1", (4, 4), 1), "PNG"))[0, 0].tolist() == [255] * 3


def test_pixels_of_unknown_range_are_refused() -> None:
    with pytest.raises(ImageError, match="8 bits a channel"):
        decode(_saved(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF"))
    with pytest.raises(ImageError, match="8 or 16 bits"):
        decode(_saved(Image.fromarray(np.full((4, 4), 2**20, np.int32)), "TIFF"))


def _bomb(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")
    )


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [9_000, 30_000])
def test_a_bomb_is_refused_by_its_claim(side: int) -> None:
    with pytest.raises(ImageError, match="pixels"):
        decode(_bomb(side, side))


def test_a_jpeg_bomb_is_not_plain() -> None:
    data = bytearray(_jpeg())
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = b"\xff\xff\xff\xff"
    assert not is_plain_jpeg(data)
    with pytest.raises(ImageError):
        decode(bytes(data))


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "empty"),
        (b"hello, this is text", "none of JPEG"),
        (_jpeg()[:700], "cannot be decoded"),
        (_jpeg()[:4], "cannot be decoded"),
        (_saved(Image.fromarray(_noise(64, 64)), "PNG")[:90], "cannot be decoded"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "none of JPEG"),
    ],
)
def test_what_is_no_picture_gets_a_sentence(data: bytes, sentence: str) -> None:
    with pytest.raises(ImageError, match=sentence):
        decode(data)


def test_what_is_no_file_gets_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="cannot be opened"):
        decode(tmp_path / "gone.jpg")
    with pytest.raises(ImageError, match="is not a file"):
        decode(tmp_path)
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(ImageError, match="is not a file"):
        decode(tmp_path / "pipe.jpg")


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 3),
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=6),
    st.integers(0, 60),
)
def test_damage_gives_pixels_or_an_image_error_and_nothing_else(
    kind: int, changes: list[tuple[int, int]], cut: int
) -> None:
    data = bytearray(_DAMAGED[kind])
    for place, value in changes:
        data[place % len(data)] = value
    try:
        pixels = decode(bytes(data[: len(data) - cut]), (16, 8))
    except ImageError:
        return
    assert pixels.shape == (16, 8, 3) and pixels.dtype == np.uint8


_DAMAGED = [
    _jpeg(),
    _jpeg(progressive=True),
    _saved(Image.fromarray(_noise(32, 16)), "PNG"),
    _saved(Image.fromarray(_noise(32, 16)), "WEBP"),
]


def test_without_the_quick_decoder_pixels_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = decode(_jpeg(), (50, 30))
    assert decoding._quick_decoder() is not None
    monkeypatch.setitem(sys.modules, "simplejpeg", None)
    decoding._quick_decoder.cache_clear()
    try:
        assert decoding._quick_decoder() is None
        np.testing.assert_array_equal(decode(_jpeg(), (50, 30)), quick)
    finally:
        decoding._quick_decoder.cache_clear()
