"""The lists people look at are the evaluation's: its order, its flags, its ranks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from resight.evaluation import EvaluationInput, Labels, Protocol, Reranking, evaluate_input, ranked_lists, rerank
from tests.evaluation.examples import D1, G2, LABELS1, LABELS2, Q2


def test_a_list_agrees_with_the_result() -> None:
    case = EvaluationInput.of_features(Q2, G2, Labels.of(*LABELS2))
    report = evaluate_input(case)
    lists = ranked_lists(case, k=9)
    for found in lists:
        first = next(item for item in found.items if item.flag == "right")
        assert first.rank == report.first_match[found.query] == found.right[0]
        assert len(found.right) == report.num_valid[found.query]
    assert [item.flag for item in lists[0].items][:3] == ["right", "right", "junk"]
    assert lists[0].items[2].rank == 0


def test_only_the_queries_asked_for_and_k_kept_items() -> None:
    case = EvaluationInput.of_features(Q2, G2, Labels.of(*LABELS2))
    two, nought = ranked_lists(case, k=3, rows=[2, 0])
    assert (two.query, nought.query) == (2, 0)
    assert [item.index for item in two.items] == [6, 7, 5]
    assert [item.rank for item in two.items] == [1, 2, 3]
    assert [item.rank for item in nought.items] == [1, 2, 0, 3]  # junk in its place
    assert ranked_lists(case, rows=[]) == []


def test_example_1_by_hand() -> None:
    lists = ranked_lists(EvaluationInput.of_distances(D1, Labels.of(*LABELS1)), k=10)
    kept = [[item.index for item in found.items if item.flag != "junk"] for found in lists]
    assert kept[0] == [7, 4, 8, 2, 1, 5, 3, 6]
    assert kept[1] == [2, 3, 5, 8, 0, 1, 7, 6]
    assert kept[2] == [4, 6, 7, 8, 3, 2, 1, 0]
    assert "right" not in {item.flag for item in lists[3].items}
    assert [found.right for found in lists] == [(4, 5), (2,), (2,), ()]
    assert [item.distance for item in lists[0].items[:2]] == [0.06, 0.07]  # junk first


@pytest.mark.parametrize("setting", [Reranking(k1=4, k2=2), Reranking(k1=6, k2=3, variant="fastreid")], ids=str)
def test_a_reranked_list_stands_in_the_reranked_order(setting: Reranking) -> None:
    rng = np.random.default_rng(0)
    q, g = rng.normal(size=(9, 5)), rng.normal(size=(60, 5))
    labels = (np.arange(9) % 4 + 1, rng.integers(0, 5, 60), np.zeros(9, int), np.ones(60, int))
    case = EvaluationInput.of_features(q, g, Labels.of(*labels), rerank=setting)
    report = evaluate_input(case)
    distance = rerank(q, g, setting.k1, setting.k2, setting.lam, setting.variant)
    for found in ranked_lists(case, k=60):
        order = np.argsort(distance[found.query], kind="stable")
        assert [item.index for item in found.items] == order.tolist()
        by_hand = np.mean([place / rank for place, rank in enumerate(found.right, start=1)])
        assert report.ap[found.query] == pytest.approx(by_hand, abs=1e-12)


def test_other_people_of_the_camera_are_junk_where_the_rules_say_so() -> None:
    rules: Any = Protocol(separate_camera=True)
    (found,) = ranked_lists(EvaluationInput.of_distances(D1, Labels.of(*LABELS1, protocol=rules)), k=10, rows=[0])
    kept = [item.index for item in found.items if item.flag != "junk"]
    assert kept == [7, 4, 8, 2, 1, 6]  # 5 and 3 are others in camera 0
