"""Quality of a clustering: silhouette without labels, mutual information and pair scores with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from resight.clustering.density import require_scikit_learn

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from resight.clustering.graph import NeighborGraph


def silhouettes(graph: NeighborGraph, labels: NDArray[np.int64]) -> NDArray[np.float32]:
    """How surely each item belongs to its cluster.  Rousseeuw, 1987.

        s = (b - a) / max(a, b)

    a: mean distance to the other members; b: to the members of the nearest other cluster.

    Args:
        graph: distances of N items; pairs that are not in it count as distance 1.
        labels: (N,) clusters, below 0 where left out.

    Returns:
        (N,) in [-1, 1]; 0 for an item that is left out.
    """
    count, clusters = len(graph), int(labels.max(initial=-1)) + 1
    if clusters == 0:
        return np.zeros(count, np.float32)
    size = np.bincount(labels[labels >= 0], minlength=clusters).astype(np.float64)
    item, cluster, similar = _to_clusters(graph, labels, clusters)
    own = cluster == labels[item]
    inside = np.zeros(count)
    inside[item[own]] = similar[own]
    outside = np.zeros(count)
    np.maximum.at(outside, item[~own], similar[~own] / size[cluster[~own]])
    within = 1 - inside / np.maximum(size[labels] - 1, 1)
    beyond = 1 - outside
    found = (beyond - within) / np.maximum(np.maximum(within, beyond), 1e-12)
    found[(labels < 0) | (size[labels] < 2)] = 0
    return found.astype(np.float32)


def _to_clusters(
    graph: NeighborGraph, labels: NDArray[np.int64], clusters: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """(item, cluster, sum of similarity to its members), where there is any."""
    rows, theirs = graph.rows, labels[graph.index]
    known = theirs >= 0
    key, place = np.unique(rows[known] * clusters + theirs[known], return_inverse=True)
    similar = np.bincount(place, 1 - graph.distance[known].astype(np.float64), minlength=len(key))
    return key // clusters, key % clusters, similar.astype(np.float64)


@dataclass(frozen=True)
class Agreement:
    """A clustering beside the truth.  An item left out counts as a cluster of its own."""

    ami: float  # adjusted mutual information, 1 for equal partitions, 0 by chance
    precision: float  # of the pairs put together, those that are one person
    recall: float  # of the pairs of one person, those put together

    @property
    def f1(self) -> float:
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0

    def as_dict(self) -> dict[str, float]:
        values = {"ami": self.ami, "pair_f1": self.f1, "pair_precision": self.precision, "pair_recall": self.recall}
        return {name: round(value, 4) for name, value in values.items()}


def agreement(labels: NDArray[np.int64], truth: NDArray[np.int64]) -> Agreement:
    """Compare clusters with the persons that are known.

    Args:
        labels: (N,) clusters, below 0 where left out; each left-out item counts as a cluster of its own.
        truth: (N,) persons.

    Returns:
        Adjusted mutual information, and precision and recall over pairs.

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    require_scikit_learn()
    from sklearn.metrics import adjusted_mutual_info_score, pair_confusion_matrix

    whole = with_singles(labels)
    (_, false_together), (missed, right) = pair_confusion_matrix(truth, whole)
    return Agreement(
        ami=float(adjusted_mutual_info_score(truth, whole)),
        precision=float(right / max(right + false_together, 1)),
        recall=float(right / max(right + missed, 1)),
    )


def with_singles(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Labels (N,) in which every item that was left out is a cluster of its own."""
    whole, out = labels.copy(), labels < 0
    whole[out] = labels.max(initial=-1) + 1 + np.arange(int(out.sum()))
    return whole
