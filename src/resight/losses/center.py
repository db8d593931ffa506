"""Center loss: squared distance of each feature to the center of its identity.  Wen et al., ECCV 2016."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from resight.dist import gather_labels, mean_over_ranks
from resight.errors import UsageError
from resight.losses.base import Loss
from resight.losses.distances import squared_rows
from resight.losses.seeding import generator
from resight.precision import full_precision, lift


class Center(Loss):
    """mean_i |f_i - c_{y_i}|^2 / 2    (halve=False: without the half, as in reid-strong-baseline)

    update "moving"    c_j moves by -rate sum_i [y_i = j] (c_j - f_i) / (1 + n_j) after each training batch,
                       the original rule (rate 0.5); centres are a buffer, the batch is the global one
           "learned"   centres are a parameter: give them their own SGD, and divide its rate by the weight
                       this loss has in the sum (weight 0.0005 and rate 0.5 are usual, hence 1000)

    Rows with a negative label are left out.  Shapes: features (B, dim), pids (B,) in 0..num_ids-1 -> ().
    """

    def __init__(
        self,
        num_ids: int,
        dim: int,
        update: Literal["moving", "learned"] = "moving",
        rate: float = 0.5,
        halve: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if update not in ("moving", "learned"):
            raise UsageError(f"update is {update!r}; it is 'moving' or 'learned'.")
        self.num_ids, self.dim, self.update, self.rate, self.halve = num_ids, dim, update, rate, halve
        start = torch.randn(num_ids, dim, generator=generator(seed, "centres"))
        self.centres: Tensor
        if update == "learned":
            self.centres = nn.Parameter(start)
        else:
            self.register_buffer("centres", start)

    def forward(self, features: Tensor, pids: Tensor) -> Tensor:
        with full_precision(features):
            features = lift(features)
            centres = self.centres.to(features.dtype)[pids.clamp_min(0)]  # (B, dim): O(B D), not O(B C D)
            values = squared_rows(features, centres)
            if self.update == "moving" and self.training:
                self._move(features.detach(), pids)
            return mean_over_ranks(values / 2 if self.halve else values, pids >= 0)

    @torch.no_grad()
    def deltas(self, features: Tensor, pids: Tensor) -> tuple[Tensor, Tensor]:
        """The identities of the global batch and sum_i (c_j - f_i) / (1 + n_j): (U,), (U, dim)."""
        everyone, theirs = gather_labels(lift(features.detach())), gather_labels(pids)
        everyone, theirs = everyone[theirs >= 0], theirs[theirs >= 0]
        found, place, count = torch.unique(theirs, return_inverse=True, return_counts=True)
        total = everyone.new_zeros(len(found), self.dim).index_add_(0, place, everyone)
        n = count[:, None].to(total.dtype)
        return found, (n * self.centres[found].to(total.dtype) - total) / (1 + n)

    @torch.no_grad()
    def _move(self, features: Tensor, pids: Tensor) -> None:
        found, deltas = self.deltas(features, pids)
        self.centres[found] -= self.rate * deltas.to(self.centres.dtype)
