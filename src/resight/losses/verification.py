"""Verification loss: two features fused, and a classifier of same or different.

After Zheng et al., A discriminatively learned CNN embedding, 2016.  At test time a pair costs a decision,
which is slow; trained beside an ID loss, the feature itself is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resight.dist import first_row, gather, gather_labels, mean_over_ranks, world_size
from resight.errors import UnknownNameError, UsageError
from resight.losses.base import Loss, Takes
from resight.losses.seeding import generator
from resight.precision import full_precision, lift

if TYPE_CHECKING:
    from collections.abc import Callable

Fusion = Literal["squared", "abs", "product", "concat"]

FUSIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "squared": lambda a, b: (a - b).square(),
    "abs": lambda a, b: (a - b).abs(),
    "product": lambda a, b: a * b,
    "concat": lambda a, b: torch.cat(torch.broadcast_tensors(a, b), dim=-1),  # type: ignore[no-untyped-call]
}


class PairClassifier(nn.Module):
    """z = W v + b with v = fusion(f1, f2): class 0 the same identity, class 1 different.

    All fusions but concat are symmetric in the two.  Shapes: (M, dim), (M, dim) -> (M, 2).
    """

    def __init__(self, dim: int, fusion: Fusion = "squared", seed: int = 0) -> None:
        super().__init__()
        if fusion not in FUSIONS:
            raise UnknownNameError("fusion", fusion, FUSIONS)
        self.fusion = fusion
        width = 2 * dim if fusion == "concat" else dim
        start = torch.randn(2, width, generator=generator(seed, "pairs"))
        self.weight = nn.Parameter(0.01 * start)
        self.bias = nn.Parameter(torch.zeros(2))

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.classify(FUSIONS[self.fusion](a, b))

    def classify(self, fused: Tensor) -> Tensor:
        """(M, width) -> (M, 2)."""
        return F.linear(fused, self.weight.to(fused.dtype), self.bias.to(fused.dtype))


class _OverPairs(Loss):
    """Base of losses over pairs of the batch: all positive ones i < j, and `neg_ratio` times as many negative ones.

    Negative pairs are drawn without replacement by (seed, step) from the global batch: any number of processes draws
    the same.  Without a positive pair the loss is 0.
    """

    drawn_by: ClassVar[int | str]  # the last word of the generator's key

    def __init__(self, neg_ratio: float, seed: int) -> None:
        super().__init__()
        if neg_ratio <= 0:
            raise UsageError(f"neg_ratio is {neg_ratio}; it is above 0.")
        self.neg_ratio, self.seed = neg_ratio, seed
        self.set_clock(0, 0.0)

    def set_clock(self, step: int, epoch: float) -> None:  # noqa: ARG002
        """Set the step, which seeds the drawn pairs."""
        self._step = step

    def pairs(self, pids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The pairs of this step among the global batch, see `draw_pairs`."""
        return draw_pairs(pids, self.neg_ratio, generator(self.seed, self._step, self.drawn_by))

    def own_pairs(self, pids: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Pairs whose first row is here: local row, global row, different (m,) each; and which of all pairs (M,)."""
        one, two, different = self.pairs(gather_labels(pids))
        first = first_row(pids)
        here = (one >= first) & (one < first + len(pids))
        return one[here] - first, two[here], different[here], here


class Verification(_OverPairs):
    """Cross-entropy of same or different over pairs of the batch.

    The classifier belongs to the loss and trains with it; dropout falls on the fused vector.

    Shapes: features (B, dim), pids (B,) -> ().
    """

    drawn_by = "negatives"

    def __init__(
        self,
        dim: int,
        fusion: Fusion = "squared",
        neg_ratio: float = 1.0,
        dropout: float = 0.0,
        seed: int = 0,
    ) -> None:
        super().__init__(neg_ratio, seed)
        if not 0 <= dropout < 1:
            raise UsageError(f"dropout is {dropout}; it lies in [0, 1).")
        self.classifier = PairClassifier(dim, fusion, seed)
        self.dropout = dropout

    def forward(self, features: Tensor, pids: Tensor) -> Tensor:
        with full_precision(features):
            features = lift(features)
            one, two, different, here = self.own_pairs(pids)
            fused = FUSIONS[self.classifier.fusion](features[one], gather(features)[two])
            logits = self.classifier.classify(fused * self._kept(fused, here))
            return mean_over_ranks(F.cross_entropy(logits, different, reduction="none"))

    def _kept(self, fused: Tensor, here: Tensor) -> Tensor:
        if not self.training or self.dropout == 0:
            return torch.ones_like(fused)
        draws = generator(self.seed, self._step, "dropout")
        uniform = torch.rand(len(here), fused.shape[1], generator=draws)  # of the global batch, then this share
        kept = uniform.to(fused.device)[here] >= self.dropout
        return kept.to(fused.dtype) / (1 - self.dropout)


class PairVerification(_OverPairs):
    """The same for a model that scores pairs itself: logistic loss of its log-odds that two are one person.

    Shapes: logits (b, B), log-odds that local row i and row j of the global batch are the same; pids (b,) -> ().
    """

    takes: ClassVar[Takes] = "logits"
    drawn_by = 0

    def __init__(self, neg_ratio: float = 1.0, seed: int = 0) -> None:
        super().__init__(neg_ratio, seed)

    def forward(self, logits: Tensor, pids: Tensor) -> Tensor:
        expected = (len(pids), world_size() * len(pids))
        if logits.shape != expected:
            raise UsageError(
                f"log-odds of all pairs are (b, B), {expected[0]} x {expected[1]}; these are {tuple(logits.shape)}."
            )
        with full_precision(logits):
            one, two, different, _ = self.own_pairs(pids)
            odds = lift(logits)[one, two]
            return mean_over_ranks(F.softplus(torch.where(different == 1, odds, -odds)))


def draw_pairs(pids: Tensor, ratio: float, draws: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """All positive pairs of rows and `ratio` times as many negative ones, without replacement.

    (N,) -> rows (M,), rows (M,), 0 same or 1 different (M,); the first row is the smaller.
    """
    labels = pids.cpu()
    one, two = torch.triu_indices(len(labels), len(labels), offset=1)
    same = labels[one] == labels[two]
    positive, negative = same.nonzero()[:, 0], (~same).nonzero()[:, 0]
    wanted = min(round(ratio * len(positive)), len(negative))
    chosen = torch.cat([positive, negative[torch.randperm(len(negative), generator=draws)[:wanted]]])
    different = (~same[chosen]).long()
    return one[chosen].to(pids.device), two[chosen].to(pids.device), different.to(pids.device)
