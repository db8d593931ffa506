"""SpCL's hybrid memory.  Ge et al., NeurIPS 2020.  docs/methods/unsupervised.md"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from resight.dist import gather_labels
from resight.errors import UsageError
from resight.losses.distances import unit
from resight.losses.pseudo_labels import PseudoLabelLoss, moved
from resight.losses.seeding import generator
from resight.precision import full_precision, lift


class HybridMemory(PseudoLabelLoss):
    """Clusters and single pictures as classes of one softmax, over a memory of every picture (section 3.1).

        L = - log exp(<f, z_y> / tau) / sum over k of exp(<f, z_k> / tau)              (eq. 1, target domain)
        z_k: mean of the memory's vectors of class k, a cluster or one picture
        v_i <- m v_i + (1 - m) f_i,  then of unit length                               (eq. 4)

    A picture that clustering left out is a class of its own: nothing is wasted, and no cluster has to take it in.
    That is `labels.outliers = "own"`; where outliers are left out they are no classes either.

    momentum     m
    temperature  tau

    The memory is filled when training begins and moves with the batches from then on; `begin` changes who belongs
    together.  Without `begin` there is one picture for each of `num_ids` given labels, in random directions, and
    without the pictures' index nothing moves.
    """

    kept = ("memory", "labels", "filled")
    memory: Tensor  # (N, dim) unit rows, one a picture
    labels: Tensor  # (N,) class of each, below 0 for none
    filled: Tensor  # () bool: whether the memory holds pictures, no random directions any more

    def __init__(self, dim: int, num_ids: int, momentum: float = 0.2, temperature: float = 0.05, seed: int = 0) -> None:
        super().__init__()
        if not 0 <= momentum <= 1 or temperature <= 0:
            raise UsageError(
                f"momentum is {momentum} and temperature {temperature}; expected a share from 0 to 1 and a number "
                f"above 0."
            )
        self.momentum, self.temperature = momentum, temperature
        drawn = torch.randn(num_ids, dim, generator=generator("hybrid_memory", seed))
        self.register_buffer("memory", unit(drawn), persistent=False)
        self.register_buffer("labels", torch.arange(num_ids), persistent=False)
        self.register_buffer("filled", torch.tensor(False), persistent=False)

    def begin(self, features: Tensor, labels: Tensor, camids: Tensor) -> None:  # noqa: ARG002 - cameras do not matter
        """Set new classes; fill the memory the first time."""
        if not self.filled or len(self.memory) != len(labels):
            self.keep(memory=unit(features), filled=torch.tensor(True))
        self.keep(labels=labels)

    def set_extra_state(self, state: dict[str, Tensor]) -> None:
        super().set_extra_state({"filled": torch.tensor(True)} | state)  # earlier versions did not say

    def forward(self, features: Tensor, pids: Tensor, index: Tensor | None = None) -> Tensor:
        with full_precision(features):
            query = unit(lift(features))
            value = F.cross_entropy(query @ self.classes().to(query.dtype).T / self.temperature, pids)
            if self.training and index is not None:
                with torch.no_grad():
                    rows, everyone = gather_labels(index), gather_labels(query)
                    self.memory = moved(self.memory, rows, everyone, self.momentum)
        return value

    def classes(self) -> Tensor:
        """z: (K, dim) means of the memory's vectors by class, shorter than 1 where a class is spread out."""
        known = self.labels >= 0
        labels = self.labels[known]
        count = int(labels.max()) + 1
        total = self.memory.new_zeros(count, self.memory.shape[1]).index_add_(0, labels, self.memory[known])
        return total / torch.bincount(labels, minlength=count).clamp_min(1)[:, None]
