"""Two and four processes equal one: the averaged gradient is that of the whole batch, for every loss.

A linear layer stands for the network.  Each rank sees its share of the rows; afterwards the ranks' gradients
are averaged, as data-parallel training does, and compared with one process that had all rows.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resight import models
from resight.dist import average_over_ranks, rank, world_size
from resight.losses import AttributeLoss, Clocked, Loss, PairVerification, ShardedClassifier
from resight.losses.partial_fc import _sharded_cross_entropy, shard
from resight.models.verification import Verification
from tests.losses.cases import DIM, EVERY, METRIC, batch, call, make
from tests.ranks import averaged, backward, own_share, run

ROOT = Path(__file__).parents[2]

Case = tuple[str, dict[str, Any]]

VARIANTS: list[Case] = [
    ("trihard", {"margin": "soft", "distance": "cosine"}),
    ("trihard", {"reduction": "mean_nonzero"}),
    ("triplet", {"reduction": "sum"}),
    ("quadruplet", {"mining": "hard"}),
    ("contrastive", {"balanced": True, "margin": 2.0}),
    ("curriculum_triplet", {"curriculum": "release", "order": "unordered"}),
    ("hap2s", {"weights": "polynomial", "normalize": True}),
    ("center", {"update": "learned"}),
    ("verification", {"dropout": 0.5, "neg_ratio": 2.0}),
    ("sharded", {"head": "arcface", "scale": 16}),
    ("sharded", {"head": "circle", "scale": 16}),
]
CASES: list[Case] = [(name, {}) for name in EVERY] + VARIANTS
BATCHES = {
    "mixed": batch(8),
    "one identity a rank": (batch(9)[0], torch.arange(4).repeat_interleave(4)),
    "no valid anchor": (batch(10)[0], torch.zeros(16, dtype=torch.long)),
    "ranks without an anchor": (batch(11)[0], torch.tensor([0, 0, 1, 1, *range(2, 14)])),
}


def layer() -> nn.Linear:
    network = nn.Linear(7, DIM, bias=False).double()
    with torch.no_grad():
        network.weight.copy_(torch.randn(DIM, 7, generator=torch.Generator().manual_seed(0)))
    return network


def inputs(seed: int) -> Tensor:
    return torch.randn(16, 7, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def step(name: str, options: dict[str, Any], features: Tensor, pids: Tensor) -> dict[str, Tensor]:
    """One backward pass on this rank's share: what training would see, averaged over ranks."""
    network, loss = layer(), make(name, **options).double()
    if isinstance(loss, Clocked):
        loss.set_clock(3, 20.0)
    value = call(loss, network(own_share(features)), own_share(pids))
    if value.ndim:  # reduction "none"
        value = value.sum()
    backward(value)
    assert network.weight.grad is not None
    seen = {"value": average_over_ranks(value), "network": averaged(network.weight.grad)}
    return seen | {f"own {key}": tensor for key, tensor in owned(loss).items()}


def owned(loss: Loss) -> dict[str, Tensor]:
    """Gradients of the loss's own parameters and its buffers, whole and averaged as training does."""
    if isinstance(loss, ShardedClassifier):
        gradient = loss.weight.grad
        assert gradient is not None
        loss.weight.data = gradient.to_dense() if gradient.is_sparse else gradient
        return {"weight": loss.whole(loss.weight.detach())}
    seen = {key: tensor.detach() for key, tensor in loss.named_buffers()}
    for key, parameter in loss.named_parameters():
        assert parameter.grad is not None
        seen[key] = averaged(parameter.grad)
    return seen


def every_case() -> dict[tuple[int, str], dict[str, Tensor]]:
    return {
        (number, key): step(name, options, inputs(number), pids)
        for number, (name, options) in enumerate(CASES)
        for key, (_, pids) in BATCHES.items()
    }


def attributes() -> dict[str, Tensor]:
    """Heads of which only one rank holds annotations: the mean over heads is decided together."""
    network = layer()
    scores = network(own_share(inputs(0)))
    pids = BATCHES["mixed"][1] % 3
    lonely = torch.full((16,), -1)
    lonely[:2] = torch.tensor([0, 1])
    values = {"a": own_share(pids), "b": own_share(lonely), "nobody": own_share(torch.full((16,), -1))}
    loss = AttributeLoss()({"a": scores[:, :3], "b": scores[:, 3:5], "nobody": scores[:, :2]}, values)
    backward(loss)
    assert network.weight.grad is not None
    return {"value": average_over_ranks(loss), "network": averaged(network.weight.grad)}


def sampled_classes() -> dict[str, Tensor]:
    """The partial classifier over ranks: the value, and which classes the ranks scored."""
    features, pids = batch(12)
    loss = ShardedClassifier(40, DIM, head="cosine", scale=8, rate=0.3).double()
    rows, _ = loss.sampled(loss.own_columns(pids))
    value = loss(own_share(features), own_share(pids))
    return {"value": average_over_ranks(value), "rows": rows + loss.first, "weight": loss.whole(loss.weight.detach())}


def literal_classes() -> dict[str, Tensor]:
    """Four classes of the literal scores below, dealt out."""
    scores = torch.tensor([[2, 1, 0, -1], [0.5, 0.5, 2, 1]], dtype=torch.float64)
    first, owned = shard(4, world_size(), rank())
    column = torch.tensor([0, 3]) - first
    column = column.masked_fill((column < 0) | (column >= owned), -1)
    return {"value": _sharded_cross_entropy(scores[:, first : first + owned], column).mean()}


def siamese() -> dict[str, Tensor]:
    """The network that scores pairs itself: every row against everybody's, classifier and trunk alike."""
    torch.manual_seed(0)
    trunk = {"name": "resnet10", "width": 2}
    model = models.build("verification", 0, backbone=trunk, input_size=(32, 32), embedding=4).double().train()
    assert isinstance(model, Verification)
    model.backbone.eval()  # statistics of a share of the batch are another matter
    images = torch.rand(16, 3, 32, 32, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    value = PairVerification()(model(own_share(images)).logits["same"], own_share(BATCHES["mixed"][1]))
    backward(value)
    gradients = {f"own {n}": averaged(p.grad) for n, p in model.named_parameters() if p.grad is not None}
    return {"value": average_over_ranks(value), **gradients}


def peers() -> dict[str, Tensor]:
    """The gradient of every scheme of benchmarks/schemes.py."""
    module = schemes()
    return {name: module.gradient(scheme, world_size() > 1) for name, (_, scheme) in module.SCHEMES.items()}


def schemes() -> Any:
    spec = importlib.util.spec_from_file_location("schemes", ROOT / "benchmarks" / "schemes.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def everything() -> dict[Any, dict[str, Tensor]]:
    return {
        **every_case(),
        "attributes": attributes(),
        "sampled": sampled_classes(),
        "literal": literal_classes(),
        "siamese": siamese(),
        "schemes": peers(),
    }


@pytest.fixture(scope="module")
def alone() -> dict[Any, dict[str, Tensor]]:
    return everything()


@pytest.fixture(scope="module", params=[2, 4])
def together(request: pytest.FixtureRequest) -> list[dict[Any, dict[str, Tensor]]]:
    results: list[dict[Any, dict[str, Tensor]]] = run(request.param, everything)
    return results


def agree(one: dict[str, Tensor], many: dict[str, Tensor]) -> None:
    assert one.keys() == many.keys()
    for key, expected in one.items():
        assert torch.allclose(many[key].double(), expected.double(), rtol=0, atol=1e-10), key


@pytest.mark.parametrize("key", sorted(BATCHES))
@pytest.mark.parametrize("number", range(len(CASES)), ids=[f"{name} {options}" for name, options in CASES])
def test_many_processes_equal_one(number: int, key: str, alone: dict[Any, Any], together: list[dict[Any, Any]]) -> None:
    for each in together:
        agree(alone[number, key], each[number, key])


def test_a_network_that_scores_pairs_scores_those_across_processes(
    alone: dict[Any, Any], together: list[dict[Any, Any]]
) -> None:
    assert len(alone["siamese"]) > 20
    assert all(tensor.abs().sum() > 0 for tensor in alone["siamese"].values())
    for each in together:
        agree(alone["siamese"], each["siamese"])


def test_attributes_agree_on_the_mean(alone: dict[Any, Any], together: list[dict[Any, Any]]) -> None:
    for each in together:
        agree(alone["attributes"], each["attributes"])


def test_the_partial_classifier_is_the_softmax_over_the_sampled_classes(
    together: list[dict[Any, Any]],
) -> None:
    features, pids = batch(12)
    rows = torch.cat([each["sampled"]["rows"] for each in together])
    weight = together[0]["sampled"]["weight"]
    assert len(rows) < 40
    assert set(pids.tolist()) <= set(rows.tolist())
    cosines = F.normalize(features) @ F.normalize(weight[rows]).T
    place = (rows[None, :] == pids[:, None]).long().argmax(dim=1)
    expected = F.cross_entropy(8 * cosines, place)
    for each in together:
        assert torch.allclose(each["sampled"]["value"], expected)
        assert torch.equal(each["sampled"]["weight"], weight)


def test_the_literal_classes_in_pieces(alone: dict[Any, Any], together: list[dict[Any, Any]]) -> None:
    for each in (alone, *together):
        assert float(each["literal"]["value"]) == pytest.approx(1.0179005466498228, rel=1e-12)


def test_the_gradient_of_each_scheme(alone: dict[Any, Any], together: list[dict[Any, Any]]) -> None:
    """The table of docs/methods/losses.md: who is exact, who is W times off, whose direction is wrong."""
    W, module, reference = len(together), schemes(), alone["schemes"]["D"]
    seen = {name: module.compare(found, reference) for name, found in together[0]["schemes"].items()}
    for exact in ("A x W", "B", "D"):
        assert (together[0]["schemes"][exact] - reference).abs().max() < 1e-15 * W * 10
    assert seen["A"] == pytest.approx((1 / W, 1))
    assert seen["B x W"] == pytest.approx((W, 1))
    assert seen["E"][1] < 0.99
    assert seen["E x W"] == pytest.approx((W * seen["E"][0], seen["E"][1]))
    assert seen["F"][1] < 0.99 if W == 2 else seen["F"][0] == 0  # four ranks: one identity each, no negative


def test_the_cases_say_something(alone: dict[Any, Any]) -> None:
    """Each loss has a gradient somewhere, and the metric losses none where no anchor is valid."""
    for number, (name, _) in enumerate(CASES):
        assert alone[number, "mixed"]["network"].abs().sum() > 0
        if name in METRIC and name != "contrastive":
            assert alone[number, "no valid anchor"]["network"].abs().sum() == 0
