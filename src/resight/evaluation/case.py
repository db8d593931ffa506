"""A case to be judged: distances from anywhere, and who is who."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from resight.evaluation.blocks import MEMORY, FeatureSource, Matrix, MatrixSource, Source
from resight.evaluation.joint import Joint
from resight.evaluation.labels import Labels
from resight.evaluation.protocol import MARKET, Protocol
from resight.evaluation.reranking import RERANK_MEMORY, Reranked, Reranking, lists_for

if TYPE_CHECKING:
    import numpy.typing as npt

    from resight.types import Metric


@dataclass(frozen=True)
class Case:
    """What every score here is computed from.  Distances are made block by block, each time they are needed."""

    source: Source
    labels: Labels

    def __post_init__(self) -> None:
        self.labels.check_shape(*self.source.shape)

    @classmethod
    def of_distances(
        cls,
        distances: Matrix,
        q_pids: npt.ArrayLike,
        g_pids: npt.ArrayLike,
        q_cams: npt.ArrayLike | None = None,
        g_cams: npt.ArrayLike | None = None,
        *,
        protocol: Protocol = MARKET,
    ) -> Case:
        """From a matrix (Q, G), smaller is closer."""
        labels = Labels.of(q_pids, g_pids, q_cams, g_cams, protocol)
        return cls(MatrixSource(distances, protocol.on_nan), labels)

    @classmethod
    def of_features(
        cls,
        query: Matrix,
        gallery: Matrix,
        q_pids: npt.ArrayLike,
        g_pids: npt.ArrayLike,
        q_cams: npt.ArrayLike | None = None,
        g_cams: npt.ArrayLike | None = None,
        metric: Metric = "cosine",
        *,
        protocol: Protocol = MARKET,
        memory: int = MEMORY,
    ) -> Case:
        """From features (Q, D) and (G, D)."""
        labels = Labels.of(q_pids, g_pids, q_cams, g_cams, protocol)
        return cls(FeatureSource(query, gallery, metric, protocol.on_nan, memory), labels)

    @classmethod
    def of_reranked(
        cls,
        query: Matrix,
        gallery: Matrix,
        q_pids: npt.ArrayLike,
        g_pids: npt.ArrayLike,
        q_cams: npt.ArrayLike | None = None,
        g_cams: npt.ArrayLike | None = None,
        metric: Metric = "cosine",
        *,
        setting: Reranking,
        protocol: Protocol = MARKET,
        memory: int = RERANK_MEMORY,
    ) -> Case:
        """From features, their distances re-ranked.  The search is done here, once."""
        labels = Labels.of(q_pids, g_pids, q_cams, g_cams, protocol)
        joint = Joint(query, gallery, metric, memory)
        labels.check_shape(joint.queries, joint.gallery)  # before the work, not after
        return cls(Reranked(joint, lists_for(joint, [setting], memory), setting, memory), labels)
