"""The scores of docs/methods/evaluation.md, number by number, and the fast form against the spelled-out one."""

from __future__ import annotations

import itertools
import json
from typing import Any

import numpy as np
import pytest
import torch

from resight.data import protocol_of
from resight.errors import EvaluationError, UsageError
from resight.evaluation import Protocol, Report, evaluate_distances, evaluate_features, pool_queries
from resight.types import UNKNOWN_PID
from tests.evaluation import spelled_out
from tests.evaluation.examples import D1, G2, LABELS1, LABELS2, Q2, unit

NAN = np.nan


def flags_to_case(flags: str) -> tuple[Any, ...]:
    """A query of person 1 and a gallery in ranked order: '0 1 1' -> wrong, right, right."""
    right = np.array([int(flag) for flag in flags.split()])
    return (
        np.arange(len(right), dtype=float)[None],
        np.array([1]),
        np.where(right, 1, 2),
        *np.zeros((2, 1), int),
    )


def evaluate_flags(flags: str, **rules: Any) -> Report:
    D, q_pids, g_pids, q_camids, _ = flags_to_case(flags)
    return evaluate_distances(D, q_pids, g_pids, q_camids, np.ones(D.shape[1], int), protocol=Protocol(**rules))


def test_example_1_rectangle() -> None:
    report = evaluate_distances(D1, *LABELS1, protocol=Protocol(max_rank=5))
    np.testing.assert_allclose(report.ap, [0.325, 0.5, 0.5, NAN], atol=1e-12)
    assert report.mAP == pytest.approx(0.44166666666666665, abs=1e-12)
    np.testing.assert_allclose(report.cmc, [0, 2 / 3, 2 / 3, 1, 1], atol=1e-12)
    np.testing.assert_allclose(report.inp, [0.4, 0.5, 0.5, NAN], atol=1e-12)
    assert report.mINP == pytest.approx(0.4666666666666667, abs=1e-12)
    np.testing.assert_array_equal(report.first_match, [4, 2, 2, NAN])
    np.testing.assert_array_equal(report.num_valid, [2, 1, 1, 0])
    counts = report.counts
    assert (counts.queries, counts.used, counts.skipped) == (4, 3, 1)
    assert (counts.gallery, counts.junk, counts.distractors, counts.matches) == (10, 1, 1, 4)


def test_example_1_without_junk_being_known() -> None:
    report = evaluate_distances(D1, *LABELS1, protocol=Protocol(max_rank=5, junk=None))
    np.testing.assert_allclose(report.ap, [0.26666667, 0.5, 0.33333333, NAN], atol=1e-8)
    assert report.mAP == pytest.approx(0.36666667, abs=1e-8)
    np.testing.assert_allclose(report.cmc, [0, 1 / 3, 2 / 3, 2 / 3, 1], atol=1e-12)
    assert report.mINP == pytest.approx(0.38888889, abs=1e-8)
    merged = evaluate_distances(D1, *LABELS1, protocol=Protocol(ties="merged", junk=None))  # open-reid's mean_ap
    assert merged.mAP == pytest.approx(0.36666667, abs=1e-8)


def test_example_1_trapezoid_and_zero() -> None:
    report = evaluate_distances(D1, *LABELS1, protocol=Protocol(ap_mode="trapezoid"))
    np.testing.assert_allclose(report.ap, [0.225, 0.25, 0.25, NAN], atol=1e-12)
    assert report.mAP == pytest.approx(0.24166666666666667, abs=1e-12)
    zero = evaluate_distances(D1, *LABELS1, protocol=Protocol(ap_mode="trapezoid", no_match="zero"))
    assert zero.mAP == pytest.approx(0.18125, abs=1e-12)
    assert zero.cmc[-1] == 0.75  # the fourth query's row is zero
    assert zero.counts.skipped == 1


def test_separate_camera_drops_other_people_too() -> None:
    rules = Protocol(max_rank=5, separate_camera=True, junk=None)  # raw labels
    np.testing.assert_allclose(evaluate_distances(D1, *LABELS1, protocol=rules).cmc, [0, 2 / 3, 2 / 3, 1, 1])


@pytest.mark.parametrize(
    ("flags", "rectangle", "trapezoid", "inp"),
    [
        ("1", 1, 1, 1),
        ("0 1", 0.5, 0.25, 0.5),
        ("0 0 1", 0.333333, 0.166667, 0.333333),
        ("1 0 1", 0.8333333333, 0.7916666667, 0.6666666667),
        ("0 1 1 0 1", 0.5888888888888889, 0.46111111111111114, 0.6),
        ("1 1 0 0 1", 0.8666666667, 0.85, 0.6),
    ],
)
def test_ap_modes(flags: str, rectangle: float, trapezoid: float, inp: float) -> None:
    assert evaluate_flags(flags).mAP == pytest.approx(rectangle, abs=1e-6)
    assert evaluate_flags(flags, ap_mode="trapezoid").mAP == pytest.approx(trapezoid, abs=1e-6)
    assert evaluate_flags(flags).mINP == pytest.approx(inp, abs=1e-6)


def test_the_two_modes_differ_by_what_the_hits_lack() -> None:
    """1 / 2G times the sum over r_k > 1 of k / r_k - (k - 1) / (r_k - 1); zero when right answers fill ranks 1 to G."""
    for bits in itertools.product("01", repeat=6):
        ranks = [rank for rank, bit in enumerate(bits, start=1) if bit == "1"]
        if not ranks:
            continue
        terms = [k / r - (k - 1) / (r - 1) for k, r in enumerate(ranks, start=1) if r > 1]
        flags = " ".join(bits)
        difference = evaluate_flags(flags).mAP - evaluate_flags(flags, ap_mode="trapezoid").mAP
        assert difference == pytest.approx(sum(terms) / (2 * len(ranks)), abs=1e-12)
        assert (difference < 1e-12) == (ranks[-1] == len(ranks))
        assert difference > -1e-12


def test_ties() -> None:
    case = (np.array([[0.5, 0.5, 0.5, 0.2]]), [1], [2, 1, 2, 3], [0], [1, 1, 1, 1])

    def evaluated(ties: Any) -> Report:
        return evaluate_distances(*case, protocol=Protocol(ties=ties, max_rank=4))

    assert evaluated("stable").mAP == pytest.approx(1 / 3)
    np.testing.assert_array_equal(evaluated("stable").cmc, [0, 0, 1, 1])
    assert evaluated("pessimistic").mAP == pytest.approx(0.25)
    assert evaluated("merged").mAP == pytest.approx(0.25)
    assert evaluated("expected").mAP == pytest.approx((1 / 2 + 1 / 3 + 1 / 4) / 3)
    np.testing.assert_allclose(evaluated("expected").cmc, [0, 1 / 3, 2 / 3, 1])


def test_merged_ties_share_one_threshold() -> None:
    """Two of three items at one distance are right: precision there is 2 / 3 for both."""
    case = (np.zeros((1, 3)), [1], [2, 1, 1], [0], [1, 1, 1])
    assert evaluate_distances(*case, protocol=Protocol(ties="merged")).mAP == pytest.approx(2 / 3)
    assert evaluate_distances(*case, protocol=Protocol(ties="pessimistic")).mAP == pytest.approx((1 / 2 + 2 / 3) / 2)


@pytest.mark.parametrize("mode", ["rectangle", "trapezoid"])
def test_expected_is_the_mean_over_all_orders(mode: Any) -> None:
    rng = np.random.default_rng(7)
    for _ in range(40):
        line, flags = rng.integers(0, 3, 6) / 4, rng.integers(0, 2, 6)
        flags[rng.integers(6)] = 1
        ap, inp, found = spelled_out.over_all_orders(line, flags, mode)
        report = evaluate_distances(
            line[None], [1], np.where(flags, 1, 2), [0], np.ones(6, int),
            protocol=Protocol(ties="expected", ap_mode=mode, max_rank=6),
        )  # fmt: skip
        assert report.mAP == pytest.approx(ap, abs=1e-12)
        assert report.mINP == pytest.approx(inp, abs=1e-12)
        np.testing.assert_allclose(report.cmc, found, atol=1e-12)


def test_nan_is_refused_or_counted() -> None:
    case = (np.array([[NAN, 0.3, 0.1]]), [1], [1, 2, 1], [0], [1, 1, 1])
    with pytest.raises(EvaluationError, match="queries 0 hold NaN"):
        evaluate_distances(*case)
    report = evaluate_distances(*case, protocol=Protocol(on_nan="worst"))
    assert report.mAP == pytest.approx(0.8333, abs=1e-4)
    assert report.counts.not_finite == 1


def test_broken_features_are_named_or_put_last() -> None:
    rng = np.random.default_rng(0)
    q, g = rng.normal(size=(3, 8)), rng.normal(size=(6, 8))
    labels = ([1, 2, 3], [1, 2, 3, 1, 2, 3], [0] * 3, [1] * 6)
    g[4] = NAN
    with pytest.raises(EvaluationError, match="gallery features: rows 4 hold NaN"):
        evaluate_features(q, g, *labels)
    metrics: tuple[Any, ...] = ("cosine", "euclidean")
    for metric in metrics:
        for value in (NAN, np.inf, 1e30):
            g[4] = value
            report = evaluate_features(q, g, *labels, metric, protocol=Protocol(on_nan="worst"))
            assert report.inp[1] == pytest.approx(2 / 6)  # its second match is the very last
            assert report.counts.not_finite == 1


def test_zero_vectors_are_reported_and_tied() -> None:
    q, g = np.array([[1.0, 0], [0, 0]]), np.array([[1.0, 0], [0, 1.0], [0, 0]])
    report = evaluate_features(q, g, [1, 2], [1, 2, 3], [0, 0], [1, 1, 1])
    assert report.counts.zero_vectors == 2
    np.testing.assert_array_equal(report.first_match, [1, 2])  # all at distance 1 from the zero query


def test_unknown_cameras_are_never_the_same() -> None:
    D = np.array([[0.1, 0.2]])
    assert evaluate_distances(D, [1], [1, 2], [-1], [-1, -1]).mAP == 1
    with pytest.raises(EvaluationError, match="no query has a match"):
        evaluate_distances(D, [1], [1, 2], [3], [3, 3])
    assert evaluate_distances(D, [1], [1, 2], [3], [3, 3], protocol=Protocol(camera_rule="any")).mAP == 1


def test_cameras_are_asked_for() -> None:
    D = np.array([[0.1, 0.2]])
    with pytest.raises(EvaluationError, match="camera_rule='any'"):
        evaluate_distances(D, [1], [1, 2])
    report = evaluate_distances(D, [1], [1, 2], protocol=Protocol(camera_rule="any"))
    assert "camera_rule=any" in str(report)


def test_a_query_must_be_somebody() -> None:
    case = (np.array([[0.1, 0.2]]), [0], [0, 2], [0], [1, 1])
    with pytest.raises(EvaluationError, match="means distractor"):
        evaluate_distances(*case)
    assert evaluate_distances(*case, protocol=Protocol.from_dict(dict(protocol_of("msmt17")))).mAP == 1


@pytest.mark.parametrize(
    "case",
    [
        (np.zeros((1, 2)), [1], [1, 2, 3], [0], [1, 1, 1]),  # sizes
        (np.zeros((1, 2)), [1], [1, 2], [0, 0], [1, 1]),
        (np.zeros((0, 2)), [], [1, 2], [], [1, 1]),  # empty
        (np.zeros((1, 0)), [1], [], [0], []),
        (np.zeros(2), [1], [1, 2], [0], [1, 1]),  # not a matrix
        (np.zeros((1, 2)), [1.5], [1, 2], [0], [1, 1]),  # not whole numbers
        (np.zeros((1, 2), complex), [1], [1, 2], [0], [1, 1]),
        (np.zeros((1, 2)), [[1]], [1, 2], [0], [1, 1]),
    ],
)
def test_wrong_input_is_a_sentence(case: tuple[Any, ...]) -> None:
    with pytest.raises(EvaluationError):
        evaluate_distances(*case)


def test_labels_of_unequal_length_are_named() -> None:
    with pytest.raises(EvaluationError, match="g_pids has 2 entries but g_camids has 1"):
        evaluate_distances(np.zeros((1, 2)), [1], [1, 2], [0], [1])


def test_wrong_rules_are_refused() -> None:
    wrong: tuple[dict[str, Any], ...] = (
        {"ap_mode": "circle"},
        {"max_rank": 0},
        {"ties": "merged", "ap_mode": "trapezoid"},
        {"separate_camera": True, "camera_rule": "any"},
    )
    for rules in wrong:
        with pytest.raises(UsageError):
            Protocol(**rules)
    with pytest.raises(UsageError, match="metric"):
        evaluate_features(Q2, G2, *LABELS2, "manhattan")  # type: ignore[arg-type]


def test_half_precision_is_lifted() -> None:
    half = evaluate_distances(D1.astype(np.float16), *LABELS1)
    single = evaluate_distances(D1.astype(np.float16).astype(np.float32), *LABELS1)
    assert half.mAP == single.mAP
    bf16 = evaluate_features(torch.tensor(Q2).bfloat16(), torch.tensor(G2).bfloat16(), *LABELS2)
    assert bf16.mAP == 1


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_example_2_from_features(metric: Any) -> None:
    for q, g in ((unit(Q2), unit(G2)), (torch.tensor(Q2), torch.tensor(G2, dtype=torch.float16))):
        report = evaluate_features(q, g, *LABELS2, metric)
        np.testing.assert_array_equal(report.ap, [1, 1, 1])
        np.testing.assert_array_equal(report.inp, [1, 1, 1])
        assert report.rank(1) == 1


@pytest.mark.parametrize("memory", [1, 4096, 2**28])
def test_memory_does_not_change_the_result(memory: int) -> None:
    rng = np.random.default_rng(1)
    q, g = rng.normal(size=(40, 16)).astype(np.float32), rng.normal(size=(90, 16)).astype(np.float32)
    labels = (rng.integers(1, 9, 40), rng.integers(-1, 9, 90), rng.integers(0, 3, 40), rng.integers(0, 3, 90))
    report = evaluate_features(q, g, *labels, memory=memory)
    whole = evaluate_distances(1 - unit(q.astype(float)) @ unit(g.astype(float)).T, *labels)
    np.testing.assert_allclose(report.ap, whole.ap, atol=1e-6)


def test_arguments_are_left_alone() -> None:
    D, labels = D1.copy(), tuple(part.copy() for part in LABELS1)
    D.setflags(write=False)
    evaluate_distances(D, *labels)
    np.testing.assert_array_equal(D, D1)
    for ours, theirs in zip(labels, LABELS1, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("mode", ["rectangle", "trapezoid"])
@pytest.mark.parametrize("seed", range(5))
def test_counting_equals_sorting(seed: int, mode: Any) -> None:
    rng = np.random.default_rng(seed)
    D = rng.integers(0, 40, (30, 200)) / 40  # many ties
    labels = (
        rng.integers(1, 12, 30),
        rng.integers(-1, 12, 200),
        rng.integers(-1, 3, 30),
        rng.integers(-1, 3, 200),
    )
    plain = spelled_out.evaluate(D, *labels, mode=mode)
    report = evaluate_distances(D, *labels, protocol=Protocol(ap_mode=mode))
    np.testing.assert_allclose(report.ap, plain.ap, atol=1e-12)
    np.testing.assert_array_equal(report.first_match, plain.first)
    np.testing.assert_allclose(report.inp, plain.inp, atol=1e-12)


def test_the_curve_has_the_length_asked_for() -> None:
    report = evaluate_distances(D1, *LABELS1, protocol=Protocol(max_rank=50))
    assert report.cmc.shape == (50,)
    assert (report.cmc[4:] == 1).all()
    with pytest.raises(EvaluationError, match="max_rank=51"):
        report.rank(51)
    with pytest.raises(EvaluationError, match="from 1"):
        report.rank(0)


def test_a_report_survives_json() -> None:
    report = evaluate_distances(D1, *LABELS1).described(dataset="example 1", rerank="paper 20/6/0.3")
    again = Report.from_dict(json.loads(json.dumps(report.to_dict(), allow_nan=False)))
    assert str(again) == str(report)
    for name in ("cmc", "ap", "inp", "first_match", "num_valid", "q_pids", "q_camids"):
        np.testing.assert_array_equal(getattr(again, name), getattr(report, name))
    assert (again.counts, again.protocol) == (report.counts, report.protocol)
    earlier = {"q_cams" if name == "q_camids" else name: value for name, value in report.to_dict().items()}
    np.testing.assert_array_equal(Report.from_dict(earlier).q_camids, report.q_camids)
    with pytest.raises(EvaluationError, match="no evaluation report"):
        Report.from_dict({"mAP": 1.0})


def test_the_line_says_under_which_conditions() -> None:
    line = str(evaluate_distances(D1, *LABELS1).described(dataset="example 1"))
    assert line.startswith("mAP 44.17%  R1 0.00%  R5 100.00%  R10 100.00%  mINP 46.67%")
    assert "queries 3/4, rectangle AP, given distances, no re-ranking, example 1" in line


def test_a_person_nobody_named_is_never_a_match() -> None:
    features = np.random.default_rng(0).normal(size=(6, 4))
    nobody, rules = np.full(6, UNKNOWN_PID), Protocol(camera_rule="any")
    with pytest.raises(EvaluationError, match="6 of 6 queries have no known person"):
        evaluate_features(features, features, nobody, nobody, protocol=rules)
    with pytest.raises(EvaluationError, match="1 of 6 queries have no known person"):
        evaluate_features(features, features, [1, 2, 3, 4, 5, UNKNOWN_PID], np.arange(6) + 1, protocol=rules)
    pids = np.array([1, 2, 3, UNKNOWN_PID, UNKNOWN_PID, 1])
    report = evaluate_features(features[:3], features, [1, 2, 3], pids, protocol=rules)
    assert report.counts.junk == 2 and report.counts.matches == 4  # they may be anybody: they are left out
    with pytest.raises(EvaluationError, match="cannot be pooled"):
        pool_queries(features, nobody, np.zeros(6, int))
