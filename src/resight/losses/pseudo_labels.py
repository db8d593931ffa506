"""Losses whose classes are clusters: a memory that is filled at each new clustering.

loss.begin(features, labels, camids)     # at the start of an epoch: all N pictures, and their clusters
loss(features, pids, index)              # every batch: pids are clusters, index the pictures' rows of the N
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from resight.losses.base import Loss
from resight.losses.distances import unit


class PseudoLabelLoss(Loss):
    """Base of losses with a memory over clusters.

    What the memory holds changes its length every epoch, so `kept` names buffers that are saved with whatever shape
    they have.  Under several processes every rank updates the memory with the gathered batch, so all hold the same.

    Shapes: features (B, dim), pids (B,) clusters 0..K-1, index (B,) -> ().
    """

    kept: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def begin(self, features: Tensor, labels: Tensor, camids: Tensor) -> None:
        """Set new clusters: features (N, dim) of all pictures, labels (N,) below 0 where left out, camids (N,)."""

    def keep(self, **tensors: Tensor) -> None:
        """Set buffers of `kept`, on the device and in the precision of those they replace."""
        for name, value in tensors.items():
            old = getattr(self, name)
            setattr(self, name, value.detach().to(old.device, old.dtype))

    def get_extra_state(self) -> dict[str, Tensor]:
        return {name: getattr(self, name).detach().clone() for name in self.kept}

    def set_extra_state(self, state: dict[str, Tensor]) -> None:
        self.keep(**state)


def centroids(features: Tensor, labels: Tensor, count: int) -> Tensor:
    """Unit means (count, dim) of the unit rows of each label 0..count-1; rows of other labels are passed over."""
    known = labels >= 0
    total = features.new_zeros(count, features.shape[1])
    total.index_add_(0, labels[known], unit(features[known]))
    return unit(total)


def moved(memory: Tensor, rows: Tensor, features: Tensor, momentum: float) -> Tensor:
    """A memory after its `rows` (B,) have moved towards the unit `features` (B, dim), one after another.

    M_r <- m M_r + (1 - m) f,  then scaled to unit length
    """
    memory = memory.clone()
    order = torch.argsort(rows, stable=True)
    _, counts = torch.unique_consecutive(rows[order], return_counts=True)
    first = torch.repeat_interleave(counts.cumsum(0) - counts, counts)
    turn = torch.arange(len(rows), device=rows.device) - first  # the how manieth of its row
    for number in range(int(counts.max())):
        some = order[turn == number]
        towards = momentum * memory[rows[some]] + (1 - momentum) * features[some].to(memory.dtype)
        memory[rows[some]] = unit(towards)
    return memory
