"""Mutual mean-teaching.  Ge, Chen, Li, ICLR 2020.  docs/methods/unsupervised.md

Two networks see the same pictures, each changed in a way of its own.  E_1 and E_2 are the averages of their weights
over training.  Beside the clusters' labels, hard and partly wrong, each network learns what the other's average says.

    L = (1 - l_id)  (L_id1 + L_id2)    +  l_id  (L_sid1 + L_sid2)
      + (1 - l_tri) (L_tri1 + L_tri2)  +  l_tri (L_stri1 + L_stri2)                       (eq. 9)

The first line is `MutualIdentity`, the second `MutualTriplet`.  Both take features (4 B, D): the rows of network 1,
of network 2, of E_1 and of E_2, for the same B pictures in the same order.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Unpack

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resight.errors import UsageError
from resight.losses.base import MetricOptions, Part, Relations
from resight.losses.distances import unit
from resight.losses.pseudo_labels import PseudoLabelLoss, centroids
from resight.losses.seeding import generator
from resight.losses.triplet import BatchHard, Hardest
from resight.precision import full_precision, lift


class MutualIdentity(PseudoLabelLoss):
    """Classification over clusters by both networks, and by each of what the other's average finds.

        L_id  = - log p(y | x),  y the cluster, a share `label_smoothing` of it over all clusters   (eq. 2)
        L_sid = - sum over k of p(k | x', E_other) log p(k | x)                                     (eq. 6)
        p = softmax(C F),  without a bias

    F is the feature after the neck.  The classifiers C_1 and C_2 belong to the loss; they begin each clustering as the
    clusters' unit means, and `follow` moves their averages, which classify the features of E_1 and E_2.

    soft             l_id
    label_smoothing  of L_id
    """

    networks: ClassVar[Literal[1, 2]] = 2
    kept = ("average",)
    average: Tensor  # (2, K, dim) of the classifiers

    def __init__(
        self, dim: int, num_ids: int, soft: float = 0.5, label_smoothing: float = 0.1, seed: int = 0
    ) -> None:  # fmt: skip
        super().__init__()
        if not 0 <= soft <= 1 or not 0 <= label_smoothing < 1:
            raise UsageError(
                f"soft is {soft} and label_smoothing {label_smoothing}; expected a share from 0 to 1, and one below 1."
            )
        self.soft, self.label_smoothing = soft, label_smoothing
        drawn = unit(torch.randn(num_ids, dim, generator=generator("mutual_identity", seed))).repeat(2, 1, 1)
        self.classifiers = nn.Parameter(drawn.clone())  # (2, K, dim)
        self.register_buffer("average", drawn.clone(), persistent=False)

    def begin(self, features: Tensor, labels: Tensor, camids: Tensor) -> None:  # noqa: ARG002 - cameras do not matter
        """Classifiers of as many clusters, each row a cluster's unit mean."""
        means = centroids(features, labels, int(labels.max()) + 1).repeat(2, 1, 1)
        self.resize(means)
        self.keep(average=means)

    def resize(self, values: Tensor) -> None:
        """Other classifiers, of any number of rows; the parameter stays the optimizer's."""
        self.classifiers.grad = None
        self.classifiers.data = values.detach().to(self.classifiers.device, self.classifiers.dtype, copy=True)

    @torch.no_grad()
    def follow(self, decay: float) -> None:
        """The classifiers have moved: average <- decay * average + (1 - decay) * classifiers."""
        self.average.lerp_(self.classifiers, 1.0 - decay)

    def forward(self, features: Tensor, pids: Tensor, index: Tensor | None = None) -> Tensor:  # noqa: ARG002
        with full_precision(features):
            rows = lift(features).reshape(2, 2, len(pids), -1)  # networks or averages, first or second, B, D
            scores = rows[0] @ self.classifiers.to(rows.dtype).mT  # (2, B, K)
            says = (rows[1].detach() @ self.average.to(rows.dtype).mT).softmax(dim=2).flip(0)  # of the other one
            hard = torch.stack([F.cross_entropy(s, pids, label_smoothing=self.label_smoothing) for s in scores]).sum()
            soft = -(says * scores.log_softmax(dim=2)).sum(dim=2).mean(dim=1).sum()
            return (1 - self.soft) * hard + self.soft * soft

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        if prefix + "classifiers" in state_dict:  # of another clustering, and another number of clusters
            self.resize(state_dict[prefix + "classifiers"])
        super()._load_from_state_dict(state_dict, prefix, *rest)


class MutualTriplet(BatchHard):
    """Softmax-triplet loss of both networks on their hardest triplets, and of each on what the other's average finds.

        T(x | F) = exp(|F(x) - F(n)|) / (exp(|F(x) - F(p)|) + exp(|F(x) - F(n)|))                   (eq. 7)
        L_tri  = - log T(x | F)
        L_stri = - T' log T(x | F) - (1 - T') log(1 - T(x | F)),   T' = T(x | E_other)              (eq. 8)

    p and n are the farthest positive and the nearest negative of x to the network that learns; T' is of the same two.

    soft  l_tri
    """

    networks: ClassVar[Literal[1, 2]] = 2

    def __init__(self, soft: float = 0.8, **common: Unpack[MetricOptions]) -> None:
        super().__init__(**common)
        if not 0 <= soft <= 1:
            raise UsageError(f"soft is {soft}; expected a share from 0 to 1.")
        self.soft = soft

    def compare(self, features: Tensor, who: Relations) -> list[Part]:
        learning, teaching = features.reshape(2, 2, len(who.pids), -1)
        values = [self.judged(learning[number], teaching[1 - number].detach(), who) for number in range(2)]
        return [Part(value, who.valid) for value in values]

    def judged(self, features: Tensor, teacher: Tensor, who: Relations) -> Tensor:
        """The value of each local anchor (b,) of one network."""
        everyone = who.references(features)
        found = self.find(features, everyone, who)
        gap = _gap(self.measure(features, everyone, *found))  # logit of T
        target = _gap(self.measure(teacher, who.references(teacher), *found)).sigmoid()
        hard = F.softplus(-gap)
        return (1 - self.soft) * hard + self.soft * (target * hard + (1 - target) * F.softplus(gap))


def _gap(distances: Hardest) -> Tensor:
    return distances.negative - distances.positive
