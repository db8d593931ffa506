"""Query expansion, database-side augmentation and pooled queries."""

from __future__ import annotations

import numpy as np
import pytest

from resight.errors import EvaluationError, UsageError
from resight.evaluation import evaluate_features, expand, nearest, pool_queries
from tests.evaluation.examples import G2, LABELS2, Q2, unit


def cosine(q: np.ndarray, g: np.ndarray) -> np.ndarray:
    return np.asarray(1 - unit(q) @ unit(g).T)


def test_example_2_both_sides_alpha_3() -> None:
    q, g = expand(Q2, G2, k=3, alpha=3, expand_gallery=True)
    np.testing.assert_allclose(q[0], [0.919258, 0.102318, 0.117496], atol=1e-6)
    np.testing.assert_allclose(g[0], [0.925504, 0.103793, 0.120833], atol=1e-6)
    first = [0.000004, 0.111126, 0.000140, 0.749475, 0.550532, 0.736116, 0.587778, 0.379614, 0.321491]
    second = [0.746927, 0.333993, 0.752056, 0.000012, 0.116014, 0.052582, 0.647693, 0.490792, 0.152928]
    np.testing.assert_allclose(cosine(q, g)[:2], [first, second], atol=2e-6)


def test_example_2_both_sides_plain_average() -> None:
    q, g = expand(Q2, G2, k=3, alpha=0, expand_gallery=True)
    np.testing.assert_allclose(q[0], [0.974453, 0.105056, 0.131727], atol=1e-6)
    first = [0, 0.106621, 0, 0.724470, 0.545659, 0.742722, 0.558003, 0.377496, 0.309100]
    np.testing.assert_allclose(cosine(q, g)[0], first, atol=2e-6)


def test_queries_only_looks_at_the_gallery_alone() -> None:
    q, g = expand(Q2, G2, k=3, alpha=3)
    np.testing.assert_allclose(g, unit(G2), atol=1e-6)
    np.testing.assert_allclose(expand(Q2[1:2], G2, k=3, alpha=3)[0][0], q[1], atol=1e-6)  # whoever else asks
    distance, near = nearest(Q2[1:2], G2, 2)
    weights = np.concatenate(([1.0], (1 - distance[0]) ** 3))
    members = np.concatenate((unit(Q2[1:2]), unit(G2)[near[0]]))
    np.testing.assert_allclose(q[1], weights @ members / 3, atol=1e-6)


def test_one_neighbour_is_no_expansion() -> None:
    q, g = expand(Q2, G2, k=1, expand_gallery=True)
    np.testing.assert_allclose(q, unit(Q2), atol=1e-6)
    np.testing.assert_allclose(g, unit(G2), atol=1e-6)


def test_opposite_vectors_give_no_nan() -> None:
    q, g = expand(np.array([[1.0, 0]]), np.array([[-1.0, 0], [0, 0]]), k=3, alpha=0.5, expand_gallery=True)
    assert np.isfinite(q).all()
    assert np.isfinite(g).all()
    np.testing.assert_allclose(unit(q), [[1, 0]], atol=1e-6)


def test_expanded_features_are_evaluated_like_any() -> None:
    assert evaluate_features(*expand(Q2, G2, k=3), *LABELS2).mAP == 1


def test_wrong_parameters() -> None:
    for k, alpha, side in ((0, 3, True), (3, -1, True), (3, np.nan, True), (3, 3, False)):
        with pytest.raises(UsageError):
            expand(Q2, G2, k, alpha, expand_queries=side)


def test_pooled_queries() -> None:
    rows = np.array([[2.0, 0], [0, 1], [0, 3], [1, 1]])
    pooled, pids, camids = pool_queries(rows, [7, 7, 7, 2], [1, 1, 2, 1])
    np.testing.assert_array_equal(pids, [2, 7, 7])
    np.testing.assert_array_equal(camids, [1, 1, 2])
    np.testing.assert_allclose(pooled, [[0.5**0.5, 0.5**0.5], [0.5, 0.5], [0, 1]], atol=1e-6)
    raw, _, _ = pool_queries(rows, [7, 7, 7, 2], [1, 1, 2, 1], "max", normalize=False)
    np.testing.assert_allclose(raw, [[1, 1], [2, 1], [0, 3]])
    with pytest.raises(UsageError):
        pool_queries(rows, [1, 1, 1, 1], [1, 1, 1, 1], "median")  # type: ignore[arg-type]
    with pytest.raises(EvaluationError):
        pool_queries(rows, [1, 1], [1, 1])
