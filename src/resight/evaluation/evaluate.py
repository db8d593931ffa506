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
    from resight.types import Metric


@dataclass(frozen=True)
class EvaluationInput:
    """Evaluation input: distances and labels.  Distances are computed block by block, each time they are needed."""

    source: Source
    labels: Labels

    def __post_init__(self) -> None:
        self.labels.check_shape(*self.source.shape)

    @classmethod
    def of_distances(cls, distances: Matrix, labels: Labels) -> EvaluationInput:
        """From a matrix (Q, G), smaller is closer."""
        return cls(MatrixSource(distances, labels.protocol.on_nan), labels)

    @classmethod
    def of_features(
        cls,
        query: Matrix,
        gallery: Matrix,
        labels: Labels,
        metric: Metric = "cosine",
        *,
        rerank: Reranking | None = None,
        memory: int | None = None,
    ) -> EvaluationInput:
        """From features (Q, D), (G, D).  For re-ranking the neighbors are searched here, once."""
        if rerank is None:
            return cls(FeatureSource(query, gallery, metric, labels.protocol.on_nan, memory or MEMORY), labels)
        memory = memory or RERANK_MEMORY
        joint = Joint(query, gallery, metric, memory)
        labels.check_shape(joint.queries, joint.gallery)  # before the work, not after
        return cls(Reranked(joint, lists_for(joint, [rerank], memory), rerank, memory), labels)


def evaluate_distances(
    distances: Matrix,
    q_pids: npt.ArrayLike,
    g_pids: npt.ArrayLike,
    q_camids: npt.ArrayLike | None = None,
    g_camids: npt.ArrayLike | None = None,
    *,
    protocol: Protocol = MARKET,
) -> Report:
    """Evaluate a matrix of distances under the rules of `protocol`.

    Args:
        distances: (Q, G), smaller is closer; it is not changed.
        q_pids: (Q,) whole numbers, the identities.
        g_pids: (G,).
        q_camids: (Q,) whole numbers, the cameras; -1 where one is not known.
        g_camids: (G,).
        protocol: which pictures count, and how ties are ordered.

    Returns:
        mAP, CMC and mINP in [0, 1], and every query's own values.

    Raises:
        EvaluationError: sizes differ, entries are not finite, or no query has a match.
    """
    labels = Labels.of(q_pids, g_pids, q_camids, g_camids, protocol)
    return evaluate_input(EvaluationInput.of_distances(distances, labels))


def evaluate_features(
    query: Matrix,
    gallery: Matrix,
    q_pids: npt.ArrayLike,
    g_pids: npt.ArrayLike,
    q_camids: npt.ArrayLike | None = None,
    g_camids: npt.ArrayLike | None = None,
    metric: Metric = "cosine",
    *,
    protocol: Protocol = MARKET,
    rerank: Reranking | None = None,
    memory: int | None = None,
) -> Report:
    """Evaluate features without holding the matrix of distances.

    Distances are computed in float32, slab by slab.  Tensors on an accelerator are multiplied there.

    Args:
        query: (Q, D).
        gallery: (G, D).
        q_pids: (Q,) whole numbers, the identities.
        g_pids: (G,).
        q_camids: (Q,) whole numbers, the cameras; -1 where one is not known.
        g_camids: (G,).
        metric: cosine or euclidean.
        protocol: which pictures count, and how ties are ordered.
        rerank: k-reciprocal re-ranking before the evaluation; the report says so.
        memory: bytes to use beyond the features, at least one row of distances, 4 G.

    Returns:
        mAP, CMC and mINP in [0, 1], and every query's own values.

    Raises:
        EvaluationError: sizes differ, entries are not finite, or no query has a match.
    """
    labels = Labels.of(q_pids, g_pids, q_camids, g_camids, protocol)
    inputs = EvaluationInput.of_features(query, gallery, labels, metric, rerank=rerank, memory=memory)
    report = evaluate_input(inputs)
    return report if rerank is None else report.described(rerank=str(rerank))


def evaluate_input(inputs: EvaluationInput) -> Report:
    """Scores of an evaluation input, as `evaluate_distances` and `evaluate_features` return them.

    Args:
        inputs: distances from anywhere, and labels; see `EvaluationInput`.

    Raises:
        EvaluationError: labels or distances do not fit each other or the protocol.
    """
    places = standing(inputs.source, inputs.labels)
    return summary(_scores(places, inputs.labels), inputs)


def _scores(places: Standing, labels: Labels) -> Scores:
    queries, protocol = len(labels.q_pids), labels.protocol
    rule = expected_scores if protocol.ties == "expected" else fixed_scores
    return rule(places, Groups.of(places, queries), queries, protocol)


def summary(scores: Scores, inputs: EvaluationInput) -> Report:
    """Averages over the queries that count."""
    source, labels = inputs.source, inputs.labels
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
        q_camids=labels.q_camids,
        counts=_counts(scores, inputs),
        protocol=labels.protocol,
        metric=source.metric,
    )


def _counts(scores: Scores, inputs: EvaluationInput) -> Counts:
    labels, source = inputs.labels, inputs.source
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
