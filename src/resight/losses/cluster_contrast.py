"""Cluster Contrast.  Dai et al., ACCV 2022.  docs/methods/unsupervised.md"""

from __future__ import annotations

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from resight.dist import gather_labels
from resight.errors import UsageError
from resight.losses.distances import unit
from resight.losses.pseudo_labels import PseudoLabelLoss, centroids, moved
from resight.losses.seeding import generator
from resight.precision import full_precision, lift

Update = Literal["all", "hardest"]


class ClusterContrast(PseudoLabelLoss):
    """One vector a cluster, kept up to date by the batch's own features (section 3.2).

        L = - log exp(q . phi_y / tau) / sum over k of exp(q . phi_k / tau)            (eq. 3)
        phi_y <- m phi_y + (1 - m) q,   q all of the batch's rows of cluster y in turn   (eq. 4)

    Features and phi are of unit length.  All members of a cluster are compared with one vector that moves at one
    speed, where a memory of single pictures mixes features of different ages.

    momentum     m of the update; small, so that a cluster soon looks like its last batch
    temperature  tau
    update       all: every row in turn (the paper); hardest: the row least like phi alone (the authors' second version)

    Clusters are those of `begin`.  Until then there are `num_ids` of them, as for given labels, in random directions.
    """

    kept = ("memory",)
    memory: Tensor  # (K, dim) unit rows

    def __init__(
        self,
        dim: int,
        num_ids: int,
        momentum: float = 0.1,
        temperature: float = 0.05,
        update: Update = "all",
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not 0 <= momentum <= 1 or temperature <= 0 or update not in get_args(Update):
            raise UsageError(
                f"momentum is {momentum}, temperature {temperature} and update {update!r}; expected a share from 0 to "
                f"1, a number above 0, and all or hardest."
            )
        self.momentum, self.temperature, self.update = momentum, temperature, update
        drawn = torch.randn(num_ids, dim, generator=generator("cluster_contrast", seed))
        self.register_buffer("memory", unit(drawn), persistent=False)

    def begin(self, features: Tensor, labels: Tensor, camids: Tensor) -> None:  # noqa: ARG002 - cameras do not matter
        """Centroids of the clusters."""
        self.keep(memory=centroids(features, labels, int(labels.max()) + 1))

    def forward(self, features: Tensor, pids: Tensor, index: Tensor | None = None) -> Tensor:  # noqa: ARG002
        with full_precision(features):
            query = unit(lift(features))
            logits = query @ self.memory.to(query.dtype).T / self.temperature  # (B, K)
            value = F.cross_entropy(logits, pids)
            if self.training:
                self.remember(query, pids)
        return value

    @torch.no_grad()
    def remember(self, query: Tensor, pids: Tensor) -> None:
        """Update the clusters of the rows of all ranks."""
        query, pids = gather_labels(query), gather_labels(pids)
        if self.update == "hardest":
            alike = (query * self.memory.to(query.dtype)[pids]).sum(dim=1)
            rows = hardest(alike, pids)
            query, pids = query[rows], pids[rows]
        self.memory = moved(self.memory, pids, query, self.momentum)


def hardest(alike: Tensor, pids: Tensor) -> Tensor:
    """The row of lowest likeness of each label, the first of equals, in the order of the labels."""
    order = torch.argsort(alike, stable=True)
    order = order[torch.argsort(pids[order], stable=True)]
    labels = pids[order]
    first = torch.ones_like(labels, dtype=torch.bool)
    first[1:] = labels[1:] != labels[:-1]
    return order[first]
