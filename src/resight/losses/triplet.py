"""Contrastive and triplet losses, over all pairs and triplets or over the hardest."""

from __future__ import annotations

from typing import NamedTuple, Unpack

import torch
from torch import Tensor

from resight.losses.base import Margin, MetricLoss, MetricOptions, Part, Relations, hinge, known_margin
from resight.losses.distances import ROW_DISTANCES, centered, cosine, products


class Contrastive(MetricLoss):
    """Contrastive loss over all pairs.  After Hadsell, Chopra, LeCun 2006.

    mean over pairs of   d^2  if same identity,   [margin - d]_+^2  otherwise

    balanced: the mean over positive pairs plus the mean over negative ones, since a batch of P x K has far
    more of the latter.
    """

    def __init__(self, margin: float = 0.3, balanced: bool = False, **common: Unpack[MetricOptions]) -> None:
        super().__init__(**common)
        self.margin, self.balanced = margin, balanced

    def compare(self, features: Tensor, who: Relations) -> list[Part]:
        distance = self.distances(features, who)  # (b, R): each pair seen from both ends, which leaves the mean alone
        pull, push = distance.square(), (self.margin - distance).relu().square()
        if self.balanced:
            return [
                Part(pull.flatten(), who.positive.flatten()),
                Part(push.flatten(), who.negative.flatten()),
            ]
        values = torch.where(who.positive, pull, push)
        return [Part(values.flatten(), (who.positive | who.negative).flatten())]


class Pairs(NamedTuple):
    """The T (anchor, positive) pairs of this rank's anchors."""

    anchor: Tensor  # (T,) local row
    positive: Tensor  # (T,) d(a, p)
    others: Tensor  # (T, R) d(a, n)
    negative: Tensor  # (T, R) bool: whether n is a negative of a


def _pairs(distance: Tensor, who: Relations) -> Pairs:
    anchor, other = who.positive.nonzero(as_tuple=True)
    return Pairs(anchor, distance[anchor, other], distance[anchor], who.negative[anchor])


class Triplet(MetricLoss):
    """Triplet loss over all triplets.  Schroff, Kalenichenko, Philbin 2015 (FaceNet).

    mean over (a, p, n) of [ d(a, p) - d(a, n) + margin ]_+

    There are N (K - 1) (N - K) of them: 11 520 for P x K = 16 x 4, 921 600 for 16 x 16.
    """

    def __init__(self, margin: Margin = 0.3, **common: Unpack[MetricOptions]) -> None:
        super().__init__(**common)
        self.margin: Margin = known_margin(margin)

    def compare(self, features: Tensor, who: Relations) -> list[Part]:
        pairs = _pairs(self.distances(features, who), who)
        values = hinge(pairs.positive[:, None] - pairs.others, self.margin)
        return [Part(values.flatten(), pairs.negative.flatten())]


class ImprovedTriplet(Triplet):
    """Triplet loss that also pulls positives together absolutely.  After Cheng et al. 2016.

    mean over (a, p, n) of   pos_weight [ d(a, p) - pos_margin ]_+  +  [ d(a, p) - d(a, n) + margin ]_+

    With the defaults the first term is d(a, p) itself.  The original form has squared distances
    (distance="squared") and a hinge of its own on the positives.
    """

    def __init__(
        self,
        margin: Margin = 0.3,
        pos_weight: float = 1.0,
        pos_margin: float = 0.0,
        **common: Unpack[MetricOptions],
    ) -> None:
        super().__init__(margin, **common)
        self.pos_weight, self.pos_margin = pos_weight, pos_margin

    def compare(self, features: Tensor, who: Relations) -> list[Part]:
        pairs = _pairs(self.distances(features, who), who)
        pull = self.pos_weight * (pairs.positive - self.pos_margin).relu()
        values = pull[:, None] + hinge(pairs.positive[:, None] - pairs.others, self.margin)
        return [Part(values.flatten(), pairs.negative.flatten())]


class Hardest(NamedTuple):
    """Distances of each local anchor to its farthest positive and nearest negative, both (b,)."""

    positive: Tensor
    negative: Tensor


class BatchHard(MetricLoss):
    """Base of losses on each anchor's farthest positive and nearest negative."""

    def mine(self, features: Tensor, who: Relations) -> Hardest:
        """Find by matrix product, measure by difference.  Rows that are not valid get any finite value."""
        everyone = who.references(features)
        return self.measure(features, everyone, *self.find(features, everyone, who))

    @torch.no_grad()
    def find(self, features: Tensor, everyone: Tensor, who: Relations) -> tuple[Tensor, Tensor]:
        """The references that are farthest positive and nearest negative of each local anchor, (b,) each."""
        farness = _order(self.distance, features, everyone)  # (b, R)
        positive = farness.masked_fill(~who.positive, -torch.inf).argmax(dim=1)
        return positive, farness.masked_fill_(~who.negative, torch.inf).argmin(dim=1)

    def measure(self, features: Tensor, everyone: Tensor, positive: Tensor, negative: Tensor) -> Hardest:
        """Distances of the local anchors to the references of these numbers."""
        measure = ROW_DISTANCES[self.distance]
        return Hardest(measure(features, everyone[positive]), measure(features, everyone[negative]))


class TriHard(BatchHard):
    """Batch-hard triplet loss.  Hermans et al. 2017, eq. 5.

    mean over valid a of [ max_{p in P(a)} d(a, p) - min_{n in N(a)} d(a, n) + margin ]_+

    margin "soft": log(1 + exp(max d(a, p) - min d(a, n))).  Ties go to the first row.
    """

    def __init__(self, margin: Margin = 0.3, **common: Unpack[MetricOptions]) -> None:
        super().__init__(**common)
        self.margin: Margin = known_margin(margin)

    def compare(self, features: Tensor, who: Relations) -> list[Part]:
        hardest = self.mine(features, who)
        return [Part(hinge(hardest.positive - hardest.negative, self.margin), who.valid)]


def _order(distance: str, a: Tensor, b: Tensor) -> Tensor:
    """Numbers that grow along each row as the distance does: (N, D), (M, D) -> (N, M)."""
    if distance == "cosine":
        return cosine(a, b)
    a, b = centered(a, b)
    return products(a, b).mul_(-2).add_(b.square().sum(1))  # |a|^2 is the same all along a row
