"""The budget is kept: what a call holds at its peak, counted by the allocator, beyond its arguments and its result."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from resight.evaluation import Reranking, confidence, evaluate_features, expand, rerank

if TYPE_CHECKING:
    from collections.abc import Callable

MIB = 2**20
QUERIES, GALLERY = 500, 4000  # 8 MiB of distances, 77 MiB between everybody and everybody


def people() -> tuple[Any, Any, tuple[Any, ...]]:
    """Clustered, so that neighbours are mutual and lists of weights are long."""
    rng = np.random.default_rng(0)
    q_pids, g_pids = rng.integers(1, 301, QUERIES), rng.integers(0, 301, GALLERY)
    centers = rng.normal(size=(301, 24)).astype(np.float32)
    q, g = (centers[pids] + rng.normal(size=(len(pids), 24)).astype(np.float32) for pids in (q_pids, g_pids))
    return q, g, (q_pids, g_pids, rng.integers(0, 6, QUERIES), rng.integers(0, 6, GALLERY))


def peak(call: Callable[[], Any]) -> float:
    """MiB allocated at the most while `call` ran; numpy tells tracemalloc of every array."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1] / MIB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("budget", [4, 7])
def test_features_are_evaluated_within_the_budget(budget: int) -> None:
    q, g, labels = people()
    assert peak(lambda: evaluate_features(q, g, *labels, memory=budget * MIB)) < budget
    half = (q.astype(np.float16), g.astype(np.float16))
    assert peak(lambda: evaluate_features(*half, *labels, memory=budget * MIB)) < budget


@pytest.mark.parametrize("budget", [14, 24])  # the table of distances is computed again, or kept
def test_reranking_keeps_the_budget(budget: int) -> None:
    q, g, labels = people()
    assert peak(lambda: evaluate_features(q, g, *labels, rerank=Reranking(), memory=budget * MIB)) < budget
    assert peak(lambda: rerank(q, g, memory=budget * MIB)) < budget + 4 * QUERIES * GALLERY / MIB
    new = (q.nbytes + g.nbytes) / MIB
    assert peak(lambda: expand(q, g, expand_gallery=True, memory=budget * MIB)) < budget + new


def test_intervals_need_little_whatever_the_people() -> None:
    q, g, labels = people()
    report = evaluate_features(q, g, *labels)
    assert peak(lambda: confidence(report, draws=20_000)) < 12  # all draws at once would take 46 MiB
