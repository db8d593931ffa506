"""The ranking loss of Mancs: triplets whose negative is drawn by a curriculum.  Wang et al., ECCV 2018."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Literal, Unpack

import torch
from torch import Tensor

from resight.dist import first_row
from resight.errors import UnknownNameError
from resight.losses.base import Margin, MetricLoss, MetricOptions, Part, Relations, hinge, known_margin
from resight.losses.distances import DISTANCES, ROW_DISTANCES
from resight.losses.draws import generator
from resight.losses.mining import PRESETS, Curriculum, anchor_positive_pairs, draw_ranks


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
        given = {"a": a, "b": b, "t0": t0, "t1": t1, "pool": pool, "relative": relative}
        changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        self.curriculum: Curriculum = replace(PRESETS[curriculum](), **changes)
        self.margin: Margin = known_margin(margin)
        self.order: Literal["ordered", "unordered"] = order
        self.seed = seed
        self.set_clock(0, 0.0)

    def set_clock(self, step: int, epoch: float) -> None:
        """Where training is; the schedule follows the epoch, the draws the step."""
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
