"""The losses pytorch-metric-learning also has, under the settings that make its definition ours."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor

from resight import losses as ours
from tests.losses.batches import B1, B2, B3, B3_WEIGHTS, people
from tests.ranks import backward

pytest.importorskip("pytorch_metric_learning", reason="pytorch-metric-learning is not installed")

from pytorch_metric_learning import distances, miners, reducers
from pytorch_metric_learning import losses as theirs

if TYPE_CHECKING:
    from resight.losses import Loss

Batch = tuple[Tensor, Tensor]
BATCHES = {"B1": B1, "B2": B2, "B3": B3, "4 x 4": people(4, 4, 8), "6 x 3": people(6, 3, 5, seed=1)}


def plain() -> distances.LpDistance:
    return distances.LpDistance(normalize_embeddings=False)


def triplet(**options: object) -> torch.nn.Module:
    return theirs.TripletMarginLoss(distance=plain(), **options)  # type: ignore[no-any-return]


class Mined(torch.nn.Module):
    def __init__(self, loss: torch.nn.Module) -> None:
        super().__init__()
        self.loss, self.miner = loss, miners.BatchHardMiner(distance=plain())

    def forward(self, features: Tensor, pids: Tensor) -> Tensor:
        value: Tensor = self.loss(features, pids, self.miner(features, pids))
        return value


PAIRS: dict[str, tuple[Loss, torch.nn.Module]] = {
    "triplet": (ours.Triplet(), triplet(margin=0.3, reducer=reducers.MeanReducer())),
    "triplet, non-zero": (ours.Triplet(reduction="mean_nonzero"), triplet(margin=0.3)),
    "triplet, soft": (
        ours.Triplet("soft"),
        triplet(margin=0, smooth_loss=True, reducer=reducers.MeanReducer()),
    ),
    "trihard": (ours.TriHard(), Mined(triplet(margin=0.3, reducer=reducers.MeanReducer()))),
    "trihard, non-zero": (ours.TriHard(reduction="mean_nonzero"), Mined(triplet(margin=0.3))),
    "trihard, soft": (
        ours.TriHard("soft"),
        Mined(triplet(margin=0, smooth_loss=True, reducer=reducers.MeanReducer())),
    ),
    "lifted": (ours.Lifted(), theirs.LiftedStructureLoss(neg_margin=1, pos_margin=0, distance=plain())),
    "generalised lifted": (ours.GeneralizedLifted(), theirs.GeneralizedLiftedStructureLoss(distance=plain())),
    "circle 128": (ours.PairwiseCircle(), theirs.CircleLoss(m=0.25, gamma=128)),
    "circle 64": (ours.PairwiseCircle(0.35, 64), theirs.CircleLoss(m=0.35, gamma=64)),
}


@pytest.mark.parametrize("batch", sorted(BATCHES))
@pytest.mark.parametrize("name", sorted(PAIRS))
def test_values_and_gradients_agree(name: str, batch: str) -> None:
    features, pids = BATCHES[batch]
    mine, reference = PAIRS[name]
    a, b = features.clone().requires_grad_(), features.clone().requires_grad_()
    one, two = mine(a, pids), reference(b, pids)
    assert torch.allclose(one, two, rtol=1e-9, atol=1e-12)
    backward(one)
    backward(two)
    assert a.grad is not None
    assert b.grad is not None
    ties = batch in ("B1", "B2", "B3") and "trihard" in name  # whose gradient goes where is not defined
    nowhere = batch in ("B1", "B2") and "circle" in name  # a row at the origin has no direction
    if not ties and not nowhere:
        assert torch.allclose(a.grad, b.grad, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize(
    ("mine", "reference"),
    [
        (ours.Cosine(16), theirs.NormalizedSoftmaxLoss(3, 2, temperature=1 / 16)),
        (ours.CosFace(0.35, 16), theirs.CosFaceLoss(3, 2, margin=0.35, scale=16)),
        (ours.ArcFace(0.5, 16), theirs.ArcFaceLoss(3, 2, margin=math.degrees(0.5), scale=16)),
    ],
    ids=["cosine", "cosface", "arcface"],
)
def test_heads_agree(mine: Loss, reference: torch.nn.Module) -> None:
    reference.W.data = B3_WEIGHTS.T.clone()
    features, pids = B3
    assert torch.allclose(mine(features @ B3_WEIGHTS.T, pids), reference(features, pids), rtol=1e-9)


def test_where_an_anchor_has_no_positive_both_leave_it_out() -> None:
    features, pids = people(4, 3, 5)
    pids[0] = 9
    for name in ("trihard", "circle 128", "lifted"):
        mine, reference = PAIRS[name]
        assert torch.allclose(mine(features, pids), reference(features, pids), rtol=1e-9)
