"""Grid search over k1, k2 and lambda of re-ranking, with one neighbor search.

Choose on a validation split: parameters picked on the test set are part of the training.
"""

from __future__ import annotations

from itertools import groupby, product
from typing import TYPE_CHECKING

from resight.errors import UsageError
from resight.evaluation.evaluate import EvaluationInput, evaluate_input
from resight.evaluation.labels import Labels
from resight.evaluation.reranking.joint_features import Joint
from resight.evaluation.reranking.k_reciprocal import RERANK_MEMORY, Context, Reranked, Reranking, lists_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from resight.evaluation.distances import Matrix
    from resight.evaluation.report import Report
    from resight.evaluation.reranking.jaccard import Variant
    from resight.types import Metric


def sweep_reranking(
    query: Matrix,
    gallery: Matrix,
    labels: Labels,
    metric: Metric = "cosine",
    *,
    k1: Sequence[int] = (20,),
    k2: Sequence[int] = (6,),
    lam: Sequence[float] = (0.3,),
    variant: Variant = "paper",
    context: Context = "all",
    memory: int = RERANK_MEMORY,
) -> list[tuple[Reranking, Report]]:
    """Evaluate every combination of k1, k2 and lambda; the neighbors are searched once.

    Args:
        query: (Q, D).
        gallery: (G, D).
        labels: of the Q queries and the G gallery items, with the protocol.
        metric: cosine or euclidean.
        k1: values to combine.
        k2: values to combine.
        lam: values to combine.
        variant: as in `Reranking`.
        context: as in `Reranking`.
        memory: bytes to use beyond the features.

    Returns:
        (setting, report) of every combination, k1 outermost.

    Raises:
        UsageError: there is no combination.
        EvaluationError: the labels do not fit the features, or no query has a match.
    """
    settings = [Reranking(a, b, c, variant, context) for a, b, c in product(k1, k2, lam)]
    if not settings:
        raise UsageError("the sweep is empty: give at least one value of each of k1, k2 and lambda.")
    joint = Joint(query, gallery, metric, memory)
    labels.check_shape(joint.queries, joint.gallery)  # before the work, not after
    lists = lists_for(joint, settings, memory)
    results = []
    for (a, b), these in groupby(settings, key=lambda setting: (setting.k1, setting.k2)):
        made = Reranked(joint, lists, Reranking(a, b, variant=variant, context=context), memory)
        for setting in these:
            report = evaluate_input(EvaluationInput(made.with_lambda(setting.lam), labels))
            results.append((setting, report.described(rerank=str(setting))))
        del made  # one at a time: the encodings are the memory
    return results
