"""Triplets of the hardest: the loss everybody uses, written so that it is also the fastest.

Only two distances an anchor reach the loss: to its farthest positive and to its nearest negative.  So the
full matrix is formed without gradient, by one matrix product, to find which two; those are then measured
again from differences, with gradient.  The backward pass is O(B D) instead of O(B^2 D), the value has all its
digits, and a zero distance has a finite slope.
"""

from __future__ import annotations

from typing import NamedTuple, Unpack

import torch
from torch import Tensor

from resight.losses.base import Margin, MetricLoss, MetricOptions, Part, Relations, hinge, known_margin
from resight.losses.distances import ROW_DISTANCES, centred, cosine, products


class Hardest(NamedTuple):
    """Distances of each local anchor to its farthest positive and nearest negative, both (b,)."""

    positive: Tensor
    negative: Tensor


class TriHard(MetricLoss):
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

    def mine(self, features: Tensor, who: Relations) -> Hardest:
        """Find by matrix product, measure by difference.  Rows that are not valid get any finite value."""
        everyone = who.references(features)
        with torch.no_grad():
            farness = _order(self.distance, features, everyone)  # (b, R)
            positive = farness.masked_fill(~who.positive, -torch.inf).argmax(dim=1)
            negative = farness.masked_fill_(~who.negative, torch.inf).argmin(dim=1)
        measure = ROW_DISTANCES[self.distance]
        return Hardest(measure(features, everyone[positive]), measure(features, everyone[negative]))


def _order(distance: str, a: Tensor, b: Tensor) -> Tensor:
    """Numbers that grow along each row as the distance does: (N, D), (M, D) -> (N, M)."""
    if distance == "cosine":
        return cosine(a, b)
    a, b = centred(a, b)
    return products(a, b).mul_(-2).add_(b.square().sum(1))  # |a|^2 is the same all along a row
