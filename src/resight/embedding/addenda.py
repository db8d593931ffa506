"""Beside the verdict: re-rankings tried, one picture a person; and, before it, queries that speak as one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from resight import evaluation
from resight.embedding.result import Result, expanded
from resight.embedding.vectors import Vectors
from resight.evaluation.reranking import RERANK_MEMORY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from resight.evaluation.multi_query import Pool


def with_sweep(
    result: Result,
    k1: Sequence[int],
    k2: Sequence[int],
    lam: Sequence[float],
    base: evaluation.Reranking,
    memory: int | None = None,
) -> Result:
    """The result with the scores of every re-ranking, k1 x k2 x lambda, in its context; the rest as in `base`."""
    q, g, metric = expanded(result.query, result.gallery, result.expansion, memory)
    labels = (result.query.pids, result.gallery.pids, result.query.camids, result.gallery.camids)
    found = evaluation.sweep_reranking(
        q, g, *labels, metric, k1=k1, k2=k2, lam=lam, variant=base.variant, context=base.context,
        protocol=result.report.protocol, memory=memory or RERANK_MEMORY,
    )  # fmt: skip
    rows = [
        {"k1": s.k1, "k2": s.k2, "lambda": s.lam, "mAP": r.mAP, "rank-1": r.rank(1), "mINP": r.mINP} for s, r in found
    ]
    swept = {"variant": base.variant, "context": base.context, "rows": rows}
    return replace(result, context=result.context | {"rerank_sweep": swept})


def with_single_shot(result: Result, draws: int | Literal["exact"] = "exact", memory: int | None = None) -> Result:
    """The result with CUHK03's classic CMC in its context: one gallery picture a person, none of the query's camera."""
    case = result.case(memory)
    separate = case.labels.protocol.camera_rule == "cross"
    rules = replace(case.labels.protocol, separate_camera=separate, ties="stable")
    found = evaluation.single_shot(replace(case, labels=replace(case.labels, protocol=rules)), draws)
    record = {"cmc": found.cmc.tolist(), "draws": found.draws, "used": found.used, "skipped": found.skipped}
    return replace(result, context=result.context | {"single_shot": record | {"said": str(found)}})


def pooled(query: Vectors, how: Pool) -> Vectors:
    """Market-1501's multi-query: one vector a person and camera, shown by the first of its pictures."""
    vectors, pids, camids = evaluation.pool_queries(
        query.vectors, query.pids, query.camids, how, normalise=query.metric == "cosine"
    )
    owners = np.stack([query.pids, query.camids], axis=1)
    _, first = np.unique(owners, axis=0, return_index=True)
    return replace(
        query,
        vectors=vectors,
        ids=tuple(f"{pid}_{camid}" for pid, camid in zip(pids, camids, strict=True)),
        paths=tuple(query.paths[row] for row in first),
        pids=pids,
        camids=camids,
    )
