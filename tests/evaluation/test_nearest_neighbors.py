"""Exact neighbours in a fixed order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from resight.errors import EvaluationError
from resight.evaluation import Protocol, evaluate_features, nearest
from resight.evaluation.nearest_neighbors import smallest
from resight.evaluation.reranking.joint_features import Joint
from resight.evaluation.reranking.neighbor_lists import neighbor_lists
from tests.evaluation.examples import G2, Q2, unit


def test_example_2_orders() -> None:
    expected = [[0, 2, 1, 8, 7, 4, 6, 3, 5], [3, 4, 5, 8, 1, 6, 7, 0, 2], [6, 7, 5, 8, 4, 2, 0, 1, 3]]
    for metric in ("cosine", "euclidean"):
        np.testing.assert_array_equal(nearest(unit(Q2), unit(G2), 9, metric)[1], expected)
    np.testing.assert_array_equal(nearest(Q2, G2, 9)[1], expected)  # cosine does not need unit length
    np.testing.assert_array_equal(nearest(Q2, G2, 9, "euclidean")[1][1], [3, 4, 5, 8, 1, 6, 0, 7, 2])


def test_example_2_distances() -> None:
    distance, index = nearest(unit(Q2), unit(G2), 3, "euclidean")
    np.testing.assert_allclose(distance[0], [0.160386, 0.306357, 0.607516], atol=1e-6)
    np.testing.assert_allclose(nearest(Q2, G2, 2)[0][2], [0.012862, 0.148515], atol=1e-6)
    assert distance.dtype == np.float64
    assert index.dtype == np.int64


EUCLIDEAN = """
0.160386 0.607516 0.306357 1.258954 1.129453 1.363554 1.244729 0.889988 0.857982
1.238850 0.829964 1.373788 0.139850 0.521368 0.579568 1.186534 1.221732 0.800792
1.261851 1.278745 1.112449 1.326543 0.893940 0.769938 0.160386 0.545004 0.857982
"""
COSINE = """
0.012862 0.184538 0.046927 0.792483 0.637832 0.929640 0.774675 0.396040 0.368067
0.767375 0.344420 0.943646 0.009779 0.135912 0.167950 0.703932 0.746314 0.320634
0.796135 0.817594 0.618771 0.879859 0.399564 0.296402 0.012862 0.148515 0.368067
"""


@pytest.mark.parametrize(("metric", "printed"), [("euclidean", EUCLIDEAN), ("cosine", COSINE)])
def test_example_2_every_distance(metric: Any, printed: str) -> None:
    expected = np.array([line.split() for line in printed.split("\n") if line], float)
    distance, index = nearest(unit(Q2), unit(G2), 9, metric)
    np.testing.assert_allclose(distance, np.take_along_axis(expected, index, axis=1), atol=1e-6)


def test_example_2_rank_lists_of_everybody() -> None:
    """Items 0, 1, 2 are the queries, 3 to 11 the gallery."""
    printed = [
        [0, 3, 5, 4, 11], [1, 6, 7, 8, 11], [2, 9, 10, 8, 11], [3, 0, 5, 4, 11], [4, 3, 11, 0, 7], [5, 3, 0, 10, 4],
        [6, 1, 7, 8, 4], [7, 8, 11, 1, 6], [8, 7, 1, 11, 6], [9, 2, 10, 8, 11], [10, 9, 11, 2, 5], [11, 7, 4, 10, 8],
    ]  # fmt: skip
    lists = neighbor_lists(Joint(Q2, G2, "cosine"), 5)
    np.testing.assert_array_equal(lists.index, printed)


def test_more_neighbours_than_there_are() -> None:
    distance, index = nearest(Q2, G2, 12)
    assert (index[:, 9:] == -1).all()
    assert np.isinf(distance[:, 9:]).all()
    assert sorted(index[0, :9]) == list(range(9))


def test_excluded_items_do_not_return() -> None:
    mask = np.zeros(9, bool)
    mask[[0, 2]] = True
    np.testing.assert_array_equal(nearest(Q2, G2, 3, exclude=mask)[1][0], [1, 8, 7])
    pairs = np.zeros((3, 9), bool)
    pairs[1] = True
    distance, index = nearest(Q2, G2, 2, exclude=pairs)
    assert (index[1] == -1).all()
    assert np.isinf(distance[1]).all()
    np.testing.assert_array_equal(index[0], [0, 2])
    with pytest.raises(EvaluationError, match="one flag an item"):
        nearest(Q2, G2, 2, exclude=np.zeros(4, bool))


@pytest.mark.parametrize("k", [1, 3, 7, 12])
def test_ties_keep_the_order_of_the_gallery(k: int) -> None:
    rng = np.random.default_rng(k)
    block = (rng.integers(0, 4, (50, 12)) / 4).astype(np.float32)
    values, columns = smallest(block, k)
    np.testing.assert_array_equal(columns, np.argsort(block, axis=1, kind="stable")[:, :k])
    np.testing.assert_array_equal(values, np.sort(block, axis=1)[:, :k])


@pytest.mark.parametrize("memory", [1, 2**17, 2**28])  # bytes; the first allows one neighbour on offer at a time
@pytest.mark.parametrize("separate", [False, True])
def test_lists_of_everybody_equal_a_full_sort(separate: bool, memory: int) -> None:
    """Far more items than one slab, few distinct distances, twins: the order is by distance, then number."""
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 3, (300, 4)).astype(np.float32)
    joint = Joint(rows[:40], rows[40:], "euclidean")
    lists = neighbor_lists(joint, 9, separate, memory, keep=True)
    distance = ((rows[:, None] - rows) ** 2).sum(axis=2)
    hidden = np.zeros((300, 300), bool)
    hidden[:, :40] = separate
    np.testing.assert_allclose(lists.farthest, np.where(hidden, 0, distance).max(axis=1))
    np.fill_diagonal(hidden, False)
    distance[hidden] = np.inf
    np.fill_diagonal(distance, -1)
    order = np.argsort(distance, axis=1, kind="stable")[:, :9]
    np.testing.assert_array_equal(lists.index, order)
    np.fill_diagonal(distance, 0)
    np.testing.assert_allclose(lists.distance, np.take_along_axis(distance, order, 1))
    assert lists.kept is not None
    np.testing.assert_allclose(lists.kept, ((rows[:40, None] - rows[40:]) ** 2).sum(axis=2))


@pytest.mark.parametrize("offset", [1_000.0, 10_000.0, -3e6])
def test_an_offset_of_all_features_changes_no_euclidean_distance(offset: float) -> None:
    rng = np.random.default_rng(1)
    q, g = rng.normal(size=(30, 64)), rng.normal(size=(90, 64))
    exact = np.linalg.norm(q[:, None] - g, axis=2)
    order = np.argsort(exact, axis=1)
    for move in (np.full(64, offset), offset * rng.normal(size=64)):
        distance, index = nearest(q + move, g + move, 90, "euclidean")
        np.testing.assert_allclose(distance, np.sort(exact, axis=1), atol=2e-6)
        np.testing.assert_array_equal(index[:, :5], order[:, :5])


def test_single_precision_loses_no_more_than_it_stored() -> None:
    rng = np.random.default_rng(2)
    q, g = ((rng.normal(size=(n, 64)) + 10_000).astype(np.float32) for n in (30, 90))
    exact = np.linalg.norm(q[:, None].astype(np.float64) - g, axis=2)
    for kind in (np.asarray, torch.from_numpy):
        distance = nearest(kind(q), kind(g), 90, "euclidean")[0]
        np.testing.assert_allclose(distance, np.sort(exact, axis=1), atol=2e-6)
    rules: dict[str, Any] = {"metric": "euclidean", "protocol": Protocol(camera_rule="any")}
    report = evaluate_features(q, q, np.arange(30) + 1, np.arange(30) + 1, **rules)
    assert report.mAP == 1 and report.counts.zero_vectors == 0
    zero = np.concatenate([q, np.zeros((1, 64), np.float32)])
    assert evaluate_features(zero, q, np.arange(31) + 1, np.arange(30) + 1, **rules).counts.zero_vectors == 1
