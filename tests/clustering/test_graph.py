"""Sparse graphs against the dense matrices they stand for."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from numpy.typing import NDArray

from resight.clustering import NeighborGraph, distance_graph, jaccard_graph
from resight.errors import EvaluationError, UsageError
from tests.clustering.crowds import crowd
from tests.evaluation.dense_reranking import dense_rerank


def dense(graph: NeighborGraph) -> NDArray[np.float32]:
    """(N, N), infinity where there is no edge."""
    whole = np.full((len(graph), len(graph)), np.inf, np.float32)
    whole[graph.rows, graph.index] = graph.distance
    return whole


@pytest.mark.parametrize(("k1", "k2"), [(20, 6), (8, 1), (5, 3)])
def test_jaccard_is_re_ranking_of_a_set_against_itself(k1: int, k2: int) -> None:
    vectors, _ = crowd()
    found = dense(jaccard_graph(vectors, k1, k2, reach=0.99))
    # the first item alone as query: the joint set is the same, and so are all encodings
    expected = dense_rerank(vectors[:1], vectors[1:], k1, k2, 0.0, variant="fastreid")[0]
    near = expected <= 0.99
    np.testing.assert_allclose(found[0, 1:][near], expected[near], atol=1e-5)
    assert np.isinf(found[0, 1:][~near]).all()


def test_jaccard_is_symmetric_within_its_reach_and_has_no_item_beside_itself() -> None:
    graph = jaccard_graph(crowd()[0], reach=0.7)
    whole = dense(graph)
    np.testing.assert_array_equal(whole, whole.T)
    assert graph.distance.max() <= 0.7
    assert np.isinf(np.diag(whole)).all()


def test_jaccard_does_not_depend_on_the_memory_allowed() -> None:
    vectors, _ = crowd(people=30, shots=12)
    small = jaccard_graph(vectors, memory=16 * 2**20)
    large = jaccard_graph(vectors)
    np.testing.assert_array_equal(small.index, large.index)
    np.testing.assert_allclose(small.distance, large.distance, atol=1e-6)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_plain_distances(metric: str) -> None:
    vectors, _ = crowd()
    apart = np.linalg.norm(vectors[:, None] - vectors[None], axis=2)
    expected = apart**2 / 2 if metric == "cosine" else apart
    np.fill_diagonal(expected, np.inf)
    found = dense(distance_graph(vectors, metric=metric, reach=0.5))  # type: ignore[arg-type]
    np.testing.assert_allclose(found[expected <= 0.5], expected[expected <= 0.5], atol=1e-5)
    assert np.isinf(found[expected > 0.5 + 1e-6]).all()


def test_some_of_the_items() -> None:
    graph = jaccard_graph(crowd()[0])
    members = np.array([7, 3, 30, 4, 100])
    np.testing.assert_array_equal(dense(graph.among(members)), dense(graph)[np.ix_(members, members)])


def test_a_graph_that_outgrows_its_memory_is_refused() -> None:
    vectors = np.ones((600, 4), np.float32)
    with pytest.raises(EvaluationError, match="smaller radius"):
        distance_graph(vectors, reach=0.5, memory=2**20)


def test_wrong_questions() -> None:
    with pytest.raises(EvaluationError, match="at least two"):
        jaccard_graph(np.ones((1, 4), np.float32))
    with pytest.raises(UsageError, match="reach"):
        jaccard_graph(np.ones((3, 4), np.float32), reach=1.0)


def test_no_square_matrix_is_made() -> None:
    vectors, _ = crowd(people=300, shots=10)
    tracemalloc.start()
    jaccard_graph(vectors, memory=24 * 2**20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3000 * 3000 * 4  # bytes of one N x N matrix in float32
