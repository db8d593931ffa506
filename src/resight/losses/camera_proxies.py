"""Camera-aware proxies.  Wang et al., AAAI 2021.  docs/methods/unsupervised.md"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from resight.dist import gather_labels
from resight.errors import UsageError
from resight.losses.base import masked_logsumexp
from resight.losses.distances import unit
from resight.losses.pseudo_labels import PseudoLabelLoss, centroids, moved
from resight.losses.seeding import generator
from resight.precision import full_precision, lift


class CameraProxies(PseudoLabelLoss):
    """A cluster seen by c cameras has c proxies: within a camera people are told apart, across cameras pulled together.

        L = L_intra + across * L_inter
        L_intra = - log exp(<f, p_j> / tau) / sum over proxies k of the same camera of exp(<f, p_k> / tau)     (eq. 4)
        L_inter = - mean over p in P of log exp(<f, p> / tau) / sum over P and Q of exp(<f, q> / tau)          (eq. 6)

    j: the picture's own proxy.  P: the proxies of its cluster in other cameras.  Q: the `negatives` proxies of other
    clusters that are most like f.  A picture whose cluster no other camera saw has no L_inter.

    momentum     p <- m p + (1 - m) f
    temperature  tau
    across       weight of L_inter
    negatives    |Q|
    start        epoch from which on L_inter counts

    Clusters are those of `begin`.  Until then, and without the pictures' index, each of `num_ids` given labels has one
    proxy of one camera.
    """

    kept = ("memory", "cluster", "camera", "proxy_of")
    memory: Tensor  # (P, dim) unit rows
    cluster: Tensor  # (P,)
    camera: Tensor  # (P,)
    proxy_of: Tensor  # (N,) proxy of each picture, below 0 where it is left out

    def __init__(
        self,
        dim: int,
        num_ids: int,
        momentum: float = 0.2,
        temperature: float = 0.07,
        across: float = 0.5,
        negatives: int = 50,
        start: float = 5.0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not 0 <= momentum <= 1 or temperature <= 0 or across < 0 or negatives < 1 or start < 0:
            raise UsageError(
                f"momentum is {momentum}, temperature {temperature}, across {across}, negatives {negatives} and start "
                f"{start}; expected a share from 0 to 1, a number above 0, one of at least 0, at least 1, and an epoch."
            )
        self.momentum, self.temperature, self.across = momentum, temperature, across
        self.negatives, self.start = negatives, start
        drawn = torch.randn(num_ids, dim, generator=generator("camera_proxies", seed))
        self.register_buffer("memory", unit(drawn), persistent=False)
        self.register_buffer("cluster", torch.arange(num_ids), persistent=False)
        self.register_buffer("camera", torch.zeros(num_ids, dtype=torch.long), persistent=False)
        self.register_buffer("proxy_of", torch.zeros(0, dtype=torch.long), persistent=False)
        self.set_clock(0, 0.0)

    def set_clock(self, step: int, epoch: float) -> None:  # noqa: ARG002
        self._begun = epoch >= self.start

    def begin(self, features: Tensor, labels: Tensor, camids: Tensor) -> None:
        """Centroids of every cluster in every camera."""
        known = labels >= 0
        pairs, place = torch.unique(torch.stack([labels[known], camids[known]]), dim=1, return_inverse=True)
        proxy_of = torch.full_like(labels, -1)
        proxy_of[known] = place
        means = centroids(features, proxy_of, pairs.shape[1])
        self.keep(memory=means, cluster=pairs[0], camera=pairs[1], proxy_of=proxy_of)

    def forward(self, features: Tensor, pids: Tensor, index: Tensor | None = None) -> Tensor:
        with full_precision(features):
            query = unit(lift(features))
            own = self.proxy_of[index] if index is not None and len(self.proxy_of) else pids  # (B,)
            scores = query @ self.memory.to(query.dtype).T / self.temperature  # (B, P)
            value = self.within(scores, own)
            if self._begun and self.across:
                value = value + self.across * self.between(scores, own)
            if self.training:
                with torch.no_grad():
                    everyone = gather_labels(query)
                    self.memory = moved(self.memory, gather_labels(own), everyone, self.momentum)
        return value

    def within(self, scores: Tensor, own: Tensor) -> Tensor:
        """L_intra."""
        same = self.camera[own][:, None] == self.camera[None, :]
        return F.cross_entropy(scores.masked_fill(~same, -torch.inf), own)

    def between(self, scores: Tensor, own: Tensor) -> Tensor:
        """L_inter, averaged over all pictures; those without another camera count as 0."""
        same = self.cluster[own][:, None] == self.cluster[None, :]
        positive = same.scatter(1, own[:, None], False)
        hard = torch.zeros_like(same)
        most = min(self.negatives, scores.shape[1])
        hard.scatter_(1, scores.detach().masked_fill(same, -torch.inf).topk(most, dim=1).indices, True)
        counted = positive | (hard & ~same)
        normalizer = masked_logsumexp(scores, counted)
        number = positive.sum(dim=1)
        pull = (scores.masked_fill(~positive, 0).sum(dim=1) - number * normalizer) / number.clamp_min(1)
        return -pull.mean()
