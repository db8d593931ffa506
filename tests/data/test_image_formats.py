"""AVIF and HEIC: read where this installation can, else counted and named with what to install."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin, features

from resight.data import load_dataset
from resight.data.doctor.examine import examine
from resight.data.formats.filenames import list_pictures
from resight.data.formats.unsplit import read_unsplit
from resight.data.loading import image_formats
from resight.data.loading.decode import decode
from resight.errors import DatasetError, ImageError
from resight.inference.image_sources import find
from tests.data.made import picture, pictures

HEIC = b"\0\0\0\x1cftypheic\0\0\0\0mif1heicmiaf" + b"\0" * 64  # the head of a file as phones write it
needs_avif = pytest.mark.skipif(not features.check("avif"), reason="this Pillow was built without AVIF")


@pytest.fixture
def no_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where neither pi-heif nor pillow-heif is installed."""
    monkeypatch.delitem(Image.OPEN, "HEIF", raising=False)
    for package in image_formats.HEIF_PACKAGES:
        monkeypatch.setitem(sys.modules, package, None)
    image_formats._register_heif.cache_clear()


def heic(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(HEIC)
    return path


@needs_avif
def test_avif_is_read_upright(tmp_path: Path) -> None:
    halves = Image.new("RGB", (16, 32), (200, 30, 30))
    halves.paste((30, 30, 200), (0, 16, 16, 32))
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn clockwise
    halves.save(tmp_path / "a.avif", quality=95)
    halves.save(tmp_path / "turned.avif", quality=95, exif=exif)
    straight, turned = decode(tmp_path / "a.avif"), decode(tmp_path / "turned.avif")
    assert straight.shape == (32, 16, 3) and abs(straight[4, 4].astype(int) - [200, 30, 30]).max() < 8
    assert turned.shape == (16, 32, 3) and abs(turned[8, 28].astype(int) - [200, 30, 30]).max() < 8
    assert [sample.path.name for sample in find(tmp_path)[0]] == ["a.avif", "turned.avif"]


def test_avif_that_this_pillow_lacks_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "modules", {})
    picture(tmp_path / "a.jpg")
    (tmp_path / "b.AVIF").write_bytes(b"\0\0\0\x1cftypavif" + b"\0" * 64)
    said: list[str] = []
    assert len(find(tmp_path, say=said.append)[0]) == 1
    assert any(".avif pictures" in note and "(1): b.AVIF" in note and "pip install" in note for note in said)
    with pytest.raises(ImageError, match="Pillow 11.3"):
        decode(tmp_path / "b.AVIF")


@pytest.mark.usefixtures("no_plugins")
def test_heic_without_a_plugin_is_counted_and_named(tmp_path: Path) -> None:
    root = pictures(tmp_path / "phone", ["1.jpg", "2.jpg"])
    for name in ("3.heic", "b/4.HEIC", "5.heif"):
        heic(root / name)
    said: list[str] = []
    assert [sample.path.name for sample in find(root, say=said.append)[0]] == ["1.jpg", "2.jpg"]
    assert any(".heic pictures" in note and "(2): 3.heic, 4.HEIC" in note and "pi-heif" in note for note in said)
    assert any(".heif pictures" in note and "(1): 5.heif" in note for note in said)
    with pytest.raises(ImageError, match=r"3.heic cannot be decoded here. .*pip install pi-heif"):
        decode(root / "3.heic")
    with pytest.raises(ImageError, match="pip install pi-heif"):
        decode(HEIC)


@pytest.mark.usefixtures("no_plugins")
def test_every_reader_of_a_folder_says_so(tmp_path: Path) -> None:
    split = pictures(tmp_path / "split", [f"{part}/{n}/{c}_c{c}.jpg" for part in ("train", "query", "test")
                                          for n in (1, 2) for c in (1, 2)])  # fmt: skip
    heic(split / "train/1/9.heic")
    assert any(".heic pictures" in note for note in load_dataset("folder", split, camera=r"_c(\d+)").notes)
    people = pictures(tmp_path / "people", [f"{n}/{c}.jpg" for n in "abc" for c in (1, 2)])
    heic(people / "a/9.heic")
    assert any(".heic pictures" in note for note in read_unsplit(people).notes)
    phone = heic(tmp_path / "phone/a/1.heic").parents[1]
    for read in (find, read_unsplit, examine):
        with pytest.raises(DatasetError, match=r"no picture that is read here.*\.heic pictures.*pi-heif"):
            read(phone)


def test_a_plugin_makes_heic_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Plugin(PngImagePlugin.PngImageFile):
        """Stands for pi-heif's: a PNG behind sixteen bytes of HEIC."""

        def __init__(self, fp: Any, filename: Any = None) -> None:
            super().__init__(io.BytesIO(fp.read()[16:]), filename)

    def register() -> None:
        monkeypatch.setitem(Image.OPEN, "HEIF", (Plugin, lambda head: head[4:12] == b"ftypheic"))

    monkeypatch.setitem(sys.modules, "pi_heif", SimpleNamespace(register_heif_opener=register))
    monkeypatch.delitem(Image.OPEN, "HEIF", raising=False)
    image_formats._register_heif.cache_clear()
    out = io.BytesIO()
    Image.new("RGB", (8, 16), (1, 2, 3)).save(out, "PNG")
    (tmp_path / "a.heic").write_bytes(HEIC[:16] + out.getvalue())
    try:
        np.testing.assert_array_equal(decode(tmp_path / "a.heic")[0, 0], [1, 2, 3])
        assert [path.name for path in list_pictures(tmp_path, tmp_path).pictures] == ["a.heic"]
    finally:
        image_formats._register_heif.cache_clear()


def test_links_that_lead_nowhere_are_counted(tmp_path: Path) -> None:
    picture(tmp_path / "1.jpg")
    (tmp_path / "2.jpg").symlink_to(tmp_path / "gone.jpg")
    (tmp_path / "3.jpg").symlink_to(tmp_path / "3.jpg")
    said: list[str] = []
    assert len(find(tmp_path, say=said.append)[0]) == 1
    assert any("links that lead nowhere (2): 2.jpg, 3.jpg" in note for note in said)
