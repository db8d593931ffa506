"""Attribute losses: cross-entropy of one classifier per attribute (gender, bag, coat color).

L = share * identity + (1 - share) * mean over heads.  The share is a weight of the objective (0.9 is usual,
and ours to choose: Lin et al. 2019 and its versions differ).  A head nobody in the batch is annotated for
is left out of the mean, and annotations that are unknown or ambiguous are IGNORE.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from resight.dist import sum_over_ranks
from resight.errors import UsageError
from resight.losses.base import Loss, Takes
from resight.losses.classification import CrossEntropy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Attribute(CrossEntropy):
    """Cross-entropy of one attribute head, optionally with a weight per value.

    class_weights counters imbalance (of 751 training identities in Market-1501, 20 wear a hat): `balanced`
    makes them from counts.  Rows with a negative label are left out; weights do not change the divisor.

    Shapes: logits (B, A), values (B,) in 0..A-1 or negative -> ().
    """

    def __init__(self, class_weights: Sequence[float] | None = None, label_smoothing: float = 0.0) -> None:
        super().__init__(label_smoothing)
        weights = None if class_weights is None else torch.tensor(class_weights, dtype=torch.float64)
        self.class_weights: Tensor | None
        self.register_buffer("class_weights", weights, persistent=False)

    def each(self, logits: Tensor, pids: Tensor) -> Tensor:
        values = super().each(logits, pids)
        return values if self.class_weights is None else values * self.class_weights.to(values.dtype)[pids]


def balanced(counts: Sequence[int]) -> list[float]:
    """Weights inverse to frequency whose mean over the counted is 1: n / (A n_a).

    Args:
        counts: (A,) examples of each value.

    Returns:
        (A,) weights.

    Raises:
        UsageError: a value was never seen: it would weigh infinitely.
    """
    if not counts or min(counts) < 1:
        raise UsageError(f"attribute counts are {list(counts)}; each value needs at least one example.")
    return [sum(counts) / (len(counts) * count) for count in counts]


class AttributeLoss(Loss):
    """All heads at once, for loops of your own: the weighted mean over heads with annotated rows.

    weights: name -> weight of a head (1).  Logits name -> (B, A), values name -> (B,) -> ().  In a recipe the
    same is the term `loss = "attribute"`, `on = "logits.attribute/*"`, `target = "attributes.*"`.
    """

    takes: ClassVar[Takes] = "logits"

    def __init__(
        self,
        weights: Mapping[str, float] | None = None,
        class_weights: Mapping[str, Sequence[float]] | None = None,
    ) -> None:
        super().__init__()
        self.weights = dict(weights or {})
        self.plain = Attribute()
        weighted = {name: Attribute(w) for name, w in (class_weights or {}).items()}
        self.weighted = nn.ModuleDict({f"of_{name}": head for name, head in weighted.items()})

    def forward(self, logits: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> Tensor:
        missing = sorted(set(logits) - set(values))
        if not logits or missing:
            known = ", ".join(sorted(values)) or "none"
            raise UsageError(f"heads without annotations: {', '.join(missing) or 'none'}; annotated: {known}.")
        total, weight = [], []
        for name in sorted(logits):
            head = self._head(name)
            present = sum_over_ranks((values[name] >= 0).any().to(torch.float32)) > 0
            total.append(self.weights.get(name, 1.0) * head(logits[name], values[name]))
            weight.append(self.weights.get(name, 1.0) * present)
        return torch.stack(total).sum() / torch.stack(weight).sum().clamp_min(1e-12)

    def _head(self, name: str) -> nn.Module:
        key = f"of_{name}"
        return self.weighted[key] if key in self.weighted else self.plain  # noqa: SIM401 - no get here
