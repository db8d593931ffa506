from __future__ import annotations

import pytest
import torch

from resight.errors import UsageError
from resight.losses import AttentionDiversity, Distillation, ForegroundMass
from tests.losses.batches import numbers

Z1, Z2 = numbers([[1, 2], [0, 1]]), numbers([[2, 1], [1, -1]])


def test_diversity_by_hand() -> None:
    pieces = numbers([[[1, 0, 0], [1, 1, 0]], [[1, 1, 0], [0, 1, 1]], [[0, 1, 0], [0, 0, 2]]])
    assert float(AttentionDiversity()(list(pieces))) == pytest.approx(1.310660, abs=1e-6)
    assert float(AttentionDiversity()(list(pieces[:2]))) == pytest.approx(0.603553, abs=1e-6)
    stacked = pieces.transpose(0, 1)  # (B, K, E)
    assert torch.allclose(AttentionDiversity()(stacked), AttentionDiversity()(list(pieces)))
    assert torch.allclose(AttentionDiversity()([stacked]), AttentionDiversity()(list(pieces)))
    pooled = [numbers([[0.5, 1.190551]]), numbers([[0.797813, 0.595275]])]
    assert float(AttentionDiversity()(pooled)) == pytest.approx(0.861709, abs=1e-6)
    with pytest.raises(UsageError, match="two maps"):
        AttentionDiversity()(list(pieces[:1, :, :1]))


def test_foreground_mass_by_hand() -> None:
    uniform = torch.full((4, 2, 24, 12), 1 / 3, dtype=torch.float64)
    assert float(ForegroundMass()(uniform)) == pytest.approx(0.192)
    assert float(ForegroundMass()([uniform[:, :1], uniform[:, 1:]])) == pytest.approx(0.192)
    assert float(ForegroundMass()(numbers([[[0.5, 0.25], [0.25, 0.5]]]))) == pytest.approx(0.0015)


def mutual(swap: bool) -> tuple[float, torch.Tensor, torch.Tensor]:
    one, two = Z1.clone().requires_grad_(), Z2.clone().requires_grad_()
    towards = Distillation()
    loss = towards(one.flip(1) if swap else one, two) / 2 + towards(two, one) / 2
    first, second = torch.autograd.grad(loss, (one, two))
    return float(loss.detach()), first, second


def test_mutual_distillation_by_hand() -> None:
    value, first, second = mutual(swap=False)
    assert value == pytest.approx(-0.046447, abs=1e-6)
    assert torch.allclose(first, numbers([[-0.06, 0.03], [-0.176777, 0]]), atol=1e-6)
    assert torch.allclose(second, numbers([[0.03, -0.06], [-0.088388, -0.088388]]), atol=1e-6)


def test_distillation_stops_at_the_target() -> None:
    value, first, second = mutual(swap=True)
    assert value == pytest.approx(-0.45)
    assert torch.allclose(first, numbers([[0, 0], [0.176777, 0]]), atol=1e-6)
    assert torch.allclose(second, numbers([[0.03, -0.06], [-0.088388, -0.088388]]), atol=1e-6)


def test_distillation_ignores_length() -> None:
    assert torch.allclose(Distillation()(3 * Z1, 0.1 * Z2), Distillation()(Z1, Z2))
    assert float(Distillation()(Z1, 5 * Z1)) == pytest.approx(-1)
