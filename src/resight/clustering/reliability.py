"""Reliability of clusters: their independence and compactness under a looser and a tighter radius.

SpCL, Ge et al., NeurIPS 2020, section 3.2.  IoU of an item's cluster at one radius with its cluster at another:

    independence of a cluster = max over members of IoU(at eps, at eps + gap)    high: stays alone at a looser radius
    compactness of an item    = IoU(at eps, at eps - gap)                        high: stays at a tighter radius

Clusters of low independence are taken apart, and items of less compactness than their cluster's best are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from resight.clustering.agglomerative import renumbered
from resight.clustering.density import LEFT_OUT, dbscan
from resight.clustering.quality import with_singles

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from resight.clustering.graph import NeighborGraph

KEPT = 0.9  # share of the clusters that the first threshold lets through


@dataclass(frozen=True)
class Reliable:
    """Labels of the reliable items, and the threshold on independence, which later epochs keep."""

    labels: NDArray[np.int64]
    independence: float


def reliable(
    graph: NeighborGraph,
    labels: NDArray[np.int64],
    eps: float,
    gap: float,
    min_samples: int = 4,
    independence: float | None = None,
) -> Reliable:
    """Leave out what depends on the radius.

    Args:
        graph: that `labels` were found on.
        labels: (N,) of DBSCAN at `eps`.
        eps: the radius.
        gap: to the tighter and the looser one.
        min_samples: of DBSCAN.
        independence: the least asked for; None: what 90 % of these clusters have.
    """
    if labels.max(initial=LEFT_OUT) < 0:
        return Reliable(labels, 0.0 if independence is None else independence)
    loose = overlap(labels, dbscan(graph, min(eps + gap, graph.reach), min_samples))
    tight = overlap(labels, dbscan(graph, max(eps - gap, 1e-6), min_samples))
    count = int(labels.max()) + 1
    independent, compact = np.zeros(count), np.zeros(count)
    grouped = labels >= 0
    np.maximum.at(independent, labels[grouped], loose[grouped])  # the best of the members, as the authors have it
    np.maximum.at(compact, labels[grouped], tight[grouped])
    if independence is None:
        independence = float(np.sort(independent)[::-1][min(count - 1, round(KEPT * count))])
    believed = grouped & (independent[labels] >= independence) & (tight >= compact[labels])
    return Reliable(renumbered(np.where(believed, labels, LEFT_OUT)), independence)


def overlap(one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.float64]:
    """(N,) IoU of each item's cluster in two labelings; an item that is left out is a cluster of its own."""
    one, other = with_singles(one), with_singles(other)
    mine, theirs, both = (_sizes(each) for each in (one, other, one * (int(other.max()) + 1) + other))
    return np.asarray(both / (mine + theirs - both), np.float64)


def _sizes(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """(N,) how many items have each item's label."""
    _, place, count = np.unique(labels, return_inverse=True, return_counts=True)
    return count[place]
