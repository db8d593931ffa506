"""Soft mining: each anchor against weighted sets of positives and negatives.

The weights are softmaxes of the distances, so that far positives and near negatives weigh more.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, Unpack

import torch
from torch import Tensor

from resight.dist import gather
from resight.errors import UsageError
from resight.losses.base import (
    Margin,
    MetricLoss,
    MetricOptions,
    Part,
    Relations,
    hinge,
    known_margin,
    masked_logsumexp,
    masked_softmax,
)
from resight.losses.distances import DISTANCES


class Sets(NamedTuple):
    """Distances of each local anchor to the set of its positives and to that of its negatives, both (b,)."""

    positive: Tensor
    negative: Tensor


class AdaptiveTriplet(MetricLoss):
    """Triplet loss with adaptive weights.  Ristani and Tomasi, CVPR 2018.

    [ margin + sum_p w_p d(a, p) - sum_n w_n d(a, n) ]_+,   w_p = softmax_p(d),   w_n = softmax_n(-d)

    The weights carry gradient unless detach_weights.  margin "soft" is the weighted regularised triplet of
    AGW (Ye et al. 2020).
    """

    def __init__(
        self,
        margin: Margin = 0.3,
        detach_weights: bool = False,
        **common: Unpack[MetricOptions],
    ) -> None:
        super().__init__(**common)
        self.margin: Margin = known_margin(margin)
        self.detach_weights = detach_weights

    def compare(self, features: Tensor, who: Relations) -> list[Part]:
        sets = self.sets(self.distances(features, who), who)
        return [Part(hinge(sets.positive - sets.negative, self.margin), who.valid)]

    def sets(self, distance: Tensor, who: Relations) -> Sets:
        """Weighted distance of each anchor to its positives and to its negatives."""
        far, near = self.scores(distance)
        if self.detach_weights:
            far, near = far.detach(), near.detach()
        return Sets(
            (masked_softmax(far, who.positive) * distance).sum(dim=1),
            (masked_softmax(near, who.negative) * distance).sum(dim=1),
        )

    def scores(self, distance: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the weights over positives and over negatives, (b, R) each."""
        return distance, -distance


class HAP2S(AdaptiveTriplet):
    """Hard-aware point-to-set loss.  Yu et al., ECCV 2018.

    [ margin + sum_p w_p d(a, p) / sum_p w_p - sum_n w_n d(a, n) / sum_n w_n ]_+

    weights "exponential"   w_p = exp(d / sigma),     w_n = exp(-d / sigma)        sigma = 0.5
            "polynomial"    w_p = (d + 1)^alpha,      w_n = (d + 1)^(-2 alpha)     alpha = 10

    Both are softmaxes (of d / sigma, of alpha log(1 + d)), so no power is ever formed.  sigma towards 0 or
    alpha towards infinity gives TriHard; sigma to infinity or alpha = 0 the mean of each set.  The paper's
    margin is not known to us: 0.3 is our choice.
    """

    def __init__(
        self,
        weights: Literal["exponential", "polynomial"] = "exponential",
        sigma: float = 0.5,
        alpha: float = 10.0,
        margin: Margin = 0.3,
        detach_weights: bool = False,
        **common: Unpack[MetricOptions],
    ) -> None:
        super().__init__(margin, detach_weights, **common)
        if weights not in ("exponential", "polynomial"):
            raise UsageError(f"weights is {weights!r}; it is 'exponential' or 'polynomial'.")
        if sigma <= 0 or alpha < 0:
            raise UsageError(f"sigma is {sigma} and alpha {alpha}; sigma is above 0, alpha at least 0.")
        self.weights, self.sigma, self.alpha = weights, sigma, alpha

    def scores(self, distance: Tensor) -> tuple[Tensor, Tensor]:
        if self.weights == "exponential":
            return distance / self.sigma, -distance / self.sigma
        power = self.alpha * distance.log1p()
        return power, -2 * power


class Lifted(MetricLoss):
    """Lifted structured loss.  Oh Song et al., CVPR 2016.

    J_ij = log( sum_{k in N(i)} exp(margin - d_ik) + sum_{l in N(j)} exp(margin - d_jl) ) + d_ij
    mean over positive pairs of [ J_ij ]_+^2 / 2

    A pair without negatives is skipped.  Each row's log-sum-exp is formed once and gathered, so a pair costs
    one addition of logarithms.
    """

    def __init__(self, margin: float = 1.0, **common: Unpack[MetricOptions]) -> None:
        super().__init__(**common)
        self.margin = margin

    def compare(self, features: Tensor, who: Relations) -> list[Part]:
        everyone = who.references(features)
        distance = DISTANCES[self.distance](features, everyone)  # (b, R)
        mine = masked_logsumexp(self.margin - distance, who.negative)  # (b,)
        theirs = gather(mine)
        if who.past is not None:
            theirs = torch.cat([theirs, self._pushed(everyone[who.batch :], everyone, who)])  # (R,)
        tension = torch.logaddexp(mine[:, None], theirs[None, :]) + distance
        counted = who.positive & who.valid[:, None]  # a pair is seen from both ends: the same mean
        return [Part((tension.relu().square() / 2).flatten(), counted.flatten())]

    def _pushed(self, past: Tensor, everyone: Tensor, who: Relations) -> Tensor:
        """The log-sum-exp of memory rows over their own negatives: (M, D), (R, D) -> (M,)."""
        negative = who.everyone[who.batch :, None] != who.everyone[None, :]
        return masked_logsumexp(self.margin - DISTANCES[self.distance](past, everyone), negative)


class GeneralizedLifted(MetricLoss):
    """Lifted structured loss with sets on both sides.  Hermans, Beyer and Leibe 2017.

    mean over valid a of [ log sum_p exp(d(a, p)) + log sum_n exp(margin - d(a, n)) ]_+

    Where `lifted` takes positives pair by pair, here all of an anchor's stand together.
    """

    def __init__(self, margin: float = 1.0, **common: Unpack[MetricOptions]) -> None:
        super().__init__(**common)
        self.margin = margin

    def compare(self, features: Tensor, who: Relations) -> list[Part]:
        distance = self.distances(features, who)  # (b, R)
        pull = masked_logsumexp(distance, who.positive)
        push = masked_logsumexp(self.margin - distance, who.negative)
        return [Part((pull + push).relu(), who.valid)]
