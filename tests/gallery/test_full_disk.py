"""A full disk: a sentence, and nothing that was acknowledged is lost."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from resight.errors import GalleryError
from resight.gallery import Gallery
from tests.gallery.conftest import people

DIM = 256


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MiB in memory."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", disk], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no disk to fill: {mounted.stderr.decode().strip()}")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


@pytest.mark.usefixtures("small_index")
def test_nothing_acknowledged_is_lost(small_disk: Path) -> None:
    vectors = people(6000, DIM)
    with Gallery.open(small_disk / "g", dim=DIM) as gallery:
        held: list[str] = []
        with pytest.raises(GalleryError, match="disk is full"):
            for start in range(0, len(vectors), 100):
                held += gallery.add(vectors[start : start + 100])
        assert len(held) > 500
        assert len(gallery) == len(held)
        found = gallery.search(vectors[: len(held)], k=1)
        assert [hits[0].id for hits in found] == held
    with Gallery.open(small_disk / "g") as again:
        np.testing.assert_array_equal(again.vectors(held), vectors[: len(held)])
        assert [line for line in again.verify() if "missing" not in line] == []
