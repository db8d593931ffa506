"""Layers that more than one paper uses."""

from __future__ import annotations

import pytest
import torch

from resight.models.layers import AveragePool, GeM, MaximumPool, Neck


def gem(values: list[float], p: float) -> torch.Tensor:
    pooled: torch.Tensor = GeM(p).double()(torch.tensor(values, dtype=torch.float64).view(1, 1, 2, 2))
    return pooled[0, 0]


@pytest.mark.parametrize(("p", "value"), [(1.0, 2.5), (3.0, 2.924018), (10.0, 3.501656)])
def test_gem_between_mean_and_maximum(p: float, value: float) -> None:
    assert gem([1, 2, 3, 4], p).item() == pytest.approx(value, abs=1e-6)


def test_gem_gradients() -> None:
    pool = GeM(3.0).double()
    x = torch.tensor([1.0, 2, 3, 4], dtype=torch.float64).view(1, 1, 2, 2).requires_grad_()
    pool(x).sum().backward()
    assert pool.p.grad is not None
    assert x.grad is not None
    assert pool.p.grad.item() == pytest.approx(0.162134, abs=1e-6)
    assert x.grad.flatten().tolist() == pytest.approx([0.029240, 0.116961, 0.263162, 0.467843], abs=1e-6)


def test_gem_where_nothing_is_positive() -> None:
    assert gem([-1, 0, 0, 2], 3).item() == pytest.approx(1.259921, abs=1e-6)
    pool, zeros = GeM(), torch.zeros(1, 1, 2, 2, requires_grad=True)
    value = pool(zeros)
    value.sum().backward()
    assert value.item() == pytest.approx(1e-6)
    assert zeros.grad is not None
    assert pool.p.grad is not None
    assert zeros.grad.isfinite().all()
    assert pool.p.grad.isfinite()


def test_gem_leaves_half_precision_for_the_power() -> None:
    large = torch.full((1, 1, 2, 2), 200.0, dtype=torch.float16)  # 200^3 does not fit into float16
    assert GeM()(large).item() == pytest.approx(200, rel=1e-3)


def test_pools_are_limits_of_gem() -> None:
    x = torch.rand(2, 3, 4, 5) + 0.1
    torch.testing.assert_close(AveragePool()(x), GeM(1.0)(x))
    torch.testing.assert_close(MaximumPool()(x), GeM(200.0)(x), rtol=0.02, atol=0)


def test_the_necks_shift_stays_zero() -> None:
    neck = Neck(4).train()
    optimizer = torch.optim.Adam([p for p in neck.parameters() if p.requires_grad], lr=0.1)
    neck(torch.randn(8, 4)).square().sum().backward()
    optimizer.step()
    assert neck.bias.grad is None
    assert not neck.bias.count_nonzero()
    assert "bias" in neck.state_dict()  # as the reference codes keep it
