"""DBSCAN, the radius that is chosen, and what it is chosen by."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from resight.clustering import LEFT_OUT, NeighborGraph, agreement, choose_radius, dbscan, gain, jaccard_graph
from resight.clustering import pair_agreement as agree
from resight.errors import MissingExtraError
from tests.clustering.crowds import crowd


def line(*distances: float) -> NeighborGraph:
    """Items in a row, each at a distance from the next."""
    count = len(distances) + 1
    pairs = [(i, i + 1, d) for i, d in enumerate(distances)] + [(i + 1, i, d) for i, d in enumerate(distances)]
    pairs.sort()
    start = np.concatenate(([0], np.cumsum(np.bincount([row for row, _, _ in pairs], minlength=count))))
    columns, values = [column for _, column, _ in pairs], [value for _, _, value in pairs]
    return NeighborGraph(start, np.array(columns, np.int32), np.array(values, np.float32), 1.0)


def test_chains_and_noise_by_hand() -> None:
    graph = line(0.1, 0.1, 0.9, 0.1, 0.1, 0.9)  # 0 1 2 | 3 4 5 | 6
    assert dbscan(graph, 0.2, 3).tolist() == [0, 0, 0, 1, 1, 1, LEFT_OUT]
    assert dbscan(graph, 0.2, 4).tolist() == [LEFT_OUT] * 7
    assert dbscan(graph, 0.05).tolist() == [LEFT_OUT] * 7  # no edge at all


def test_copies_of_one_picture_are_neighbors() -> None:
    assert dbscan(line(0.0, 0.0, 0.9), 0.5, 3).tolist() == [0, 0, 0, LEFT_OUT]


def test_gain_by_hand() -> None:
    graph = line(0.2, 0.4, 0.9)
    labels = np.array([0, 0, 0, LEFT_OUT])
    # pairs 01 and 12 of similarity 0.8 and 0.6, 02 of none; each pair counts for both of its items
    assert gain(graph, labels) == pytest.approx(2 * (0.8 + 0.6 - 3 * 0.15) / 4)
    assert gain(graph, np.full(4, LEFT_OUT)) == 0


def test_pair_agreement_by_hand() -> None:
    one, other = np.array([0, 0, 0, 1, 1, LEFT_OUT]), np.array([0, 0, 1, 1, 1, 1])
    # one: 3 + 1 pairs; other: 1 + 6; both: 01 and 34
    assert agree(one, other) == pytest.approx(2 / (4 + 7 - 2))
    assert agree(one, one) == 1
    assert agree(np.full(3, LEFT_OUT), np.full(3, LEFT_OUT)) == 1


@pytest.mark.parametrize("spread", [0.5, 1.0, 1.4])
def test_the_chosen_radius_is_among_the_good_ones_whatever_the_features(spread: float) -> None:
    vectors, truth = crowd(people=60, shots=12, dim=24, spread=spread)
    graph = jaccard_graph(vectors)
    eps, trials = choose_radius(graph)
    scores = {trial.eps: agreement(dbscan(graph, trial.eps), truth).f1 for trial in trials}
    assert scores[eps] >= 0.9 * max(scores.values())


def test_weak_features_get_a_tighter_radius_than_the_loosest_and_never_one_great_cluster() -> None:
    vectors, _ = crowd(people=60, shots=12, dim=24, spread=1.8)
    eps, trials = choose_radius(jaccard_graph(vectors))
    chosen = next(trial for trial in trials if trial.eps == eps)
    assert max(trial.largest for trial in trials) > 300  # a loose radius joins everybody
    assert chosen.largest < 60


def test_nothing_alike_nothing_joined() -> None:
    graph = line(0.95, 0.95, 0.95)
    eps, trials = choose_radius(graph)
    assert eps == trials[0].eps
    assert all(trial.clusters == 0 for trial in trials)


def test_without_scikit_learn_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.cluster", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'resight\[cluster\]'"):
        dbscan(line(0.1, 0.1), 0.2)
