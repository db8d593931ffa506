"""One call for every loss of the table: the batch it takes and the options it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from resight import losses
from resight.dist import gather
from resight.losses import PairVerification

if TYPE_CHECKING:
    from resight.losses import Loss

DIM, NUM_IDS = 18, 16


def make(name: str, **options: Any) -> Loss:
    """The loss with its defaults; dim and num_ids are filled in as a training run does."""
    known = losses.options_of(name)
    wanted = {key: value for key, value in (("dim", DIM), ("num_ids", NUM_IDS)) if key in known}
    return losses.build(name, **(wanted | options))


def call(loss: Loss, features: Tensor, pids: Tensor) -> Tensor:
    """Features (B, DIM) turned into whatever the loss takes, differentiably."""
    value: Tensor
    if loss.networks == 2:  # of both networks and of their averages
        with torch.autocast("cpu", enabled=False):
            features = torch.cat([features, features.flip(1), features.roll(1, 1), features.roll(-1, 1)])
    if loss.takes == "features":
        value = loss(features, pids)
    elif isinstance(loss, PairVerification):
        value = loss(features @ gather(features).T, pids)
    elif loss.takes == "logits":
        value = loss(features[:, :NUM_IDS].tanh(), pids)
    elif loss.takes == "pair":
        value = loss(features, features.flip(1))
    else:
        value = loss([features.exp().view(-1, 2, DIM // 2)])
    return value


def batch(seed: int = 0, rows: int = 16) -> tuple[Tensor, Tensor]:
    """Identities of unequal counts, some alone, in no order: (B, DIM) float64, (B,) below NUM_IDS."""
    draws = torch.Generator().manual_seed(seed)
    pids = torch.randint(4, (rows,), generator=draws)
    pids[0] = 4  # nobody else's
    return torch.randn(rows, DIM, generator=draws, dtype=torch.float64), pids


METRIC = sorted(
    name for name, kind in losses.LOSSES.items() if issubclass(kind, losses.MetricLoss) and kind.networks == 1
)
EVERY = losses.available()
