"""After deleting a person and compacting nothing of them is in any file of the folder."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from resight.gallery import Gallery
from tests.gallery.conftest import people

DIM = 64  # a vector is 256 bytes, its code 8
WINDOW = 32


def noisy_jpeg(seed: int) -> bytes:
    """A picture whose entropy-coded data are like no other's."""
    out = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (96, 48, 3), np.uint8)
    Image.fromarray(pixels).save(out, "JPEG", quality=80)
    return out.getvalue()


def coded(jpeg: bytes) -> bytes:
    """The entropy-coded data: what follows the header of the scan."""
    at = jpeg.index(b"\xff\xda")
    return jpeg[at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big") : -2]


def windows(data: bytes, size: int) -> set[bytes]:
    return {data[at : at + size] for at in range(len(data) - size + 1)}


def traces(folder: Path, secrets: dict[str, bytes], size: int = WINDOW) -> list[str]:
    """Which secrets have a window of so many bytes in which file."""
    wanted = {window: name for name, secret in secrets.items() for window in windows(secret, size)}
    found = set()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        data = path.read_bytes()
        found |= {f"{wanted[w]} in {path.name}" for w in windows(data, size) & wanted.keys()}
    return sorted(found)


@pytest.mark.usefixtures("small_index")
@pytest.mark.parametrize("how", ["pid", "again"])
def test_a_deleted_person_leaves_no_trace(tmp_path: Path, how: str) -> None:
    count = 1600  # codes and segments are in use
    vectors = people(count, DIM, seed=3)
    pids = ["Erika Mustermann" if row % 400 == 7 else f"p{row // 8}" for row in range(count)]
    images: list[Any] = [noisy_jpeg(row) if row % 400 in (7, 8) else None for row in range(count)]
    with Gallery.open(tmp_path / "g", dim=DIM, audit=True) as gallery:
        ids = gallery.add(vectors, pids=pids, images=images, notes=[f"note of {pid}" for pid in pids])
        gallery.search(vectors[7])
        hers = [row for row, pid in enumerate(pids) if pid == "Erika Mustermann"]
        secrets: dict[str, bytes] = {}
        for row in hers:
            shown = gallery.picture(ids[row])
            assert shown is not None and gallery.stats()["segments"]
            secrets |= {f"thumbnail {row}": coded(shown), f"original {row}": coded(noisy_jpeg(row)),
                        f"vector {row}": vectors[row].tobytes()}  # fmt: skip
        assert {line.split(" ")[0] for line in traces(gallery.folder, secrets)} == {"thumbnail", "vector"}
        if how == "pid":
            assert gallery.delete(pids="Erika Mustermann") == 4
        else:  # new vectors and pictures in place of hers: the old ones go, too
            gallery.add(vectors[:4], ids=[ids[row] for row in hers], pids=["x"] * 4, notes=["y"] * 4,
                        images=[noisy_jpeg(9000 + row) for row in hers])  # fmt: skip
        gallery.compact()
        assert gallery.stats()["segments"]
        assert traces(gallery.folder, secrets) == []
        names = {"name": b"Erika Mustermann", "note": b"note of Erika M"}
        assert traces(gallery.folder, names, size=15) == []
        assert gallery.verify() == [] and len(gallery.search(vectors[0], k=5)[0]) == 5
    assert traces(tmp_path, secrets) == []


@pytest.mark.usefixtures("small_index")
def test_codes_of_the_deleted_go_with_them(tmp_path: Path) -> None:
    """RaBitQ codes are 8 bytes here, too short to look for: they are those of a gallery that never had the person."""
    vectors = people(1600, DIM, seed=4)
    kept = np.arange(1600) % 100 != 7
    with Gallery.open(tmp_path / "a", dim=DIM) as one, Gallery.open(tmp_path / "b", dim=DIM) as other:
        ids = one.add(vectors)
        one.delete([id for id, keep in zip(ids, kept, strict=True) if not keep])
        one.compact()
        other.add(vectors[kept])
        other.compact()
        one_codes, other_codes = (next((tmp_path / name / "index").glob("*.codes")).read_bytes() for name in "ab")
        assert one_codes == other_codes
