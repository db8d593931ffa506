"""Exact neighbours in a fixed order, and the lists of the report."""

from __future__ import annotations

import numpy as np
import pytest

from resight.errors import EvaluationError
from resight.evaluation import Protocol, evaluate_features, nearest, ranked_list
from resight.evaluation.joint import Joint
from resight.evaluation.labels import Labels
from resight.evaluation.lists import neighbour_lists
from resight.evaluation.neighbours import ranked_rows, smallest
from tests.evaluation.examples import D1, G2, LABELS1, LABELS2, Q2, unit


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


def test_a_list_agrees_with_the_verdict() -> None:
    report = evaluate_features(Q2, G2, *LABELS2)
    lists = ranked_list(Q2, G2, *LABELS2, k=9)
    for query, items in enumerate(lists):
        first = next(item for item in items if item.flag == "right")
        assert first.rank == report.first_match[query]
        assert sum(item.flag == "right" for item in items) == report.num_valid[query]
    assert [item.flag for item in lists[0]][:3] == ["right", "right", "junk"]
    assert lists[0][2].rank == 0


def test_only_the_queries_asked_for_and_k_kept_items() -> None:
    (items,) = ranked_list(Q2, G2, *LABELS2, k=3, rows=[2])
    assert [item.index for item in items] == [6, 7, 5]
    assert [item.rank for item in items] == [1, 2, 3]
    (items,) = ranked_list(Q2, G2, *LABELS2, k=3, rows=[0])
    assert [item.rank for item in items] == [1, 2, 0, 3]  # junk in its place


def test_example_1_by_hand() -> None:
    labels = Labels.of(*LABELS1, Protocol())
    lists = ranked_rows(D1, labels, k=10)
    kept = [[item.index for item in items if item.flag != "junk"] for items in lists]
    assert kept[0] == [7, 4, 8, 2, 1, 5, 3, 6]
    assert kept[1] == [2, 3, 5, 8, 0, 1, 7, 6]
    assert kept[2] == [4, 6, 7, 8, 3, 2, 1, 0]
    assert "right" not in {item.flag for item in lists[3]}


@pytest.mark.parametrize("separate", [False, True])
def test_lists_of_everybody_equal_a_full_sort(separate: bool) -> None:
    """Far more items than one slab, few distinct distances, twins: the order is by distance, then number."""
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 3, (300, 4)).astype(np.float32)
    joint = Joint(rows[:40], rows[40:], "euclidean")
    lists = neighbour_lists(joint, 9, separate)
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
