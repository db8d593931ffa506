"""Losses without labels: attention diversity, foreground mass, mutual distillation.  MDPR, Fu et al. 2024."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from resight.dist import mean_over_ranks
from resight.errors import UsageError
from resight.losses.base import Loss, Takes
from resight.losses.distances import unit
from resight.precision import full_precision, lift

if TYPE_CHECKING:
    from collections.abc import Sequence


class AttentionDiversity(Loss):
    """mean_i sum_{k < k'} cos(b_ik, b_ik'): what the attention maps of one picture gather should differ.

    The pieces b_k are the pooled vectors of K attention maps, before their batch norm; not being negative,
    they keep the sum within [0, K (K - 1) / 2].

    Shapes: a list of K tensors (B, ...), or one (B, K, ...) -> ().
    """

    takes: ClassVar[Takes] = "maps"

    def forward(self, maps: Tensor | Sequence[Tensor]) -> Tensor:
        pieces = _pieces(maps)
        with full_precision(pieces[0]):
            directions = [unit(lift(piece).flatten(1)) for piece in pieces]
            alike = [(a * b).sum(dim=1) for a, b in combinations(directions, 2)]
            return mean_over_ranks(torch.stack(alike).sum(dim=0))


class ForegroundMass(Loss):
    """lam * mean_i sum over maps and pixels of A: a penalty on the mass of foreground attention.

    The sum is not averaged over pixels: at 24 x 12 with two maps and a background it starts at 0.192.

    Shapes: a tensor (B, ...), or a list of them -> ().
    """

    takes: ClassVar[Takes] = "maps"

    def __init__(self, lam: float = 0.001) -> None:
        super().__init__()
        self.lam = lam

    def forward(self, maps: Tensor | Sequence[Tensor]) -> Tensor:
        several = [maps] if isinstance(maps, Tensor) else list(maps)
        with full_precision(several[0]):
            mass = torch.stack([lift(each).flatten(1).sum(dim=1) for each in several]).sum(dim=0)
            return self.lam * mean_over_ranks(mass)


class Distillation(Loss):
    """D(p, z) = mean_i -cos(p_i, z_i), the target z without gradient.

    Mutual distillation is half of it each way, L_MD = D(MLP_1(z_1), z_2) / 2 + D(MLP_2(z_2), z_1) / 2: two
    terms of weight 0.5, whose MLPs are the model's.

    Shapes: prediction (B, D), target (B, D) -> ().
    """

    takes: ClassVar[Takes] = "pair"

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        with full_precision(prediction):
            agreement = (unit(lift(prediction)) * unit(lift(target.detach()))).sum(dim=1)
            return -mean_over_ranks(agreement)


def _pieces(maps: Tensor | Sequence[Tensor]) -> Sequence[Tensor]:
    """A list as it is; a single tensor along its second axis.  Raises UsageError for fewer than two."""
    if not isinstance(maps, Tensor) and len(maps) == 1:
        maps = maps[0]
    pieces = maps.unbind(dim=1) if isinstance(maps, Tensor) else maps
    if len(pieces) < 2:
        raise UsageError(f"attention diversity compares at least two maps; it was given {len(pieces)}.")
    return pieces
