"""Small pictures keep their shape, their number has a bound, and a bad file is no picture."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from resight.reporting.thumbnails import Album, shape, thumbnail

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("size", "expected"),
    [((64, 128), (50, 100)), ((100, 100), (100, 100)), ((10, 900), (25, 100)), ((900, 10), (125, 100))],
)
def test_the_shape_is_kept_within_bounds(size: tuple[int, int], expected: tuple[int, int], tmp_path: Path) -> None:
    Image.new("RGB", size, (10, 200, 30)).save(tmp_path / "a.png")
    small = thumbnail(tmp_path / "a.png", 100)
    assert small is not None and small.size == expected and small.getpixel((3, 3)) == (10, 200, 30)
    assert shape(tmp_path / "a.png") == size[::-1]


@pytest.mark.parametrize("content", [None, b"", b"GIF89a", b"\xff\xd8\xff\xd9", b"<svg/>"], ids=str)
def test_what_is_no_picture_gives_none(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    if content is not None:
        path.write_bytes(content)
    assert thumbnail(path, 64) is None and shape(path) is None and thumbnail(tmp_path, 64) is None
    album = Album(1)
    assert album.uri(path) is album.uri(path) is None and album.missing == 1


def test_an_album_ends_with_its_budget(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(5)]
    for number, path in enumerate(paths):
        Image.new("RGB", (64, 128), (40 * number, 0, 90)).save(path)
    one = Album(5).uri(paths[0])
    assert one is not None and one.startswith("data:image/jpeg;base64,")
    assert Image.open(io.BytesIO(base64.b64decode(one.partition(",")[2]))).size == (64, 128)
    album = Album(5, budget=round(2.5 * len(one)))
    uris = [album.uri(path) for path in (paths[0], paths[0], paths[0], paths[1])]
    assert uris == [one, one, None, None] and album.left_out == 2 and album.missing == 0


def test_many_pictures_are_smaller_ones() -> None:
    assert [Album(pictures).height for pictures in (1, 300, 301, 601)] == [128, 128, 96, 64]
