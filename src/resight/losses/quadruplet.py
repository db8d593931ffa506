"""Quadruplet loss: triplets, and a second margin between pairs without the anchor.  Chen et al., CVPR 2017."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Unpack

import torch
from torch import Tensor

from resight.errors import UsageError
from resight.losses.base import MetricLoss, MetricOptions, Part, Relations
from resight.losses.distances import DISTANCES

if TYPE_CHECKING:
    from collections.abc import Iterator


class Quadruplet(MetricLoss):
    """Quadruplet loss on plain distances with fixed margins.

      mean over (a, p, n1)     of [ d(a, p) - d(a, n1)  + margin ]_+
    + mean over (a, p, n1, n2) of [ d(a, p) - d(n1, n2) + weak_margin ]_+     a, n1, n2 of three identities

    With two identities the second term has no tuple and is 0.  mining "hard" keeps, for every anchor, the
    farthest positive, the nearest negative and the closest pair (n1, n2).
    """

    def __init__(
        self,
        margin: float = 0.3,
        weak_margin: float = 0.15,
        mining: Literal["all", "hard"] = "all",
        **common: Unpack[MetricOptions],
    ) -> None:
        super().__init__(**common)
        if weak_margin > margin:
            raise UsageError(f"weak_margin {weak_margin} exceeds margin {margin}; the second push is weaker.")
        if mining not in ("all", "hard"):
            raise UsageError(f"mining is {mining!r}; it is 'all' or 'hard'.")
        self.margin, self.weak_margin, self.mining = margin, weak_margin, mining

    def compare(self, features: Tensor, who: Relations) -> list[Part]:
        everyone = who.references(features)
        measure = DISTANCES[self.distance]
        distance, among = measure(features, everyone), measure(everyone, everyone)  # (b, R), (R, R)
        choose = self._hard if self.mining == "hard" else self._all
        return choose(distance, among, who)

    def _hard(self, distance: Tensor, among: Tensor, who: Relations) -> list[Part]:
        farthest = distance.masked_fill(~who.positive, -torch.inf).amax(dim=1)
        nearest = distance.masked_fill(~who.negative, torch.inf).amin(dim=1)
        closest = torch.full_like(farthest, torch.inf)
        for anchors, pool in _pools(among, who):
            if pool.numel():
                closest = torch.where(anchors, pool.amin(), closest)
        strong, weak = farthest - nearest + self.margin, farthest - closest + self.weak_margin
        return [Part(strong.relu(), who.valid), Part(weak.relu(), who.valid & closest.isfinite())]

    def _all(self, distance: Tensor, among: Tensor, who: Relations) -> list[Part]:
        anchor, other = who.positive.nonzero(as_tuple=True)
        reach = distance[anchor, other]  # (T,) d(a, p)
        strong = (reach[:, None] - distance[anchor] + self.margin).relu()  # (T, R)
        weak, tuples, above = torch.zeros_like(reach), torch.zeros_like(anchor), torch.zeros_like(anchor)
        for anchors, pool in _pools(among, who):
            mine = anchors[anchor]
            sums, counts = hinge_sums(reach + self.weak_margin, pool)
            weak, above = torch.where(mine, sums, weak), torch.where(mine, counts, above)
            tuples = tuples.masked_fill(mine, pool.numel())
        return [Part(strong.flatten(), who.negative[anchor].flatten()), Part(weak, tuples, above)]


def _pools(among: Tensor, who: Relations) -> Iterator[tuple[Tensor, Tensor]]:
    """For each identity here: its anchors (b,) bool, and all d(n1, n2) that involve it on neither side."""
    apart = who.everyone[:, None] != who.everyone[None, :]
    for pid in torch.unique(who.pids):
        outside = who.everyone != pid
        yield who.pids == pid, among[apart & outside[:, None] & outside[None, :]]


def hinge_sums(x: Tensor, pool: Tensor) -> tuple[Tensor, Tensor]:
    """sum over v in pool of [x_i - v]_+, and how many are above 0: (T,), (M,) -> (T,), (T,).

    By sorting: O((M + T) log M) time and O(M) memory.

    Spelled out it would be T M numbers: a thousand million for P x K = 16 x 16.
    """
    wide = torch.float32 if x.device.type == "mps" else torch.float64
    ordered = pool.to(wide).sort().values
    below = torch.searchsorted(ordered.detach(), x.detach().to(wide))  # (T,) how many v < x
    prefix = torch.cat([ordered.new_zeros(1), ordered.cumsum(0)])
    return (below * x.to(wide) - prefix[below]).to(x.dtype), below
