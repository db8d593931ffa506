"""The Siamese network and its pair classifier."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from resight import models
from resight.models.verification import PairHead, Verification
from tests.models.flow import reached, touches

SMALL: dict[str, Any] = {
    "backbone": {"name": "resnet10", "width": 4},
    "input_size": (64, 32),
    "embedding": 6,
}


def by_hand() -> PairHead:
    pair = PairHead(2)
    with torch.no_grad():
        pair.linear.weight.copy_(torch.tensor([[-2.0, -2], [2, 2]]))
        pair.linear.bias.copy_(torch.tensor([0.5, -0.5]))
    return pair


def test_the_pair_classifier_by_hand() -> None:
    """Class 0 is the same person, class 1 different people."""
    one, two = torch.tensor([[1.0, 0], [0, 1]]), torch.tensor([[0.5, 0.5], [0, 1]])
    scores = by_hand()(one, two)
    torch.testing.assert_close(scores, torch.tensor([[-0.5, 0.5], [0.5, -0.5]]))
    targets = torch.tensor([1, 0])
    assert F.cross_entropy(scores, targets).item() == pytest.approx(0.3132616875, abs=1e-7)
    odds = by_hand().log_odds(one, two)
    logistic = F.binary_cross_entropy_with_logits(odds, 1.0 - targets)
    assert logistic.item() == pytest.approx(0.3132616875, abs=1e-7)


@pytest.mark.parametrize("fusion", ["squared", "abs", "product", "concat"])
def test_fusions(fusion: Any) -> None:
    torch.manual_seed(0)
    pair, one, two = PairHead(5, fusion), torch.randn(3, 5), torch.randn(3, 5)
    symmetric = torch.equal(pair(one, two), pair(two, one))
    assert symmetric is (fusion != "concat")
    table = pair(one[:, None], two[None])  # every row with every row
    assert table.shape == (3, 3, 2)
    torch.testing.assert_close(table[torch.arange(3), torch.arange(3)], pair(one, two))


def test_every_pair_of_the_batch_is_answered() -> None:
    model = models.build("verification", 3, **SMALL).eval()
    assert isinstance(model, Verification)
    output = model(torch.rand(4, 3, 64, 32))
    feature, same = output.features["global"], output.logits["same"]
    assert same.shape == (4, 4)
    torch.testing.assert_close(same, same.T)
    torch.testing.assert_close(same[1, 2], model.pair.log_odds(feature[1], feature[2]))


def test_verify_answers_with_a_probability() -> None:
    model = models.build("verification", 0, **SMALL).eval()
    assert isinstance(model, Verification)
    a, b = torch.rand(2, 3, 64, 32), torch.rand(2, 3, 64, 32)
    found = model.verify(a, b)
    assert found.probability is not None
    scores = model.pair(model.embed(a), model.embed(b))
    torch.testing.assert_close(found.probability, scores.softmax(dim=1)[:, 0])
    torch.testing.assert_close(found.probability, model.verify(b, a).probability)
    torch.testing.assert_close(found.similarity, F.cosine_similarity(model.embed(a), model.embed(b)))


def test_both_questions_teach_the_network() -> None:
    model = models.build("verification", 3, **SMALL).train()
    images = torch.rand(4, 3, 64, 32)
    for name, expected in (("same", [True, True, False]), ("identity", [True, False, True])):
        found = reached(model, model(images).logits[name].square().sum())
        assert touches(found, "backbone.", "pair.", "classifier.") == expected


def test_other_models_answer_with_their_similarity() -> None:
    euclidean = models.build("mancs", 0, backbone=SMALL["backbone"], input_size=(64, 32)).eval()
    a, b = torch.rand(2, 3, 64, 32), torch.rand(2, 3, 64, 32)
    found = euclidean.verify(a, b)
    assert found.probability is None
    torch.testing.assert_close(found.similarity, -(euclidean.embed(a) - euclidean.embed(b)).norm(dim=1))
