"""Vectors of a folder kept for the next search."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from resight.data.loading.base import Unreadable
from resight.inference import Extractor
from resight.inference.kept_vectors import KeptVectors


class Counting:
    """An extractor that embeds a path as the size of its file."""

    flip, chosen, stored, interpolation = False, SimpleNamespace(name="fp32"), None, "bilinear"
    model = SimpleNamespace(embedding_dim=1, fingerprint=lambda: "abc")

    def __init__(self) -> None:
        self.asked: list[str] = []

    def tolerant(self, paths: Any, progress: Any = None, camids: Any = None) -> Any:
        self.asked += [path.name for path in paths]
        sizes = [path.stat().st_size for path in paths]
        broken = [Unreadable(at, paths[at].name, "empty") for at, size in enumerate(sizes) if not size]
        return np.array([[size] for size in sizes if size], np.float32).reshape(-1, 1), broken


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for size, name in enumerate(["empty", "a", "b"]):
        (tmp_path / name).write_bytes(b"x" * size)
    return tmp_path


def embed(folder: Path, names: str) -> tuple[list[float], list[int], list[str], KeptVectors]:
    extractor = Counting()
    kept = KeptVectors(folder, cast("Extractor", extractor))
    vectors, broken = kept.tolerant([folder / {"e": "empty"}.get(n, n) for n in names])
    return vectors[:, 0].tolist(), [item.index for item in broken], extractor.asked, kept


def test_only_what_is_new_or_changed_is_embedded(folder: Path) -> None:
    assert embed(folder, "aeb")[:3] == ([1, 2], [1], ["a", "empty", "b"])
    assert embed(folder, "aeb")[:3] == ([1, 2], [1], ["empty"])
    (folder / "b").write_bytes(b"xxxxx")
    assert embed(folder, "ba")[:3] == ([5, 1], [], ["b"])
    os.utime(folder / "a", ns=(1, 1))
    assert embed(folder, "ab")[:3] == ([1, 5], [], ["a"])
    assert embed(folder, "b")[2] == [] and embed(folder, "ab")[2] == ["a"]  # what is gone is forgotten


def test_a_damaged_file_is_made_again(folder: Path) -> None:
    kept = embed(folder, "ab")[3]
    for content in (b"", b"nothing", kept.file.read_bytes()[:100]):
        kept.file.write_bytes(content)
        assert embed(folder, "ab")[:3] == ([1, 2], [], ["a", "b"])
    kept.forget()
    assert not kept.file.exists() and embed(folder, "ab")[2] == ["a", "b"]
