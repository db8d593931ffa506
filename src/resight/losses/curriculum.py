"""The ranking loss of Mancs: triplets whose negative is drawn by a curriculum.  Wang et al., ECCV 2018."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal, Unpack

import torch
from torch import Tensor

from resight.dist import first_row
from resight.errors import UnknownNameError, UsageError
from resight.losses.base import Margin, MetricLoss, MetricOptions, Part, Relations, hinge, known_margin
from resight.losses.distances import DISTANCES, ROW_DISTANCES
from resight.losses.seeding import generator


class CurriculumTriplet(MetricLoss):
    """mean over (a, p) of [ d(a, p) - d(a, n) + margin ]_+,  n drawn by rank for each pair (`Curriculum`).

    Ranks and chances are found without gradient; the gradient flows through the two chosen distances.  What
    is drawn depends on seed, step and the anchor's place in the global batch alone, so any number of
    processes draws the same.  The clock: t is the epoch, from 0, whole epochs.

    curriculum "paper" or "release"; a, b, t0, t1, pool, relative change single constants of it.
    order "ordered": each anchor with each of its positives; "unordered": each pair once.
    """

    def __init__(
        self,
        margin: Margin = 0.5,
        curriculum: str = "paper",
        order: Literal["ordered", "unordered"] = "ordered",
        seed: int = 0,
        a: float | None = None,
        b: float | None = None,
        t0: float | None = None,
        t1: float | None = None,
        pool: int | None = None,
        relative: bool | None = None,
        **common: Unpack[MetricOptions],
    ) -> None:
        super().__init__(**common)
        if curriculum not in PRESETS:
            raise UnknownNameError("curriculum", curriculum, PRESETS)
        if order not in ("ordered", "unordered"):
            raise UsageError(f"order is {order!r}; it is 'ordered' or 'unordered'.")
        given = {"a": a, "b": b, "t0": t0, "t1": t1, "pool": pool, "relative": relative}
        changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        self.curriculum: Curriculum = replace(PRESETS[curriculum](), **changes)
        self.margin: Margin = known_margin(margin)
        self.order: Literal["ordered", "unordered"] = order
        self.seed = seed
        self.set_clock(0, 0.0)

    def set_clock(self, step: int, epoch: float) -> None:
        """Set the epoch, for the schedule, and the step, for the draws."""
        self._step, self._epoch = step, math.floor(epoch)

    def compare(self, features: Tensor, who: Relations) -> list[Part]:
        everyone = who.references(features)
        with torch.no_grad():
            chosen = anchor_positive_pairs(who.positive, first_row(features), self.order)
            anchor, positive = (chosen & who.valid[:, None]).nonzero(as_tuple=True)
            negative = self.draw(DISTANCES[self.distance](features, everyone), who)[anchor, positive]
        measure = ROW_DISTANCES[self.distance]
        own = features[anchor]
        gap = measure(own, everyone[positive]) - measure(own, everyone[negative])
        return [Part(hinge(gap, self.margin), torch.ones_like(gap, dtype=torch.bool))]

    def draw(self, distance: Tensor, who: Relations) -> Tensor:
        """A negative for every (anchor, other): distances (b, R) -> references (b, R)."""
        b, everybody = distance.shape
        counts = who.negative.sum(dim=1).cpu()  # ranks are drawn in float64, which not every device has
        if self.curriculum.pool is not None:
            counts = counts.clamp_max(self.curriculum.pool)
        by_hardness = distance.masked_fill(~who.negative, torch.inf).argsort(dim=1, stable=True)
        chances = self.curriculum.probabilities(self._epoch, counts)
        draws = generator(self.seed, self._step)
        uniform = torch.rand(who.batch, everybody, generator=draws, dtype=torch.float64)
        ranks = draw_ranks(chances, uniform[first_row(distance) :][:b])
        return by_hardness.gather(1, ranks.to(distance.device))


SIGMA_FLOOR = 1e-6  # the schedule itself reaches 0 in floating point after some three thousand epochs


@dataclass(frozen=True)
class Curriculum:
    """The schedule of a Gaussian over the ranks of n negatives; t is the epoch, from 0.

    mean(t) = [ n - (n / t0) t ]_+          spread(t) = a b^[(t - t0) / (t1 - t0)]_+

    pool      only this many nearest negatives (None: all)
    slope     ranks per epoch in place of n / t0; the mean then starts at `pool`
    floor     least density of a rank before normalising
    relative  a counts in n negatives instead of ranks, for small batches, where 15 ranks are nearly all
    """

    a: float = 15.0
    b: float = 0.001
    t0: float = 30.0
    t1: float = 60.0
    pool: int | None = None
    slope: float | None = None
    floor: float = 0.0
    relative: bool = False

    def __post_init__(self) -> None:
        if not (self.a > 0 and 0 < self.b <= 1 and 0 < self.t0 < self.t1 and self.floor >= 0):
            raise UsageError(f"{self}: expected a > 0, 0 < b <= 1, 0 < t0 < t1 and floor >= 0.")
        if self.pool is not None and self.pool < 1:
            raise UsageError(f"curriculum pool is {self.pool}; at least one negative is needed.")

    @classmethod
    def release(cls) -> Curriculum:
        """What the authors' code does: the 80 nearest, three ranks an epoch, densities at least 3e-5."""
        return cls(pool=80, slope=3.0, floor=3e-5)

    def mean(self, t: float, n: Tensor) -> Tensor:
        """The rank drawn most often, before it is cut to those that exist; n (...) candidates -> (...)."""
        if self.slope is None:
            return (n - n * (t / self.t0)).clamp_min(0)
        start = n if self.pool is None else torch.full_like(n, float(self.pool))
        return (start - self.slope * t).clamp_min(0)

    def spread(self, t: float) -> float:
        """Standard deviation in ranks (in n negatives if relative), not below 1e-6."""
        shrunk = max((t - self.t0) / (self.t1 - self.t0), 0.0)
        return max(self.a * math.exp(shrunk * math.log(self.b)), SIGMA_FLOOR)

    def probabilities(self, t: float, counts: Tensor) -> Tensor:
        """Chance of each rank: counts (b,) of candidates -> (b, largest count) float64, rows sum to 1.

        An anchor without candidates gets a row of zeros.
        """
        n = counts.to(torch.float64)[:, None]
        rank = torch.arange(int(counts.max()) if counts.numel() else 0, device=counts.device)[None, :]
        sigma = self.spread(t) * (n.clamp_min(1) if self.relative else torch.ones_like(n))
        exponent = -((rank - self.mean(t, n)) ** 2) / (2 * sigma**2)
        if self.floor > 0:  # a density has units: the floor means something only before normalising
            exponent = (exponent.exp() / (sigma * math.sqrt(2 * math.pi))).clamp_min(self.floor).log()
        exponent = exponent.masked_fill((rank >= n) & (n > 0), -torch.inf)
        return exponent.softmax(dim=1).masked_fill(rank >= n, 0)


PRESETS = {"paper": Curriculum, "release": Curriculum.release}


def draw_ranks(probabilities: Tensor, uniform: Tensor) -> Tensor:
    """The rank each number in [0, 1) falls on: (b, R), (b, T) -> (b, T), by inverting the distribution."""
    edges = probabilities.cumsum(dim=1)
    edges = edges / edges[:, -1:].clamp_min(1e-300)
    return torch.searchsorted(edges.contiguous(), uniform.contiguous(), right=True).clamp_max(
        max(edges.shape[1] - 1, 0)
    )


def anchor_positive_pairs(positive: Tensor, first: int, order: Literal["ordered", "unordered"]) -> Tensor:
    """Which (anchor, positive) make a triplet: (b, B) bool; unordered keeps a pair at its earlier member.

    ordered gives P K (K - 1) triplets for P x K, unordered half of that; then the last image of an identity
    is never an anchor.
    """
    if order == "ordered":
        return positive
    here = torch.arange(positive.shape[0], device=positive.device)[:, None] + first
    return positive & (torch.arange(positive.shape[1], device=positive.device)[None, :] > here)
