"""Small galleries and vectors that cluster as people do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from resight.gallery import Gallery

DIM = 16


def people(count: int, dim: int = DIM, seed: int = 0, per_person: int = 10) -> npt.NDArray[np.float32]:
    """Unit vectors (N, D) around `count / per_person` centers."""
    rng = np.random.default_rng(seed)
    centers = rng.standard_normal((max(1, count // per_person), dim))
    vectors = centers[rng.integers(0, len(centers), count)] + 0.5 * rng.standard_normal((count, dim))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    with Gallery.open(tmp_path / "mall", dim=DIM) as opened:
        yield opened


@pytest.fixture
def small_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments and codes at sizes a test can afford."""
    monkeypatch.setattr("resight.gallery.embedded.index.SEGMENT", 500)
    for name, value in {"EXACT_UP_TO": 1000, "SMALL": 100, "CANDIDATES": 200}.items():
        monkeypatch.setattr(f"resight.gallery.embedded.searcher.{name}", value)
    monkeypatch.setattr("resight.gallery.embedded.parts.FEW", 20)
