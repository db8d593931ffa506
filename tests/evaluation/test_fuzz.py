"""Any shapes, labels, ties and faults: the spelled-out number or a sentence, never a crash or a silent zero."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from resight.errors import EvaluationError, ResightError
from resight.evaluation import (
    EvaluationInput,
    Labels,
    Protocol,
    Report,
    camera_pairs,
    evaluate_distances,
    evaluate_features,
    evaluate_input,
    nearest,
    open_set,
    ranked_lists,
    rerank,
    roc,
    single_shot,
)
from resight.evaluation.nearest_neighbors import smallest
from tests.evaluation import spelled_out
from tests.evaluation.dense_reranking import dense_rerank

LEVELS = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])  # few, so that ties abound
RULES = {
    "ap_mode": st.sampled_from(["rectangle", "trapezoid"]),
    "no_match": st.sampled_from(["skip", "zero"]),
    "camera_rule": st.sampled_from(["cross", "any"]),
}


@st.composite
def cases(draw: Any, most: int = 12) -> tuple[Any, ...]:
    queries, gallery = draw(st.integers(1, most)), draw(st.integers(1, most))
    dtype = draw(st.sampled_from([np.float16, np.float32, np.float64]))

    def whole(length: int, low: int, high: int) -> Any:
        return np.array(draw(st.lists(st.integers(low, high), min_size=length, max_size=length)))

    D = draw(arrays.arrays(np.float64, (queries, gallery), elements=LEVELS)).astype(dtype)
    return D, whole(queries, 1, 3), whole(gallery, -1, 4), whole(queries, -1, 2), whole(gallery, -1, 2)


@settings(max_examples=300, deadline=None)
@given(cases(), st.fixed_dictionaries(RULES))
def test_the_result_is_the_definition(case: tuple[Any, ...], rules: Any) -> None:
    D, q_pids, g_pids, q_camids, g_camids = case
    plain = spelled_out.evaluate(
        D, q_pids, g_pids, q_camids, g_camids, mode=rules["ap_mode"], rule=rules["camera_rule"]
    )
    if not plain.used:
        with pytest.raises(EvaluationError, match="no query has a match"):
            evaluate_distances(*case, protocol=Protocol(**rules))
        return
    report = evaluate_distances(*case, protocol=Protocol(**rules, max_rank=13))
    np.testing.assert_allclose(report.ap, plain.ap, atol=1e-12)
    np.testing.assert_allclose(report.inp, plain.inp, atol=1e-12)
    np.testing.assert_array_equal(report.first_match, plain.first)
    count = len(plain.used) if rules["no_match"] == "skip" else len(case[0])
    assert report.mAP == pytest.approx(np.nansum(plain.ap) / count, abs=1e-12)
    first = np.array(plain.first)
    np.testing.assert_allclose(report.cmc, [(first <= k).sum() / count for k in range(1, 14)], atol=1e-12)


@settings(max_examples=150, deadline=None)
@given(cases(6), st.sampled_from(["stable", "pessimistic", "merged", "expected"]))
def test_ties_lie_between_the_best_and_the_worst_order(case: tuple[Any, ...], ties: Any) -> None:
    D, q_pids, g_pids, *_ = case
    right = q_pids[:, None] == g_pids
    best = D.astype(float) - 1e-3 * right
    worst = D.astype(float) + 1e-3 * right
    try:
        report = evaluate_distances(*case, protocol=Protocol(ties=ties))
    except EvaluationError:
        return
    high = evaluate_distances(best, *case[1:]).ap
    low = evaluate_distances(worst, *case[1:]).ap
    used = ~np.isnan(report.ap)
    if ties != "merged":  # one threshold for a group lends its last precision to all of it
        assert (report.ap[used] <= high[used] + 1e-12).all()
    assert (report.ap[used] >= low[used] - 1e-12).all()
    assert (np.diff(report.cmc) >= -1e-12).all()
    if ties == "pessimistic":
        np.testing.assert_allclose(report.ap, low, atol=1e-12)


@settings(max_examples=100, deadline=None)
@given(cases(), st.data())
def test_a_monotone_change_of_distances_changes_nothing(case: tuple[Any, ...], data: Any) -> None:
    D, *labels = case
    try:
        report = evaluate_distances(D, *labels)
    except EvaluationError:
        return
    stretched = evaluate_distances(np.exp(3 * D.astype(float)) - 7, *labels)
    np.testing.assert_array_equal(report.ap, stretched.ap)
    order = np.array(data.draw(st.permutations(range(len(D)))))
    shuffled = evaluate_distances(D[order], labels[0][order], labels[1], labels[2][order], labels[3])
    np.testing.assert_array_equal(shuffled.ap, report.ap[order])


@settings(max_examples=100, deadline=None)
@given(cases(), st.sampled_from([np.nan, np.inf, -np.inf]), st.data())
def test_one_broken_distance_is_refused_or_last(case: tuple[Any, ...], value: float, data: Any) -> None:
    D, *labels = case
    D = D.copy()
    at = data.draw(st.integers(0, D.shape[0] - 1)), data.draw(st.integers(0, D.shape[1] - 1))
    D[at] = value
    with pytest.raises(EvaluationError, match="hold NaN or infinity"):
        evaluate_distances(D, *labels)
    last = D.astype(float)
    last[at] = 9
    try:
        expected = evaluate_distances(last, *labels)
    except EvaluationError:
        return
    report = evaluate_distances(D, *labels, protocol=Protocol(on_nan="worst"))
    np.testing.assert_array_equal(report.ap, expected.ap)
    assert report.counts.not_finite == 1


@settings(max_examples=100, deadline=None)
@given(cases())
def test_the_list_people_see_gives_the_score(case: tuple[Any, ...]) -> None:
    """AP, INP and the first match written by hand from the flags of the ranked list."""
    lists = ranked_lists(EvaluationInput.of_distances(case[0], Labels.of(*case[1:])), k=case[0].shape[1])
    try:
        report = evaluate_distances(*case)
    except EvaluationError:
        assert all(item.flag != "right" for found in lists for item in found.items)
        return
    for query, found in enumerate(lists):
        flags = [item.flag == "right" for item in found.items if item.flag != "junk"]
        if any(flags):
            assert report.ap[query] == pytest.approx(spelled_out.average_precision(flags), abs=1e-12)
            assert report.first_match[query] == flags.index(True) + 1


@settings(max_examples=60, deadline=None)
@given(cases(), st.booleans())
def test_nothing_else_crashes(case: tuple[Any, ...], separate: bool) -> None:
    D, q_pids, g_pids, q_camids, g_camids = case
    labels = Labels.of(q_pids, g_pids, q_camids, g_camids, Protocol(separate_camera=separate))
    made = EvaluationInput.of_distances(D, labels)
    for score in (evaluate_input, roc, open_set, single_shot, single_shot, camera_pairs, ranked_lists):
        try:
            score(made)
        except ResightError as error:
            assert str(error)


@settings(max_examples=100, deadline=None)
@given(arrays.arrays(np.float32, st.tuples(st.integers(1, 5), st.integers(1, 70)), elements=LEVELS), st.data())
def test_the_smallest_are_the_first_of_a_stable_sort(block: Any, data: Any) -> None:
    k = data.draw(st.integers(1, block.shape[1]))
    values, columns = smallest(block, k)
    np.testing.assert_array_equal(columns, np.argsort(block, axis=1, kind="stable")[:, :k])
    np.testing.assert_array_equal(values, np.sort(block, axis=1)[:, :k])


@settings(max_examples=60, deadline=None)
@given(
    arrays.arrays(np.float64, st.tuples(st.integers(2, 10), st.integers(1, 4)), elements=st.floats(-4, 4, width=16)),
    st.integers(1, 9),
    st.sampled_from(["cosine", "euclidean"]),
)
def test_features_of_any_shape(rows: Any, cut: int, metric: Any) -> None:
    q, g = rows[: min(cut, len(rows) - 1)], rows[min(cut, len(rows) - 1) :]
    distance, index = nearest(q, g, 3, metric)
    assert (distance[:, 1:] >= distance[:, :-1]).all()
    assert ((index >= 0) == np.isfinite(distance)).all()
    labels = (np.ones(len(q), int), np.arange(len(g)) % 2 + 1, np.zeros(len(q), int), np.ones(len(g), int))
    assert 0 < evaluate_features(q, g, *labels, metric).mAP <= 1


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 8), st.integers(1, 30), st.integers(1, 40), st.integers(1, 12), st.integers(0, 10_000))
def test_reranking_of_any_size(queries: int, gallery: int, k1: int, k2: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    q, g = rng.normal(size=(queries, 6)), rng.normal(size=(gallery, 6))
    np.testing.assert_allclose(rerank(q, g, k1, k2), dense_rerank(q, g, k1, k2), atol=2e-6)
    with np.errstate(invalid="raise", divide="raise"):
        alone = rerank(q, g, k1, k2, context="gallery_only")
    assert np.isfinite(alone).all()
    assert (alone >= 0).all()


@settings(max_examples=60, deadline=None)
@given(cases())
def test_any_report_survives_its_record(case: tuple[Any, ...]) -> None:
    try:
        report = evaluate_distances(*case)
    except EvaluationError:
        return
    again = Report.from_dict(report.to_dict())
    np.testing.assert_array_equal(again.ap, report.ap)
    assert str(again) == str(report)
