"""What every row of LOSSES promises."""

from __future__ import annotations

import copy
import inspect

import pytest
import torch
from torch import Tensor

from resight import losses
from resight.errors import UnknownNameError, UsageError
from resight.losses import LOSSES, Clocked, Loss, MetricLoss
from tests.losses.batches import EDGES
from tests.losses.cases import DIM, EVERY, METRIC, batch, call, make
from tests.ranks import backward


def gradient(loss: Loss, features: Tensor, pids: Tensor) -> tuple[Tensor, Tensor]:
    leaf = features.clone().requires_grad_()
    value = call(loss, leaf, pids)
    backward(value)
    assert leaf.grad is not None
    return value.detach(), leaf.grad


@pytest.mark.parametrize("name", EVERY)
def test_tensors_in_a_finite_scalar_out(name: str) -> None:
    value, slope = gradient(make(name).double(), *batch())
    assert value.shape == ()
    assert value.dtype == torch.float64
    assert value.isfinite()
    assert slope.isfinite().all()
    assert slope.abs().sum() > 0


@pytest.mark.parametrize("name", EVERY)
def test_says_what_it_takes_and_where_it_comes_from(name: str) -> None:
    assert LOSSES[name].takes in ("features", "logits", "maps", "pair")
    assert len(inspect.getdoc(LOSSES[name]) or "") > 80
    first = list(inspect.signature(LOSSES[name].forward).parameters)[1]
    assert (
        first == {"features": "features", "logits": "logits", "maps": "maps", "pair": "prediction"}[LOSSES[name].takes]
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("name", EVERY)
def test_half_precision_is_lifted_also_under_autocast(name: str, dtype: torch.dtype) -> None:
    features, pids = batch()
    small = (features / 4).to(dtype)
    expected = call(make(name), small.float(), pids)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = call(make(name), small, pids)
    assert inside.dtype == torch.float32
    if make(name).takes == "features":
        assert torch.allclose(inside, expected, rtol=1e-6)
    else:  # tanh and exp above the loss stay in half precision
        assert torch.allclose(inside, expected, rtol=3e-2, atol=3e-2)


@pytest.mark.parametrize("edge", sorted(EDGES))
@pytest.mark.parametrize("name", METRIC)
def test_odd_batches_give_a_number_and_a_gradient(name: str, edge: str) -> None:
    features, pids = EDGES[edge]
    value, slope = gradient(make(name), features, pids)
    assert value.isfinite()
    assert slope.isfinite().all()
    relations_missing = edge.startswith(("E2", "E4"))
    if relations_missing and name != "contrastive":  # contrastive takes pairs, which it has
        assert value == 0
        assert torch.equal(slope, torch.zeros_like(slope))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none", "mean_nonzero"])
@pytest.mark.parametrize("name", METRIC)
def test_reductions_agree(name: str, reduction: str) -> None:
    features, pids = batch(1)
    loss = make(name, reduction=reduction)
    assert isinstance(loss, MetricLoss)
    value, parts = loss(features, pids), loss.parts(features, pids)
    sums = [part.values.masked_fill(part.valid == 0, 0).sum() for part in parts]
    counts = [part.valid.sum() for part in parts]
    if reduction == "mean":
        assert torch.allclose(value, torch.stack([s / n for s, n in zip(sums, counts, strict=True)]).sum())
    elif reduction == "sum":
        assert torch.allclose(value, torch.stack(sums).sum())
    elif reduction == "none":
        assert value.shape == (sum(len(part.values) for part in parts),)
    else:
        assert value >= make(name)(features, pids) - 1e-12


@pytest.mark.parametrize("name", METRIC)
def test_coinciding_features_have_a_finite_gradient(name: str) -> None:
    pids = torch.tensor([0, 0, 1, 1, 2, 2])
    for features in (torch.ones(6, 4), torch.zeros(6, 4), torch.ones(6, 4).double()):
        value, slope = gradient(make(name), features, pids)
        assert value.isfinite()
        assert slope.isfinite().all()


@pytest.mark.parametrize("name", [name for name in METRIC if name != "curriculum_triplet"])
def test_order_and_names_of_identities_do_not_matter(name: str) -> None:
    features, pids = batch(2)
    order = torch.randperm(len(pids), generator=torch.Generator().manual_seed(0))
    loss = make(name)
    assert torch.allclose(loss(features[order], pids[order]), loss(features, pids))
    assert torch.allclose(loss(features, 100 - 7 * pids), loss(features, pids))


@pytest.mark.parametrize("name", METRIC)
def test_rotations_do_not_matter(name: str) -> None:
    features, pids = batch(3)
    turn, _ = torch.linalg.qr(torch.randn(DIM, DIM, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))
    loss = make(name)
    assert torch.allclose(loss(features @ turn, pids), loss(features, pids))


@pytest.mark.parametrize("name", EVERY)
def test_the_state_is_all_there_is(name: str) -> None:
    """A loss rebuilt from its options and its state goes on exactly, whatever the global generator does."""
    loss = make(name).double()
    if isinstance(loss, Clocked):
        loss.set_clock(3, 1.5)
    call(loss, *batch(4))
    resumed = make(name).double()
    resumed.load_state_dict(copy.deepcopy(loss.state_dict()))
    for each in (loss, resumed):
        if isinstance(each, Clocked):
            each.set_clock(4, 1.6)
    one = call(loss, *batch(5))
    torch.manual_seed(17)
    assert torch.equal(one, call(resumed, *batch(5)))


@pytest.mark.parametrize("name", EVERY)
def test_arguments_and_the_global_generator_are_left_alone(name: str) -> None:
    features, pids = batch(6)
    before, state = (features.clone(), pids.clone()), torch.get_rng_state()
    call(make(name).double(), features, pids)
    assert torch.equal(features, before[0])
    assert torch.equal(pids, before[1])
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", EVERY)
def test_every_parameter_learns(name: str) -> None:
    loss = make(name).double()
    features, pids = batch(7)
    backward(call(loss, features.requires_grad_(), pids))
    for parameter, tensor in loss.named_parameters():
        assert tensor.grad is not None, parameter
        assert tensor.grad.abs().sum() > 0, parameter


@pytest.mark.parametrize("name", EVERY)
def test_unknown_options_are_answered_with_the_known(name: str) -> None:
    known = losses.options_of(name)
    with pytest.raises(UsageError, match="margn: there is no option of loss") as error:
        losses.build(name, margn=1)
    assert all(option in str(error.value) for option in known)


@pytest.mark.parametrize("name", EVERY)
def test_every_option_that_is_listed_can_be_given(name: str) -> None:
    defaults = {option: known.default for option, known in losses.options_of(name).items() if not known.required}
    assert isinstance(make(name, **defaults), LOSSES[name])


def test_names() -> None:
    assert losses.available() == sorted(LOSSES)
    with pytest.raises(UnknownNameError, match="'trihard'"):
        losses.build("trihart")
    with pytest.raises(UsageError, match="dim"):
        losses.build("verification")
