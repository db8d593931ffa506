"""Average linkage: against scipy, and with pairs that must and must not be together."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from resight.clustering import NeighborGraph, agglomerate, constrain, distance_graph
from tests.clustering.crowds import crowd


def same(one: np.ndarray, other: np.ndarray) -> bool:
    """Equal partitions, whatever the numbers."""
    return bool(((one[:, None] == one[None]) == (other[:, None] == other[None])).all())


def graph() -> NeighborGraph:
    vectors, _ = crowd(people=6, shots=8, spread=1.0)
    return distance_graph(vectors, reach=1.9)


@pytest.mark.parametrize("threshold", [0.2, 0.4, 0.6, 0.8])
def test_average_linkage_as_scipy_has_it(threshold: float) -> None:
    vectors, _ = crowd(people=6, shots=8, spread=1.0)
    whole = 1 - vectors @ vectors.T
    np.fill_diagonal(whole, 0)
    theirs = fcluster(linkage(squareform(whole, checks=False), "average"), threshold, "distance")
    assert same(agglomerate(graph(), threshold), theirs)


def test_labels_count_from_the_first_member() -> None:
    labels = agglomerate(graph(), 0.5)
    firsts = [int(np.flatnonzero(labels == label)[0]) for label in range(labels.max() + 1)]
    assert firsts == sorted(firsts)


def test_forbidden_pairs_stay_apart_through_all_merges() -> None:
    free = agglomerate(graph(), 0.9)
    pairs = [(a, b) for a in range(0, 48, 5) for b in range(a + 1, 48, 7) if free[a] == free[b]]
    assert pairs
    labels = agglomerate(graph(), 0.9, apart=pairs)
    assert all(labels[a] != labels[b] for a, b in pairs)


def test_pairs_given_together_are_together_unless_forbidden() -> None:
    labels = agglomerate(graph(), 0.01, together=[(0, 40), (40, 7), (3, 9)], apart=[(3, 9)])
    assert labels[0] == labels[40] == labels[7]
    assert labels[3] != labels[9]


def test_constraints_change_no_more_than_they_need() -> None:
    labels = np.repeat([0, 1, 2, 3, 4, -1], 8)
    vectors, truth = crowd(people=6, shots=8, spread=0.4)
    vectors = vectors[np.argsort(truth, kind="stable")]
    near = distance_graph(vectors, reach=1.9)
    assert (constrain(near, labels, [(0, 8)]) == labels).all()  # apart already
    merged = constrain(near, labels, [], [(0, 8), (16, 47)])
    assert len({*merged[:16]}) == 1
    assert merged[47] == merged[16]
    assert same(merged[24:40], labels[24:40])
    split = constrain(near, labels, [(0, 1)])
    assert split[0] != split[1] or split[0] < 0
    assert same(split[8:], labels[8:])


def test_a_join_that_is_forbidden_later_is_undone() -> None:
    labels = np.repeat([0, 1], 8)
    vectors, truth = crowd(people=2, shots=8, spread=0.4)
    vectors = vectors[np.argsort(truth, kind="stable")]
    near = distance_graph(vectors, reach=1.9)
    both = constrain(near, labels, [(0, 9)], [(0, 8)])
    assert both[0] == both[8]
    assert both[0] != both[9]
