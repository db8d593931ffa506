"""Single-gallery-shot: the closed form against printed values, all draws, and random ones."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from resight.errors import EvaluationError, UsageError
from resight.evaluation import EvaluationInput, Labels, Protocol, all_shots, single_shot
from tests.evaluation.examples import D1, LABELS1


def example(**rules: bool) -> EvaluationInput:
    return EvaluationInput.of_distances(D1, Labels.of(*LABELS1, protocol=Protocol(max_rank=3, **rules)))  # type: ignore[arg-type]


def test_example_1_exact() -> None:
    result = single_shot(example())
    expected = np.array([[0, 0, 0.5], [2 / 3, 1, 1], [0.5, 1, 1]])
    np.testing.assert_allclose(result.per_query[:3], expected, atol=1e-12)
    np.testing.assert_allclose(result.cmc, [0.388889, 0.666667, 0.833333], atol=1e-6)
    assert (result.used, result.skipped) == (3, 1)


def test_example_1_exact_separate_camera() -> None:
    result = single_shot(example(separate_camera=True))
    np.testing.assert_allclose(result.per_query[:3], np.array([[0, 0, 0], [0.5, 1, 1], [0, 1, 1]]), atol=1e-12)
    np.testing.assert_allclose(result.cmc, [0.166667, 0.666667, 0.666667], atol=1e-6)


def test_draws_approach_the_closed_form() -> None:
    np.testing.assert_allclose(single_shot(example(), draws=20_000).cmc, single_shot(example()).cmc, atol=0.01)
    np.testing.assert_array_equal(
        single_shot(example(), draws=10, seed=3).cmc, single_shot(example(), draws=10, seed=3).cmc
    )


@pytest.mark.parametrize(
    ("separate", "printed"), [(False, [0.33333334, 0.6666667, 0.8]), (True, [0.1, 0.6666667, 0.6666667])]
)
def test_what_ten_draws_of_other_toolkits_give(separate: bool, printed: list[float]) -> None:
    """torchreid's and open-reid's draws of np.random.seed(0), replayed: how far ten draws lie from the expectation."""
    draw = np.random.RandomState(0)
    exact = single_shot(example(separate_camera=separate))
    found = np.zeros((3, 3))
    for query, line in enumerate(D1[:3]):
        flags = kept(query, line, separate)
        for _ in range(10):
            chosen = sorted(draw.choice(places) for places in flags.values())
            rank = chosen.index(next(place for place in chosen if place in flags[LABELS1[0][query]]))
            found[query, rank:] += 0.1
    np.testing.assert_allclose(found.mean(axis=0), printed, atol=1e-6)
    assert (np.abs(found - exact.per_query[:3]) <= 0.5).all()


def kept(query: int, line: np.ndarray, separate: bool) -> dict[int, list[int]]:
    """Places in the ranked list of what is kept, by identity, in order of appearance."""
    q_pids, g_pids, q_camids, g_camids = LABELS1
    same_camera = g_camids == q_camids[query]
    out = (g_pids == -1) | (same_camera if separate else same_camera & (g_pids == q_pids[query]))
    places: dict[int, list[int]] = {}
    for place, item in enumerate(item for item in np.argsort(line, kind="stable") if not out[item]):
        places.setdefault(int(g_pids[item]), []).append(place)
    return places


@pytest.mark.parametrize("seed", range(5))
def test_the_closed_form_is_the_mean_over_all_draws(seed: int) -> None:
    rng = np.random.default_rng(seed)
    g_pids = np.array([1, 1, 2, 2, 2, 3, 4, 4])
    line = rng.permutation(8) / 8
    case = EvaluationInput.of_distances(
        line[None], Labels.of([1], g_pids, [0], np.ones(8, int), protocol=Protocol(max_rank=4))
    )
    found = np.zeros(4)
    draws = list(itertools.product(*(np.flatnonzero(g_pids == pid) for pid in (1, 2, 3, 4))))
    for mine, *others in draws:
        rank = 1 + sum(line[other] < line[mine] for other in others)
        found += np.arange(1, 5) >= rank
    np.testing.assert_allclose(single_shot(case).cmc, found / len(draws), atol=1e-12)


def test_wrong_use() -> None:
    with pytest.raises(UsageError):
        single_shot(example(), draws=0)
    with pytest.raises(UsageError):
        single_shot(EvaluationInput.of_distances(D1, Labels.of(*LABELS1, protocol=Protocol(ties="expected"))))
    with pytest.raises(EvaluationError):
        single_shot(EvaluationInput.of_distances(np.zeros((1, 1)), Labels.of([1], [2], [0], [1])))


def test_the_line() -> None:
    assert str(single_shot(example())) == "R1 38.89%  (single-gallery-shot, exact expectation, queries 3/4)"


def test_all_shots_by_hand() -> None:
    """Example 1 with -1 counted as wrong: right answers at ranks 5 and 6, at 2, at 3."""
    case = EvaluationInput.of_distances(D1, Labels.of(*LABELS1, protocol=Protocol(max_rank=5, junk=None)))
    np.testing.assert_allclose(all_shots(case), [0, 1 / 3, 2 / 3, 2 / 3, 1], atol=1e-12)
    line = np.arange(6.0)[None]
    labels = Labels.of([1], [2, 1, 1, 2, 2, 1], [0], np.ones(6, int), protocol=Protocol(max_rank=4))
    right = EvaluationInput.of_distances(line, labels)
    np.testing.assert_allclose(all_shots(right), [0, 2 / 3, 2 / 3, 1], atol=1e-12)  # seats 2, 2, 4
