"""Descriptors to groups of one person each."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from resight.clustering.agglomerative import agglomerate, renumbered
from resight.clustering.constraints import constrain
from resight.clustering.density import LEFT_OUT, RadiusTrial, choose_radius, dbscan
from resight.clustering.graph import REACH, NeighborGraph, distance_graph, jaccard_graph
from resight.clustering.quality import silhouettes
from resight.clustering.reliability import reliable
from resight.errors import RecipeError
from resight.evaluation.reranking.k_reciprocal import RERANK_MEMORY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from resight.clustering.constraints import Pair
    from resight.clustering.graph import Progress
    from resight.types import Metric


@dataclass(frozen=True)
class ClusterConfig:
    """How descriptors become groups."""

    method: Literal["dbscan", "agglomerative"] = "dbscan"
    distance: Literal["jaccard", "plain"] = "jaccard"  # k-reciprocal Jaccard, or the model's own metric
    k1: int = 15  # length of the rank lists whose overlap is the Jaccard distance: about the crops of a person
    k2: int = 6  # length of the lists whose encodings are averaged
    eps: float | None = None  # radius of DBSCAN, or threshold of agglomeration; None: what suits the features
    min_samples: int = 4  # neighbors within the radius, itself counted, that make the core of a cluster
    gap: float = 0.0  # leave out what a radius so much tighter or looser would change (SpCL); 0: nothing

    def __post_init__(self) -> None:
        if self.k1 < 1 or self.k2 < 1 or self.min_samples < 1:
            raise RecipeError(f"k1={self.k1}, k2={self.k2}, min_samples={self.min_samples}: each is at least 1.")
        if not 0 <= self.gap < 0.5 or (self.gap and self.method != "dbscan"):
            raise RecipeError(f"gap is {self.gap}; expected a distance from 0 to 0.5, with DBSCAN.")
        if self.eps is not None and self.eps <= 0:
            raise RecipeError(f"eps is {self.eps}; a distance above 0, or nothing for what suits the features.")
        if self.eps is None and (self.distance == "plain" or self.method == "agglomerative"):
            raise RecipeError("eps: only DBSCAN on Jaccard distances can choose it; give a number.")


@dataclass(frozen=True)
class Clusters:
    """Groups among N items.

    labels (N,) from 0, LEFT_OUT where an item is in none; confidence (N,) silhouettes in [-1, 1]; eps the radius
    used; trials what other radii would have given, where it was chosen; independence the least that clusters had to
    have, where a gap was given.
    """

    labels: NDArray[np.int64]
    confidence: NDArray[np.float32]
    eps: float
    trials: tuple[RadiusTrial, ...] = ()
    independence: float | None = None

    @property
    def count(self) -> int:
        return int(self.labels.max(initial=LEFT_OUT)) + 1

    @property
    def sizes(self) -> NDArray[np.int64]:
        """(count,) members of each."""
        return np.bincount(self.labels[self.labels >= 0], minlength=self.count)

    @property
    def left_out(self) -> float:
        """Share of the items in no group."""
        return float((self.labels < 0).mean())

    @property
    def silhouette(self) -> float:
        """Mean over the items in a group; 0 without any."""
        grouped = self.labels >= 0
        return float(self.confidence[grouped].mean()) if grouped.any() else 0.0

    @property
    def stability(self) -> float | None:
        """Agreement with the radius one step tighter, by pairs; None where no radius was chosen."""
        chosen = next((trial for trial in self.trials if trial.eps == self.eps), None)
        return None if chosen is None else chosen.stability

    def facts(self) -> dict[str, Any]:
        """What a record says of it."""
        stability = self.stability
        return {
            "clusters": self.count,
            "left_out": round(self.left_out, 4),
            "eps": self.eps,
            "largest": int(self.sizes.max(initial=0)),
            "silhouette": round(self.silhouette, 4),
            "stability": None if stability is None else round(stability, 4),
        }

    def path(self) -> list[dict[str, Any]]:
        """Every radius looked at."""
        return [{name: round(value, 4) for name, value in asdict(trial).items()} for trial in self.trials]


def cluster(
    features: NDArray[np.float32],
    config: ClusterConfig | None = None,
    *,
    metric: Metric = "cosine",
    apart: Sequence[Pair] = (),
    together: Sequence[Pair] = (),
    independence: float | None = None,
    memory: int = RERANK_MEMORY,
    progress: Progress | None = None,
) -> Clusters:
    """Group N descriptors by person, without labels.

    Args:
        features: (N, D).
        config: how; DBSCAN on k-reciprocal Jaccard distances at a radius that suits the features, if not given.
        metric: of the features.
        apart: pairs of rows that show two people.
        together: pairs of rows that show one.
        independence: with a gap, the least that clusters must have; None: what 90 % of these have.
        memory: bytes used beyond features and result, about.
        progress: hears (items done, of how many).

    Returns:
        Labels (N,) below 0 where left out, and how good the grouping is.

    Raises:
        EvaluationError: features that are not finite, or pairs within the radius that outgrow `memory`.
    """
    config = config or ClusterConfig()
    if len(features) < 2:
        return Clusters(np.full(len(features), LEFT_OUT, np.int64), np.zeros(len(features), np.float32), 0.0)
    graph = build_graph(features, config, metric, memory, progress)
    trials: list[RadiusTrial] = []
    eps = config.eps
    if eps is None:
        eps, trials = choose_radius(graph, config.min_samples)
    if config.method == "dbscan":
        labels = dbscan(graph, eps, config.min_samples)
        if config.gap:
            believed = reliable(graph, labels, eps, config.gap, config.min_samples, independence)
            labels, independence = believed.labels, believed.independence
        labels = constrain(graph, labels, apart, together)
    else:
        labels = agglomerate(graph, eps, apart=apart, together=together)
        labels = renumbered(np.where(np.bincount(labels)[labels] < 2, LEFT_OUT, labels))
    return Clusters(labels, silhouettes(graph, labels), eps, tuple(trials), independence)


def build_graph(
    features: NDArray[np.float32],
    config: ClusterConfig,
    metric: Metric = "cosine",
    memory: int = RERANK_MEMORY,
    progress: Progress | None = None,
) -> NeighborGraph:
    """The distances that clustering looks at."""
    if config.distance == "plain":
        assert config.eps is not None
        wide = 1.25 if config.method == "agglomerative" else 1.0  # means are over pairs on both sides of the threshold
        return distance_graph(features, metric=metric, reach=wide * config.eps, memory=memory)
    reach = max(REACH, config.eps or 0.0)
    return jaccard_graph(features, config.k1, config.k2, metric=metric, reach=reach, memory=memory, progress=progress)


def centered(vectors: NDArray[np.float32], camids: NDArray[np.int64]) -> NDArray[np.float32]:
    """Each vector less the mean of its camera.

    Args:
        vectors: (N, D).
        camids: (N,).

    Returns:
        (N, D) float32, of unit length again.
    """
    moved = vectors.copy()
    for camera in np.unique(camids):
        own = camids == camera
        moved[own] -= moved[own].mean(axis=0)
    length = np.linalg.norm(moved, axis=1, keepdims=True)
    return np.asarray(moved / np.where(length > 0, length, 1), np.float32)
