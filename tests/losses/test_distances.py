from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from resight import losses
from resight.errors import UnknownNameError
from resight.losses.distances import (
    DISTANCES,
    EXACT_ROWS,
    ROW_DISTANCES,
    cosine,
    euclidean,
    euclidean_rows,
    known_distance,
    squared,
    unit,
)
from resight.precision import lift
from tests.losses.batches import B1, numbers
from tests.ranks import backward


def test_euclidean_of_the_literal_batch() -> None:
    features, _ = B1
    expected = numbers(
        [
            [0, 0.5, 1, 1, 2, 1.5],
            [0.5, 0, 0.806226, 0.5, 1.746425, 1.140175],
            [1, 0.806226, 0, 0.894427, 1, 1.802776],
            [1, 0.5, 0.894427, 0, 1.612452, 0.921954],
            [2, 1.746425, 1, 1.612452, 0, 2.5],
            [1.5, 1.140175, 1.802776, 0.921954, 2.5, 0],
        ]
    )
    assert torch.allclose(euclidean(features, features), expected, atol=1e-6)


@pytest.mark.parametrize("name", sorted(DISTANCES))
def test_gradient_is_finite_where_points_coincide(name: str) -> None:
    x = numbers([[1, 2], [1, 2], [3, 1]]).requires_grad_()
    total = DISTANCES[name](x, x).sum()
    backward(total)
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_coinciding_rows_are_at_zero_and_pull_nowhere() -> None:
    x = numbers([[1, 2], [1, 2], [3, 1]])
    assert float(euclidean(x, x).sum()) == pytest.approx(8.944272, abs=1e-6)
    a = x[:1].clone().requires_grad_()
    backward(euclidean_rows(a, x[1:2]).sum())
    assert a.grad is not None
    assert torch.equal(a.grad, torch.zeros_like(a))


@pytest.mark.parametrize("name", sorted(DISTANCES))
def test_rows_are_the_diagonal_of_the_matrix(name: str) -> None:
    a, b = torch.randn(2, 7, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert torch.allclose(ROW_DISTANCES[name](a, b), DISTANCES[name](a, b).diagonal())


def test_large_batches_go_by_the_gram_matrix_and_agree() -> None:
    draws = torch.Generator().manual_seed(2)
    a = torch.randn(EXACT_ROWS + 1, 16, generator=draws, dtype=torch.float64)
    b = torch.randn(5, 16, generator=draws, dtype=torch.float64)
    assert torch.allclose(euclidean(a, b), torch.cdist(a, b))
    assert euclidean(a, a).diagonal().max() <= 1e-6


def test_a_common_offset_costs_no_digits() -> None:
    draws = torch.Generator().manual_seed(3)
    a = torch.randn(6, 64, generator=draws)
    exact = torch.cdist(a.double(), a.double()).square()
    assert torch.allclose(squared(a + 1000, a + 1000).double(), exact, rtol=1e-2, atol=1e-2)


def test_cosine_ignores_length_and_survives_a_zero_row() -> None:
    a = numbers([[1, 0], [0, 0], [3, 4]]).requires_grad_()
    assert torch.allclose(cosine(a, 7 * a)[0], numbers([0, 1, 0.4]))
    backward(cosine(a, a).sum())
    assert a.grad is not None
    assert a.grad.abs().max() < 10


def test_only_half_types_are_lifted() -> None:
    assert [lift(torch.zeros(1, dtype=t)).dtype for t in (torch.float16, torch.bfloat16, torch.float32)] == [
        torch.float32
    ] * 3
    assert lift(torch.zeros(1, dtype=torch.float64)).dtype == torch.float64


def test_an_unknown_distance_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="euclidean"):
        known_distance("euclidian")


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 8), st.integers(0, 10**6))
def test_squared_is_the_square_and_unit_has_length_one(n: int, m: int, dim: int, seed: int) -> None:
    draws = torch.Generator().manual_seed(seed)
    a = torch.randn(n, dim, generator=draws, dtype=torch.float64)
    b = torch.randn(m, dim, generator=draws, dtype=torch.float64)
    assert torch.allclose(squared(a, b), euclidean(a, b).square(), atol=1e-9)
    assert torch.allclose(unit(a).norm(dim=1), torch.ones(n, dtype=torch.float64))


@pytest.mark.parametrize("offset", [1e3, 1e4])
@pytest.mark.parametrize("rows", [40, 1100])  # from differences, and from products
@pytest.mark.parametrize("name", ["euclidean", "squared"])
def test_large_offsets_cost_no_digits(name: str, rows: int, offset: float) -> None:
    """|a|^2 + |b|^2 - 2 a.b cancels far from the origin; here everything is measured about the mean."""
    draws = torch.Generator().manual_seed(0)
    features = torch.randn(rows, 16, generator=draws).mul(8).round() / 8  # exact in float32 with the offset, too
    near, far = DISTANCES[name](features, features), DISTANCES[name](features + offset, features + offset)
    apart = ~torch.eye(rows, dtype=torch.bool)
    torch.testing.assert_close(far[apart], near[apart], rtol=1e-4, atol=1e-4)
    exact = torch.cdist(features.double(), features.double(), compute_mode="donot_use_mm_for_euclid_dist")
    exact = exact.square() if name == "squared" else exact
    assert ((far - exact).abs() / exact.clamp_min(1))[apart].max() < 1e-5


FAR = [n for n in losses.available() if issubclass(losses.LOSSES[n], losses.MetricLoss) and n != "pairwise_circle"]


@pytest.mark.parametrize("name", FAR)  # all that measure by Euclidean distance
def test_no_metric_loss_changes_with_a_common_offset(name: str) -> None:
    draws = torch.Generator().manual_seed(0)
    features = torch.randn(24, 16, generator=draws).mul(8).round() / 8
    pids = torch.arange(24) // 4
    near, far = (losses.build(name, **({"distance": "euclidean"})) for _ in range(2))
    torch.testing.assert_close(far(features + 1e4, pids), near(features, pids), rtol=1e-4, atol=1e-5)
