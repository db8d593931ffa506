"""Base classes of losses: `Loss`, and `MetricLoss` for losses over distances inside a batch.

A loss is a module: tensors in, a scalar out.  `takes` names its input; `forward` has no memory
beyond buffers and parameters, and a loss with a schedule gets step and epoch through `set_clock`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Literal, NamedTuple, Protocol, TypedDict, runtime_checkable

import torch
from torch import Tensor, nn

from resight.dist import gather, gather_labels, mean_over_ranks, own_rows, sum_over_ranks, world_size
from resight.errors import UsageError
from resight.losses.distances import DISTANCES, known_distance, unit
from resight.precision import full_precision, lift

Takes = Literal["features", "logits", "maps", "pair"]
Distance = Literal["euclidean", "cosine", "squared"]
Reduction = Literal["mean", "sum", "none", "mean_nonzero"]
Margin = float | Literal["soft"]

REDUCTIONS = ("mean", "sum", "none", "mean_nonzero")


@runtime_checkable
class Clocked(Protocol):
    """A loss with a schedule: `set_clock` gives it the step and the epoch (both from 0) before each forward pass."""

    def set_clock(self, step: int, epoch: float) -> None: ...


@runtime_checkable
class InPieces(Protocol):
    """A loss whose parameters are sharded over ranks: their gradients are complete locally and are not averaged."""

    def unshared_parameters(self) -> list[str]: ...
    def whole(self, rows: Tensor) -> Tensor: ...
    def own(self, whole: Tensor) -> Tensor: ...


@runtime_checkable
class Averaging(Protocol):
    """A loss that keeps an average of what it learns: told to follow after each step of the optimizer."""

    def follow(self, decay: float) -> None: ...


class Loss(nn.Module):
    """Base of all losses.

    takes: "features" loss(features (B, D), pids (B,)); "logits" loss(logits (B, K), targets (B,));
    "maps" loss(maps); "pair" loss(a, b).  A constructor with `dim` or `num_ids` takes the width of its input and the
    number of identities: both are known once the model is.
    networks: 2 where it compares two networks and their averages, whose rows come one after the other (4 B, D).
    """

    takes: ClassVar[Takes] = "features"
    networks: ClassVar[Literal[1, 2]] = 1

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={value!r}" for name, value in vars(self).items() if _is_option(name, value))


class MetricOptions(TypedDict, total=False):
    """What every metric loss accepts."""

    distance: Distance
    normalize: bool
    reduction: Reduction
    exclude_same_index: bool


class MetricLoss(Loss):
    """A loss over distances inside the batch: mean over what is valid of a value per anchor, pair or triplet.

    P(a) are the other rows of the same identity, N(a) the rows of another one; an anchor is valid if it has
    both.  The mean is over all valid values, whether or not their hinge is active; a batch without any gives
    0, with a graph and a zero gradient.  Under several processes each rank compares its own anchors with
    the gathered batch, and the averaged gradient is that of one process with the whole batch.

    distance             euclidean, cosine or squared (euclidean)
    normalize            scale features to unit length first
    reduction            "mean"; "sum"; "mean_nonzero" over values above 0; "none" for the local values, 0
                         where not valid (`parts` gives the mask)
    exclude_same_index   ignore pairs that are one picture drawn twice; wants the pictures' index

    Anchors are the batch's rows; what they are compared with are the references: the gathered batch, and `past`,
    rows of earlier batches, where some are given (`CrossBatchMemory`).

    Shapes: features (B, D), pids (B,), index (B,) or None -> ().  Half precision is lifted to float32.
    """

    def __init__(
        self,
        *,
        distance: Distance = "euclidean",
        normalize: bool = False,
        reduction: Reduction = "mean",
        exclude_same_index: bool = False,
    ) -> None:
        super().__init__()
        if reduction not in REDUCTIONS:
            raise UsageError(f"reduction is {reduction!r}; it is one of {', '.join(REDUCTIONS)}.")
        self.distance: Distance = known_distance(distance)  # type: ignore[assignment]
        self.normalize = normalize
        self.reduction: Reduction = reduction
        self.exclude_same_index = exclude_same_index

    def forward(self, features: Tensor, pids: Tensor, index: Tensor | None = None, past: Past | None = None) -> Tensor:
        reduced = [reduce(part, self.reduction) for part in self.parts(features, pids, index, past)]
        if self.reduction == "none":
            return torch.cat(reduced)
        return torch.stack(reduced).sum()

    def parts(
        self, features: Tensor, pids: Tensor, index: Tensor | None = None, past: Past | None = None
    ) -> list[Part]:
        """What is averaged, and which of it counts, for this rank's share; most losses have one part."""
        with full_precision(features):
            features = lift(features)
            if self.normalize:
                features, past = unit(features), past and past._replace(features=unit(past.features))
            return self.compare(features, self.relations(pids, index, past))

    def relations(self, pids: Tensor, index: Tensor | None = None, past: Past | None = None) -> Relations:
        """Positive and negative pairs of the batch.  Raises UsageError for `exclude_same_index` without index."""
        if self.exclude_same_index and index is None:
            raise UsageError(
                "exclude_same_index is set, but no index came with the batch. "
                "Call loss(features, pids, index) with the pictures' rows in the training set."
            )
        return Relations(pids, index, past, exclude_same_index=self.exclude_same_index)

    def distances(self, features: Tensor, who: Relations) -> Tensor:
        """Local rows against all references: (b, D) -> (b, R)."""
        return DISTANCES[self.distance](features, who.references(features))

    @abstractmethod
    def compare(self, features: Tensor, who: Relations) -> list[Part]:
        """The loss: local features (b, D) -> the means it is the sum of."""


class Part(NamedTuple):
    """Values (M,) whose mean is a loss, and which count: bool, or how many terms each value is the sum of.

    above: of sums, how many of those terms are above 0.
    """

    values: Tensor
    valid: Tensor
    above: Tensor | None = None


class Past(NamedTuple):
    """Rows of earlier batches, without gradient: features (M, D), pids (M,), pictures' index (M,), -1 unknown."""

    features: Tensor
    pids: Tensor
    pictures: Tensor


class Relations:
    """Local anchors against the R references, by identity: the gathered batch of B rows, then those of the past.

    positive (b, R): same identity, not the anchor itself; negative (b, R): another identity; valid (b,): the anchor
    has at least one of each; everyone (R,): all identities; batch: B.  Where the pictures' index is known, an
    anchor does not meet its own picture in the past, nor in the batch if exclude_same_index.
    """

    def __init__(
        self,
        pids: Tensor,
        index: Tensor | None = None,
        past: Past | None = None,
        *,
        exclude_same_index: bool = False,
    ) -> None:
        self.pids, self.everyone, self.past = pids, gather_labels(pids), past
        self.batch = len(self.everyone)
        itself = own_rows(pids)
        if exclude_same_index and index is not None:
            itself = itself | (index[:, None] == gather_labels(index)[None, :])
        if past is not None:
            self.everyone = torch.cat([self.everyone, past.pids])
            seen = pids.new_zeros(len(pids), len(past.pids), dtype=torch.bool)
            seen = seen if index is None else index[:, None] == past.pictures[None, :]
            itself = torch.cat([itself, seen], dim=1)
        same = pids[:, None] == self.everyone[None, :]
        self.positive, self.negative = same & ~itself, ~same & ~itself
        self.valid = self.positive.any(dim=1) & self.negative.any(dim=1)

    def references(self, features: Tensor) -> Tensor:
        """Features of all ranks, with gradient, and of earlier batches: (b, D) -> (R, D)."""
        everyone = gather(features)
        return everyone if self.past is None else torch.cat([everyone, self.past.features.to(everyone.dtype)])


def reduce(part: Part, reduction: Reduction) -> Tensor:
    """Values that count to one number; exact under the averaging of data-parallel training."""
    values, valid = part.values.masked_fill(part.valid == 0, 0), part.valid
    if reduction == "none":
        return values / valid.clamp_min(1) if valid.dtype != torch.bool else values
    if reduction == "sum":
        return world_size() * values.sum()
    if reduction == "mean_nonzero":
        valid = valid * (values.detach() > 0) if part.above is None else part.above
    return mean_over_ranks(values, valid)


def valid_anchors(pids: Tensor) -> Tensor:
    """How many anchors of the global batch have a positive and a negative.

    Args:
        pids: (B,) of this process.

    Returns:
        () int64, the same on every process; 0 is worth a metric.
    """
    return sum_over_ranks(Relations(pids).valid.sum())


def hinge(gap: Tensor, margin: Margin) -> Tensor:
    """[gap + margin]_+, or log(1 + e^gap) where the margin is "soft"."""
    return nn.functional.softplus(gap) if margin == "soft" else (gap + margin).relu()


def known_margin(margin: float | str) -> Margin:
    """The margin, if it is a number or "soft".  Raises UsageError."""
    if isinstance(margin, (int, float)):
        return float(margin)
    if margin == "soft":
        return "soft"
    raise UsageError(f"margin is {margin!r}; it is a number or 'soft'.")


def _is_option(name: str, value: object) -> bool:
    return name != "training" and not name.startswith("_") and isinstance(value, (int, float, str, Mapping))


def masked_softmax(scores: Tensor, allowed: Tensor) -> Tensor:
    """Softmax along each row over the allowed entries; a row without any gives zeros and finite gradients."""
    some = allowed.any(dim=1, keepdim=True)
    weights = scores.masked_fill(~allowed & some, -torch.inf).softmax(dim=1)
    return weights.masked_fill(~allowed, 0)


def masked_logsumexp(scores: Tensor, allowed: Tensor) -> Tensor:
    """Log-sum-exp along each row over the allowed entries; a row without any gives 0 and no gradient."""
    some = allowed.any(dim=1)
    total = scores.masked_fill(~allowed & some[:, None], -torch.inf).logsumexp(dim=1)
    return total.masked_fill(~some, 0)
