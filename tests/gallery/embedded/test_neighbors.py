"""Exact neighbors: far from the origin, and by several threads."""

from __future__ import annotations

import numpy as np
import pytest

from resight.gallery.embedded import neighbors
from resight.types import Metric


@pytest.mark.parametrize("queries", [3, 40])
@pytest.mark.parametrize("with_faiss", [True, False])
def test_an_offset_of_all_vectors_changes_no_euclidean_neighbor(
    queries: int, with_faiss: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not with_faiss:
        monkeypatch.setattr(neighbors, "faiss", lambda: None)
    elif neighbors.faiss() is None:
        pytest.skip("faiss is not installed")
    rng = np.random.default_rng(0)
    q, v = ((rng.normal(size=(n, 32)) + 1_000).astype(np.float32) for n in (queries, 200))
    squares = ((q[:, None].astype(np.float64) - v) ** 2).sum(axis=2)
    scores, positions = neighbors.exact(q, v, 5, "euclidean")
    np.testing.assert_array_equal(positions, np.argsort(squares, axis=1)[:, :5])
    np.testing.assert_allclose(-scores, np.sort(squares, axis=1)[:, :5], rtol=1e-4)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("share", [1.0, 0.4])
def test_rows_shared_out_among_threads_are_the_same_neighbors(
    metric: Metric, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    faiss = pytest.importorskip("faiss")
    rng = np.random.default_rng(0)
    q, v, keep = rng.normal(size=(1, 16)).astype(np.float32), rng.normal(size=(500, 16)).astype(np.float32), None
    if share < 1:
        keep = rng.random(500) < share
    alone = neighbors.exact(q, v, 30, metric, keep)
    monkeypatch.setattr(neighbors, "SHARE", 10)
    monkeypatch.setattr(faiss, "omp_get_max_threads", lambda: 3)
    scores, positions = neighbors.exact(q, v, 30, metric, keep)
    np.testing.assert_array_equal(positions, alone[1])
    np.testing.assert_allclose(scores, alone[0], rtol=1e-5)
