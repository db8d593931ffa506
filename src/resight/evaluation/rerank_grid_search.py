"""Grid search over k1, k2 and lambda of re-ranking, with one neighbor search.

Choose on a validation split: parameters picked on the test set are part of the training.
"""

from __future__ import annotations

from itertools import groupby, product
from typing import TYPE_CHECKING

from resight.errors import UsageError
from resight.evaluation.evaluate import Case, judge
from resight.evaluation.labels import Labels
from resight.evaluation.protocol import MARKET, Protocol
from resight.evaluation.reranking.joint_features import Joint
from resight.evaluation.reranking.k_reciprocal import RERANK_MEMORY, Context, Reranked, Reranking, lists_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from resight.evaluation.distances import Matrix
    from resight.evaluation.report import Report
    from resight.evaluation.reranking.jaccard import Variant
    from resight.types import Metric


def evaluate_reranked(
    query: Matrix,
    gallery: Matrix,
    q_pids: npt.ArrayLike,
    g_pids: npt.ArrayLike,
    q_cams: npt.ArrayLike | None = None,
    g_cams: npt.ArrayLike | None = None,
    metric: Metric = "cosine",
    *,
    setting: Reranking | None = None,
    protocol: Protocol = MARKET,
    memory: int = RERANK_MEMORY,
) -> Report:
    """Re-rank and judge without ever holding the Q x G matrix.  The report says how it was re-ranked."""
    setting = setting or Reranking()
    labels = (q_pids, g_pids, q_cams, g_cams)
    case = Case.of_reranked(query, gallery, *labels, metric, setting=setting, protocol=protocol, memory=memory)
    return judge(case).described(rerank=str(setting))


def sweep_reranking(
    query: Matrix,
    gallery: Matrix,
    q_pids: npt.ArrayLike,
    g_pids: npt.ArrayLike,
    q_cams: npt.ArrayLike | None = None,
    g_cams: npt.ArrayLike | None = None,
    metric: Metric = "cosine",
    *,
    k1: Sequence[int] = (20,),
    k2: Sequence[int] = (6,),
    lam: Sequence[float] = (0.3,),
    variant: Variant = "paper",
    context: Context = "all",
    protocol: Protocol = MARKET,
    memory: int = RERANK_MEMORY,
) -> list[tuple[Reranking, Report]]:
    """Every combination with its report, in the order given.  The search is done once."""
    settings = [Reranking(a, b, c, variant, context) for a, b, c in product(k1, k2, lam)]
    if not settings:
        raise UsageError("the sweep is empty: give at least one value of each of k1, k2 and lambda.")
    labels = Labels.of(q_pids, g_pids, q_cams, g_cams, protocol)
    joint = Joint(query, gallery, metric, memory)
    labels.check_shape(joint.queries, joint.gallery)  # before the work, not after
    lists = lists_for(joint, settings, memory)
    results = []
    for (a, b), these in groupby(settings, key=lambda setting: (setting.k1, setting.k2)):
        made = Reranked(joint, lists, Reranking(a, b, variant=variant, context=context), memory)
        for setting in these:
            report = judge(Case(made.with_lambda(setting.lam), labels))
            results.append((setting, report.described(rerank=str(setting))))
        del made  # one at a time: the encodings are the memory
    return results
