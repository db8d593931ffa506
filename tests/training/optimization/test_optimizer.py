from __future__ import annotations

import pytest
import torch
from torch import nn

from resight.errors import RecipeError
from resight.losses import ShardedClassifier
from resight.training.optimization.optimizer import (
    GroupConfig,
    OptimConfig,
    build_optimizer,
    freeze,
    named_parameters,
    set_rate,
    sparse_parameters,
)


class Tiny(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Linear(3, 4)
        self.classifier = nn.Linear(4, 2, bias=False)


class Owner(nn.Module):
    """A loss with a parameter of its own, under the name of its term."""

    def __init__(self) -> None:
        super().__init__()
        self.center = nn.Parameter(torch.zeros(2, 4))


def rates(optimizer: torch.optim.Optimizer) -> dict[int, tuple[float, float]]:
    return {id(p): (g["lr"], g["weight_decay"]) for g in optimizer.param_groups for p in g["params"]}


def test_groups_give_each_tensor_its_rate() -> None:
    model, losses = Tiny(), Owner()
    config = OptimConfig(
        lr=0.01,
        weight_decay=5e-4,
        decay_norm_and_bias=False,
        groups=(GroupConfig("classifier.*", lr_scale=10.0), GroupConfig("loss.*", lr=0.5, weight_decay=0.0)),
    )
    found = rates(build_optimizer(config, named_parameters(model, losses)))
    assert found[id(model.backbone.weight)] == (0.01, 5e-4)
    assert found[id(model.backbone.bias)] == (0.01, 0.0)
    assert found[id(model.classifier.weight)] == (0.1, 5e-4)
    assert found[id(losses.center)] == (0.5, 0.0)


def test_no_parameter_is_left_out_or_given_twice() -> None:
    model, losses = Tiny(), Owner()
    config = OptimConfig(groups=(GroupConfig("*.weight", lr=1.0), GroupConfig("classifier.*", lr=2.0)))
    optimizer = build_optimizer(config, named_parameters(model, losses))
    given = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(given) == sorted(id(p) for _, p in named_parameters(model, losses))


def test_a_pattern_without_a_parameter_is_an_error() -> None:
    with pytest.raises(RecipeError, match=r"optim.groups\[0\].match: 'bakcbone.\*' matches no parameter"):
        freeze(OptimConfig(groups=(GroupConfig("bakcbone.*"),)), Tiny(), nn.Module())


def test_a_rate_of_zero_freezes() -> None:
    model, losses = Tiny(), Owner()
    freeze(OptimConfig(groups=(GroupConfig("backbone.*", lr_scale=0.0), GroupConfig("loss.*", lr=0.0))), model, losses)
    assert [name for name, _ in named_parameters(model, losses)] == ["classifier.weight"]
    with pytest.raises(RecipeError, match="every parameter a rate of 0"):
        freeze(OptimConfig(groups=(GroupConfig("*", lr=0.0),)), Tiny(), nn.Module())
    freeze(OptimConfig(lr=0.0), whole := Tiny(), nn.Module())  # a run that only looks: nothing was asked to be frozen
    assert len(named_parameters(whole, nn.Module())) == 3


def test_set_rate_scales_from_the_base_every_time() -> None:
    optimizer = build_optimizer(OptimConfig("sgd", lr=0.2), named_parameters(Tiny(), nn.Module()))
    for factor in (0.5, 0.5, 0.1):
        set_rate(optimizer, factor)
        assert optimizer.param_groups[0]["lr"] == pytest.approx(0.2 * factor)


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_every_optimizer_goes_down(name: str) -> None:
    torch.manual_seed(0)
    model = Tiny()
    optimizer = build_optimizer(OptimConfig(name, lr=0.05), named_parameters(model, nn.Module()))  # type: ignore[arg-type]
    data = torch.randn(16, 3)
    before = model.backbone(data).square().mean()
    for _ in range(20):
        optimizer.zero_grad()
        model.backbone(data).square().mean().backward()
        optimizer.step()
    assert model.backbone(data).square().mean() < before


def test_sparse_gradients_get_plain_sgd_and_nothing_else_takes_them() -> None:
    loss = ShardedClassifier(num_ids=50, dim=4, rate=0.2, sparse=True)
    weight, before = loss.weight, loss.weight.detach().clone()
    named, sparse = named_parameters(nn.Linear(4, 4), loss), sparse_parameters(loss)
    for config in (OptimConfig("adam"), OptimConfig("sgd", clip_norm=1.0)):
        with pytest.raises(RecipeError, match=r"loss\.weight has sparse gradients"):
            build_optimizer(config, named, sparse)
    optimizer = build_optimizer(OptimConfig("sgd", lr=0.1), named, sparse)
    for _ in range(2):
        optimizer.zero_grad()
        loss(torch.randn(4, 4), torch.tensor([0, 1, 2, 2])).backward()
        assert weight.grad is not None and weight.grad.is_sparse
        optimizer.step()
    moved = (weight.detach() != before).any(dim=1)
    assert moved[:3].all() and int(moved.sum()) <= 10  # the same step's draws, and no row that was not in use
    assert optimizer.state[weight].get("momentum_buffer") is None
