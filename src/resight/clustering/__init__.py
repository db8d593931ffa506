"""Groups of one person each, from descriptors alone.  docs/methods/unsupervised.md

    from resight import clustering
    groups = clustering.cluster(vectors)                 # (N, D) -> Clusters
    groups.labels, groups.confidence, groups.eps

Everything is sparse: 100,000 descriptors fit into 4 GiB.  Needs the extra `cluster` (scikit-learn).
"""

from __future__ import annotations

from resight.clustering.agglomerative import agglomerate
from resight.clustering.cluster import ClusterConfig, Clusters, centered, cluster
from resight.clustering.constraints import Corrections, constrain, one_frame
from resight.clustering.density import (
    LEFT_OUT,
    RadiusTrial,
    choose_radius,
    dbscan,
    gain,
    pair_agreement,
    require_scikit_learn,
)
from resight.clustering.graph import NeighborGraph, distance_graph, jaccard_graph
from resight.clustering.quality import Agreement, agreement, silhouettes

__all__ = [
    "LEFT_OUT",
    "Agreement",
    "ClusterConfig",
    "Clusters",
    "Corrections",
    "NeighborGraph",
    "RadiusTrial",
    "agglomerate",
    "agreement",
    "centered",
    "choose_radius",
    "cluster",
    "constrain",
    "dbscan",
    "distance_graph",
    "gain",
    "jaccard_graph",
    "one_frame",
    "pair_agreement",
    "require_scikit_learn",
    "silhouettes",
]
