"""The lists people look at say what the evaluation says."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from resight.evaluation import Protocol, Reranking, rerank
from resight.inference.evaluate import evaluate_vectors
from resight.reporting.ranked_lists import JUNK_SHOWN, answered_rows, ranked_rows, sample_queries, worst_queries
from tests.reporting.people import make_result

if TYPE_CHECKING:
    from pathlib import Path

    from resight.inference import Result


def spelled_out(result: Result, query: int) -> list[tuple[int, str]]:
    """(gallery row, flag) from nearest to farthest, by the rules of Market-1501 word for word."""
    distance = 1 - result.gallery.vectors.astype(np.float64) @ result.query.vectors[query]
    pid, cam = result.query.pids[query], result.query.camids[query]
    flags = []
    for row in np.argsort(distance, kind="stable"):
        same = result.gallery.pids[row] == pid
        junk = result.gallery.pids[row] == -1 or (same and result.gallery.camids[row] == cam)
        flags.append((int(row), "junk" if junk else "right" if same else "wrong"))
    return flags


def test_the_flags_are_those_of_the_rules(result: Result) -> None:
    for row in ranked_rows(result, range(len(result.query)), k=10):
        assert row.index is not None
        expected = [flag for _, flag in spelled_out(result, row.index)]
        shown = [hit.flag for hit in row.hits]
        kept = [flag for flag in expected if flag != "junk"][:10]
        assert [flag for flag in shown if flag != "junk"] == kept
        assert [hit.rank for hit in row.hits if hit.rank] == list(range(1, 11))
        junk_before = sum(flag == "junk" for flag in expected[: expected_length(expected, 10)])
        assert shown.count("junk") == min(JUNK_SHOWN, junk_before)
        assert row.hidden_junk == junk_before - shown.count("junk")


def expected_length(flags: list[str], k: int) -> int:
    """Places down to the k-th picture that counts."""
    kept = np.cumsum([flag != "junk" for flag in flags])
    return int(np.argmax(kept == k)) + 1


def test_the_scores_can_be_written_by_hand_from_the_pictures(result: Result) -> None:
    rows = ranked_rows(result, range(len(result.query)), k=10)
    for row in rows:
        by_hand = np.mean([place / rank for place, rank in enumerate(row.match_ranks, start=1)])
        assert row.ap == pytest.approx(by_hand, abs=1e-9)
    first = [next(hit.flag for hit in row.hits if hit.rank == 1) == "right" for row in rows]
    assert np.mean(first) == pytest.approx(result.report.rank(1))
    assert np.mean([row.ap for row in rows if row.ap is not None]) == pytest.approx(result.report.mAP)


@pytest.mark.parametrize("variant", ["paper", "fastreid"])
def test_after_reranking_the_lists_stand_in_the_reranked_order(result: Result, variant: Any) -> None:
    setting = Reranking(k1=6, k2=3, variant=variant)
    report = evaluate_vectors(result.query, result.gallery, result.report.protocol, setting)
    shown = replace(result, report=report, rerank=setting)
    distance = rerank(result.query.vectors, result.gallery.vectors, 6, 3, variant=variant)
    changed = 0
    for row, before in zip(ranked_rows(shown, range(27)), ranked_rows(result, range(27)), strict=True):
        assert row.index is not None and row.measure == "re-ranked"
        best = np.argsort(distance[row.index], kind="stable")[0]
        assert row.hits[0].picture.name == result.gallery.paths[best]
        by_hand = np.mean([place / rank for place, rank in enumerate(row.match_ranks, start=1)])
        assert report.ap[row.index] == row.ap == pytest.approx(by_hand, abs=1e-12)
        changed += row.match_ranks != before.match_ranks
    assert changed > 5


def test_the_rules_of_the_result_are_the_rules_of_the_lists(tmp_path: Path) -> None:
    anywhere = make_result(tmp_path, protocol=Protocol(camera_rule="any"))
    for row in ranked_rows(anywhere, range(5), k=10):
        assert {hit.flag for hit in row.hits if hit.picture.pid == row.query.pid} <= {"right"}


def test_the_sample_is_drawn_with_a_seed_from_the_evaluated_queries(result: Result) -> None:
    report = replace(result.report, ap=np.where(np.arange(27) < 20, result.report.ap, np.nan))
    drawn = sample_queries(report, 12, seed=3)
    assert drawn == sample_queries(report, 12, seed=3) != sample_queries(report, 12, seed=4)
    assert drawn == sorted(set(drawn)) and len(drawn) == 12 and max(drawn) < 20
    assert sample_queries(report, 100, seed=0) == list(range(20))


def test_the_worst_are_the_worst(result: Result) -> None:
    worst = worst_queries(result.report, 5)
    assert result.report.ap[worst].tolist() == sorted(result.report.ap)[:5]


def test_an_answer_is_right_or_wrong_only_where_both_persons_are_known() -> None:
    hits = [
        {"rank": 1, "path": "a.jpg", "similarity": 0.75, "pid": 4, "camera": 2},
        {"rank": 2, "path": "b.jpg", "similarity": 0.5, "pid": 5},
        {"rank": 3, "path": "c.jpg", "similarity": 0.25},
    ]
    (stranger,) = answered_rows([{"query": "q.jpg", "hits": hits}])
    assert [hit.flag for hit in stranger.hits] == ["unknown"] * 3
    assert stranger.hits[0].distance == pytest.approx(0.25) and stranger.measure == "cosine"
    (known,) = answered_rows([{"query": "q.jpg", "pid": 4, "hits": hits}])
    assert [hit.flag for hit in known.hits] == ["right", "wrong", "unknown"]
    (far,) = answered_rows([{"query": "q.jpg", "hits": [{"rank": 1, "path": "a.jpg", "distance": 3.5}]}])
    assert (far.measure, far.hits[0].distance) == ("euclidean", 3.5)
