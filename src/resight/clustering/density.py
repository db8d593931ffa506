"""DBSCAN on a neighbor graph, and the radius that suits the features, found without labels.

How tight to cluster depends on the features: weak ones need a small radius, or chains of similar pictures join people.
The radius is the one at which clusters gain most,

    gain(eps) = sum over pairs i, j of one cluster of (1 - d(i, j) - FAIR),

the objective of correlation clustering: a pair that is put together adds its Jaccard similarity and costs FAIR.
Members of a true cluster share neighbors, so nearly all their pairs are similar.  A chain joins many pairs that share
nothing, whose cost grows with the square of its length.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from resight.errors import MissingExtraError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from resight.clustering.graph import NeighborGraph

LEFT_OUT = -1  # the label of an item in no cluster
FAIR = 0.15  # similarity a pair must have to be better together; docs/methods/unsupervised.md has the measurement
RADII = tuple(round(0.2 + 0.025 * step, 3) for step in range(25))  # 0.2 to 0.8


def require_scikit_learn() -> None:
    """Raises MissingExtraError now rather than after an hour of describing pictures."""
    try:
        import sklearn.cluster  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("clustering", "cluster") from error


def dbscan(graph: NeighborGraph, eps: float, min_samples: int = 4) -> NDArray[np.int64]:
    """Labels (N,), numbered by their first member; LEFT_OUT for noise.  Ester et al., KDD 1996.

    Args:
        graph: with a reach of at least `eps`.
        eps: two items are neighbors up to this distance.
        min_samples: an item with as many neighbors, itself counted, is the core of a cluster.
    """
    require_scikit_learn()
    from scipy.sparse import csr_matrix
    from sklearn.cluster import DBSCAN

    near = graph.within(eps)
    if not len(near.index) and min_samples > 1:
        return np.full(len(graph), LEFT_OUT, np.int64)
    distances = csr_matrix((near.distance, near.index, near.start), shape=(len(graph), len(graph)))  # 0 is stored, too
    found = DBSCAN(eps=eps, min_samples=min_samples, metric="precomputed").fit_predict(distances)
    return np.asarray(found, np.int64)


@dataclass(frozen=True)
class RadiusTrial:
    """What one radius gives."""

    eps: float
    clusters: int
    left_out: float  # share of all items
    largest: int
    gain: float  # a picture
    stability: float  # share of the joined pairs that the radius before also joined, of all either joined


def choose_radius(graph: NeighborGraph, min_samples: int = 4) -> tuple[float, list[RadiusTrial]]:
    """The radius of the highest gain among RADII, up to the graph's reach.

    Args:
        graph: the neighbors of N items, with their distances.
        min_samples: as in `dbscan`.

    Returns:
        The radius, the smallest of equals, and what each radius gives.

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    trials, before = [], np.full(len(graph), LEFT_OUT, np.int64)
    for eps in (eps for eps in RADII if eps <= graph.reach):
        labels = dbscan(graph, eps, min_samples)
        sizes = np.bincount(labels[labels >= 0], minlength=1)
        trials.append(
            RadiusTrial(
                eps=eps,
                clusters=int(labels.max(initial=-1)) + 1,
                left_out=float((labels < 0).mean()),
                largest=int(sizes.max()),
                gain=gain(graph, labels),
                stability=pair_agreement(before, labels),
            )
        )
        before = labels
    best = max(trials, key=lambda trial: (round(trial.gain, 9), -trial.eps))
    return best.eps, trials


def gain(graph: NeighborGraph, labels: NDArray[np.int64]) -> float:
    """Similarity of the pairs that are together, less FAIR for each, a picture.

    Args:
        graph: distances of N items; a pair that is not in it has no similarity.
        labels: (N,) clusters, below 0 where left out.

    Returns:
        The gain of a picture; see the module.
    """
    rows = graph.rows
    together = (labels[rows] == labels[graph.index]) & (labels[rows] >= 0)
    similarity = float((1 - graph.distance[together]).sum(dtype=np.float64))
    return (similarity - FAIR * 2 * _pairs(labels)) / len(graph)


def pair_agreement(one: NDArray[np.int64], other: NDArray[np.int64]) -> float:
    """Share of the joined pairs that two labelings have in common.

    Args:
        one: (N,) clusters, below 0 where left out.
        other: (N,), likewise.

    Returns:
        Pairs joined by both over pairs joined by either, in [0, 1]; 1 where neither joins any.
    """
    both = (one >= 0) & (other >= 0)
    joint = one[both] * (int(other.max(initial=0)) + 1) + other[both]
    shared = _pairs(np.unique(joint, return_inverse=True)[1]) if len(joint) else 0.0
    union = _pairs(one) + _pairs(other) - shared
    return shared / union if union else 1.0


def _pairs(labels: NDArray[np.int64]) -> float:
    """Pairs of items that share a label."""
    sizes = np.bincount(labels[labels >= 0], minlength=1).astype(np.float64)
    return float((sizes * (sizes - 1) / 2).sum())
