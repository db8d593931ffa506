"""SpCL's criteria, by hand and as a limit."""

from __future__ import annotations

import numpy as np
import pytest

from resight.clustering import LEFT_OUT, ClusterConfig, agreement, cluster, dbscan, jaccard_graph
from resight.clustering.reliability import overlap, reliable
from resight.errors import RecipeError
from tests.clustering.crowds import crowd
from tests.clustering.test_density import line


def test_overlap_by_hand() -> None:
    one, other = np.array([0, 0, 0, 1, -1]), np.array([0, 0, 1, 1, -1])
    np.testing.assert_allclose(overlap(one, other), [2 / 3, 2 / 3, 1 / 4, 1 / 2, 1])


def test_a_cluster_that_is_about_to_merge_is_taken_apart() -> None:
    graph = line(0.1, 0.1, 0.32, 0.1, 0.1, 0.9, 0.1, 0.1)  # 0-2 and 3-5 meet at 0.32, 6-8 stay
    labels = dbscan(graph, 0.3, 3)
    assert labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    found = reliable(graph, labels, 0.3, 0.05, 3, independence=0.9)
    assert found.labels.tolist() == [LEFT_OUT] * 6 + [0, 0, 0]


def test_a_member_that_a_tighter_radius_would_lose_is_left_out() -> None:
    graph = line(0.1, 0.1, 0.28, 0.9)  # 3 is the last to join
    labels = dbscan(graph, 0.3, 3)
    assert labels.tolist() == [0, 0, 0, 0, LEFT_OUT]
    found = reliable(graph, labels, 0.3, 0.05, 3, independence=0.0)
    assert found.labels.tolist() == [0, 0, 0, LEFT_OUT, LEFT_OUT]


def test_the_first_threshold_lets_nine_in_ten_through() -> None:
    vectors, _ = crowd(people=60, shots=12, dim=24, spread=1.2)
    graph = jaccard_graph(vectors)
    labels = dbscan(graph, 0.5)
    found = reliable(graph, labels, 0.5, 0.05)
    assert 0.8 * (labels.max() + 1) <= found.labels.max() + 1 <= labels.max() + 1
    assert 0 <= found.independence <= 1


def test_clusters_far_apart_stay_as_they_are() -> None:
    vectors, truth = crowd(people=12, shots=24, spread=0.2)
    found = cluster(vectors, ClusterConfig(gap=0.02, eps=0.6))
    assert agreement(found.labels, truth).precision == 1
    assert found.independence == 1


def test_believed_clusters_are_purer() -> None:
    vectors, truth = crowd(people=80, shots=12, dim=24, spread=1.6)
    plain = cluster(vectors, ClusterConfig(eps=0.55))
    paced = cluster(vectors, ClusterConfig(eps=0.55, gap=0.05))
    assert agreement(paced.labels, truth).precision > agreement(plain.labels, truth).precision
    assert paced.left_out > plain.left_out


def test_nothing_found_nothing_believed() -> None:
    assert reliable(line(0.9, 0.9), np.full(3, LEFT_OUT), 0.3, 0.05).labels.tolist() == [LEFT_OUT] * 3


def test_a_gap_belongs_to_dbscan() -> None:
    with pytest.raises(RecipeError, match="gap"):
        ClusterConfig(method="agglomerative", eps=0.3, gap=0.02)
