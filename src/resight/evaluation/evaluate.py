"""Evaluation of distances or features: `evaluate_distances`, `evaluate_features`, and their input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from resight.evaluation.average_precision import Groups, Scores, expected_scores, fixed_scores
from resight.evaluation.distances import MEMORY, FeatureSource, Matrix, MatrixSource, Source
from resight.evaluation.labels import Labels
from resight.evaluation.protocol import MARKET, Protocol
from resight.evaluation.ranks import Standing, standing
from resight.evaluation.report import Counts, Report
from resight.evaluation.reranking.joint_features import Joint
from resight.evaluation.reranking.k_reciprocal import RERANK_MEMORY, Reranked, Reranking, lists_for

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


def evaluate_distances(
    distances: Matrix,
    q_pids: npt.ArrayLike,
    g_pids: npt.ArrayLike,
    q_cams: npt.ArrayLike | None = None,
    g_cams: npt.ArrayLike | None = None,
    *,
    protocol: Protocol = MARKET,
) -> Report:
    """Judge a matrix of distances (Q, G), smaller is closer, under the rules of `protocol`.

    Labels are whole numbers (Q,), (G,), (Q,), (G,); camera -1 means not known.  The matrix is not changed.
    Raises EvaluationError where sizes differ, entries are not finite, or no query has a match.
    """
    return judge(Case.of_distances(distances, q_pids, g_pids, q_cams, g_cams, protocol=protocol))


def evaluate_features(
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
) -> Report:
    """Judge features (Q, D) and (G, D), with at most about `memory` bytes beyond them.

    Distances are computed in float32, slab by slab; the Q x G matrix is never held.  Tensors on an
    accelerator are multiplied there.  One row of distances, 4 G bytes, is the least the budget can mean.
    """
    labels = (q_pids, g_pids, q_cams, g_cams)
    return judge(Case.of_features(query, gallery, *labels, metric, protocol=protocol, memory=memory))


def judge(case: Case) -> Report:
    """Scores of an evaluation input."""
    places = standing(case.source, case.labels)
    return summary(_scores(places, case.labels), case)


def _scores(places: Standing, labels: Labels) -> Scores:
    queries, protocol = len(labels.q_pids), labels.protocol
    rule = expected_scores if protocol.ties == "expected" else fixed_scores
    return rule(places, Groups.of(places, queries), queries, protocol)


def summary(scores: Scores, case: Case) -> Report:
    """Averages over the queries that count."""
    source, labels = case.source, case.labels
    used = scores.num_valid > 0
    share = used.sum() if labels.protocol.no_match == "skip" else len(used)
    return Report(
        mAP=float(np.nansum(scores.ap) / share),
        mINP=float(np.nansum(scores.inp) / share),
        cmc=scores.found.sum(axis=0) / share,
        ap=scores.ap,
        inp=scores.inp,
        first_match=scores.first_match,
        num_valid=scores.num_valid,
        q_pids=labels.q_pids,
        q_cams=labels.q_cams,
        counts=_counts(scores, case),
        protocol=labels.protocol,
        metric=source.metric,
    )


def _counts(scores: Scores, case: Case) -> Counts:
    labels, source = case.labels, case.source
    used = int((scores.num_valid > 0).sum())
    return Counts(
        queries=len(labels.q_pids),
        used=used,
        skipped=len(labels.q_pids) - used,
        gallery=len(labels.g_pids),
        junk=len(labels.junk),
        distractors=len(labels.distractors),
        matches=int(scores.num_valid.sum()),
        zero_vectors=source.zero_vectors,
        not_finite=source.not_finite,
    )
