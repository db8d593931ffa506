"""Every kind of picture becomes the same pixels, or a sentence."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from resight.data.loading.ahead import decode_ahead
from resight.data.loading.picture import pixels_of
from resight.errors import ImageError

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (40, 20, 3), dtype=np.uint8)


def _png(image: Image.Image, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG", **options)
    return stream.getvalue()


def _turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    return _png(Image.fromarray(PIXELS), exif=exif)


def _deep() -> bytes:
    return _png(Image.fromarray(RNG.integers(0, 65536, (40, 20), dtype=np.uint16)))


def _clear() -> bytes:
    return _png(Image.fromarray(RNG.integers(0, 256, (40, 20, 4), dtype=np.uint8), "RGBA"))


@pytest.mark.parametrize("made", [_turned, _deep, _clear], ids=["exif rotation", "16 bits", "transparency"])
def test_a_pil_picture_is_read_as_its_file(made: Any, tmp_path: Path) -> None:
    file, data = tmp_path / "p.png", made()
    file.write_bytes(data)
    expected = pixels_of(file)
    for other in (data, bytearray(data), io.BytesIO(data), Image.open(file), str(file)):
        np.testing.assert_array_equal(pixels_of(other), expected)
    with file.open("rb") as stream:
        stream.seek(7)
        np.testing.assert_array_equal(pixels_of(stream), expected)
        assert stream.tell() == 7  # left as it was


def test_arrays_and_tensors_of_any_type_are_the_same_pixels() -> None:
    whole = torch.from_numpy(PIXELS).permute(2, 0, 1)
    for same in (
        PIXELS,
        whole,
        whole.long(),
        whole.int(),
        whole.float() / 255,
        whole.double() / 255,
        whole.half() / 255,
    ):
        np.testing.assert_array_equal(pixels_of(same), PIXELS)


def _float(change: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    return change(torch.from_numpy(PIXELS).permute(2, 0, 1).float() / 255)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (_float(lambda x: x * 255), r"lies in \[0, 1\]; this one goes from 0 to 255"),
        (_float(lambda x: (x - 0.45) / 0.22), "do not normalize"),
        (_float(lambda x: torch.where(x > 0.5, torch.nan, x)), "no numbers"),
        (_float(lambda x: (x * 255).long() + 1), "from 1 to 256"),
        (_float(lambda x: x > 0.5), "torch.bool"),
        (_float(lambda x: x[:, :0]), "is empty"),
        (_float(lambda x: x.permute(1, 2, 0)), r"\(3, h, w\)"),
        (PIXELS[:, :0], "is empty: 0 x 40"),
        (PIXELS[..., 0], r"uint8 \(h, w, 3\)"),
        (PIXELS / 255, "float64"),
        (Image.fromarray(PIXELS).crop((5, 5, 5, 20)), "is empty: 0 x 15"),
        (b"", "zero bytes"),
        (io.BytesIO(b"nothing"), "cannot be decoded"),
        (None, "a NoneType is no picture"),  # what cv2.imread gives for a file that is not there
        (3.5, "a float is no picture"),
    ],
)
def test_what_is_no_picture_is_a_sentence(wrong: Any, sentence: str) -> None:
    with pytest.raises(ImageError, match=sentence):
        pixels_of(wrong)


def test_a_truncated_pil_picture_is_a_sentence(tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.fromarray(RNG.integers(0, 256, (80, 40, 3), dtype=np.uint8)).save(stream, "JPEG")
    with pytest.raises(ImageError, match="cannot be decoded"):
        pixels_of(Image.open(io.BytesIO(stream.getvalue()[:-500])))


@pytest.mark.parametrize("workers", [1, 3])
def test_decoding_ahead_keeps_the_order_and_names_what_cannot_be_read(workers: int, tmp_path: Path) -> None:
    pictures: list[Any] = [np.full((9, 7, 3), number, np.uint8) for number in range(200)]
    pictures[3], pictures[150] = None, tmp_path / "none.jpg"
    blocks = [range(start, min(start + 64, 200)) for start in range(0, 200, 64)]
    found = list(decode_ahead(pictures, (4, 2), blocks, interpolation="bilinear", workers=workers))
    assert [rows for rows, _, _ in found] == blocks
    values = np.concatenate([pixels[:, 0, 0, 0] for _, pixels, _ in found])
    assert values.tolist() == [number for number in range(200) if number not in (3, 150)]
    lost = [item for _, _, unread in found for item in unread]
    assert [(item.index, item.name) for item in lost] == [(3, "picture 3"), (150, str(tmp_path / "none.jpg"))]


def test_a_caller_that_stops_early_does_not_wait_for_the_rest() -> None:
    seen: list[int] = []

    class Counted(list[Any]):
        def __getitem__(self, row: Any) -> Any:
            seen.append(row)
            return PIXELS

    pictures = Counted(range(100_000))
    blocks = (range(start, start + 64) for start in range(0, 100_000, 64))
    ahead = decode_ahead(pictures, (4, 2), blocks, interpolation="bilinear", workers=2)
    next(ahead)
    ahead.close()
    assert len(seen) < 1000
