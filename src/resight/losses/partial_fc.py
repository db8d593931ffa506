"""Classifier for very many identities: its rows sharded over processes and, on request, sampled (Partial FC).

After the partial fully-connected layer of An et al., CVPR 2022.  Rank r owns floor(C / W) classes, one more
if r < C mod W.  Every rank scores the whole gathered batch against its own classes; a maximum, a sum and
the targets' logits are exchanged, 3 numbers a row, and no rank ever holds B x C scores.

Gradients, under data-parallel averaging: a rank's share of the feature gradient is what its classes say, the
gather sums the shares, and the sum is multiplied by W because the average over ranks will divide by it.  The
weight's gradient is complete where it is, so the weight must not be averaged: leave it out of
DistributedDataParallel (`unshared_parameters` lists it), in an optimiser group of its own.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
import torch.distributed as c10d
import torch.nn.functional as F
from torch import Tensor, nn

from resight.dist import gather, gather_labels, rank, sum_over_ranks, world_size
from resight.errors import UnknownNameError, UsageError
from resight.losses.base import Loss
from resight.losses.distances import unit
from resight.losses.margin_softmax import ArcFace, Circle, CosFace, Cosine
from resight.losses.seeding import generator
from resight.precision import full_precision, lift

HEADS: dict[str, type[Cosine]] = {"cosine": Cosine, "cosface": CosFace, "arcface": ArcFace, "circle": Circle}
INIT_ROWS = 4096  # classes are initialised in blocks, so that any sharding starts from the same weights


def shard(num_ids: int, ranks: int, which: int) -> tuple[int, int]:
    """(first class, number of classes) of rank `which` among `ranks`."""
    each, left = divmod(num_ids, ranks)
    return each * which + min(which, left), each + (which < left)


class ShardedClassifier(Loss):
    """Cosine classifier with a margin, its classes spread over the ranks: mean_i -log softmax(z_i)[y_i].

    head      cosine, cosface, arcface or circle, with their `margin` and `scale`
    rate      1: exact.  Below 1, each rank scores the classes present in the batch that it owns and others
              drawn by (seed, step, rank), up to rate x its classes: other ones for another number of processes
    sparse    gradients of the weight touch only the rows in use, by plain SGD; a recipe's optimiser has to be sgd
              without a limit of the gradient, and gives this weight neither momentum nor decay

    Rows with a negative label are left out.  Equal numbers of rows on all ranks.
    Shapes: features (B, dim), pids (B,) in 0..num_ids-1 -> ().
    """

    weight: nn.Parameter  # (classes of this rank, dim)

    def __init__(
        self,
        num_ids: int,
        dim: int,
        head: Literal["cosine", "cosface", "arcface", "circle"] = "cosface",
        margin: float | None = None,
        scale: float | None = None,
        rate: float = 1.0,
        sparse: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if head not in HEADS:
            raise UnknownNameError("head", head, HEADS)
        if not 0 < rate <= 1:
            raise UsageError(f"rate is {rate}; the share of classes to score lies above 0 and up to 1.")
        if num_ids < world_size():
            raise UsageError(f"{num_ids} classes over {world_size()} processes: some would own none.")
        given = {"margin": margin, "scale": scale}
        options: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        if head == "cosine" and margin is not None:
            raise UsageError(f"margin is {margin}, and the head is cosine, which has none. Leave it out.")
        self.head = HEADS[head](**options)
        self.num_ids, self.dim, self.rate, self.sparse, self.seed = num_ids, dim, rate, sparse, seed
        self.first, self.owned = shard(num_ids, world_size(), rank())
        self.weight = nn.Parameter(_initial_rows(self.first, self.owned, dim, seed))
        self.set_clock(0, 0.0)

    def set_clock(self, step: int, epoch: float) -> None:  # noqa: ARG002
        """Set the step, which seeds the sampled classes."""
        self._step = step

    def sparse_parameters(self) -> list[str]:
        """Names of parameters whose gradient is a sparse tensor."""
        return ["weight"] if self.sparse else []

    def unshared_parameters(self) -> list[str]:
        """Names of parameters whose gradient is complete on this rank and must not be averaged."""
        return ["weight"]

    def forward(self, features: Tensor, pids: Tensor) -> Tensor:
        with full_precision(features):
            everyone = unit(gather(_scaled_gradient(lift(features), world_size())))  # (B, dim)
            column = self.own_columns(gather_labels(pids))  # (B,)
            rows, column = self.sampled(column)
            weight = F.embedding(rows, self.weight, sparse=self.sparse) if len(rows) < self.owned else self.weight
            cosines = everyone @ unit(weight.to(everyone.dtype)).T  # (B, C_r)
            losses = _sharded_cross_entropy(self.head.harden(cosines, column), column)
            known = gather_labels(pids) >= 0
            return losses.masked_fill(~known, 0).sum() / known.sum().clamp_min(1)

    def own_columns(self, pids: Tensor) -> Tensor:
        """Labels as columns of this rank's weight, -1 for those of other ranks: (B,) -> (B,)."""
        column = pids - self.first
        return column.masked_fill((pids < 0) | (column < 0) | (column >= self.owned), -1)

    def sampled(self, column: Tensor) -> tuple[Tensor, Tensor]:
        """The rows of the weight to score, sorted, and the columns renumbered among them."""
        if self.rate >= 1:
            return torch.arange(self.owned, device=column.device), column
        present = torch.unique(column[column >= 0])
        wanted = max(math.ceil(self.rate * self.owned), len(present))
        luck = torch.rand(self.owned, generator=generator(self.seed, self._step, rank())).to(column.device)
        luck[present] = 2.0  # certain
        rows = luck.topk(wanted).indices.sort().values
        place = torch.searchsorted(rows, column.clamp_min(0)).clamp_max(len(rows) - 1)
        return rows, place.masked_fill(column < 0, -1)

    @torch.no_grad()
    def whole(self, rows: Tensor) -> Tensor:
        """Rows of all ranks, of the weight or of an optimizer state beside it: (C_r, dim) -> (C, dim)."""
        longest = math.ceil(self.num_ids / world_size())
        padded = rows.new_zeros(longest, self.dim)
        padded[: self.owned] = rows
        blocks = gather_labels(padded).view(world_size(), longest, self.dim)
        parts = [blocks[r, : shard(self.num_ids, world_size(), r)[1]] for r in range(world_size())]
        return torch.cat(parts)

    def own(self, whole: Tensor) -> Tensor:
        """This rank's rows of all classes': (num_ids, dim) -> (C_r, dim).  Raises UsageError for another shape."""
        if tuple(whole.shape) != (self.num_ids, self.dim):
            raise UsageError(f"a weight of shape {tuple(whole.shape)} was given; {(self.num_ids, self.dim)} is needed.")
        return whole[self.first : self.first + self.owned]


def _initial_rows(first: int, count: int, dim: int, seed: int) -> Tensor:
    """Normal(0, 0.01), each block of classes from its own generator: (count, dim)."""
    rows = torch.empty(count, dim)
    for block in range(first // INIT_ROWS, (first + count - 1) // INIT_ROWS + 1):
        drawn = torch.randn(INIT_ROWS, dim, generator=generator(seed, "classes", block))
        start = block * INIT_ROWS - first  # where the block begins in our rows; negative if before them
        rows[max(start, 0) : start + INIT_ROWS] = drawn[max(-start, 0) : count - start]
    return rows.mul_(0.01)


class _ScaledGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient * ctx.factor, None


def _scaled_gradient(values: Tensor, factor: float) -> Tensor:
    """The values themselves; their gradient times `factor`."""
    scaled: Tensor = _ScaledGradient.apply(values, factor)
    return scaled


class _ShardedCrossEntropy(torch.autograd.Function):
    """-log softmax of each row at its target, columns spread over ranks; backward is softmax - onehot."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, column: Tensor) -> Tensor:
        highest = logits.amax(dim=1)
        if world_size() > 1:
            c10d.all_reduce(highest, c10d.ReduceOp.MAX)
        scores = (logits - highest[:, None]).exp()
        total = sum_over_ranks(scores.sum(dim=1))
        mine = (column >= 0)[:, None]
        place = column.clamp_min(0)[:, None]
        target = sum_over_ranks((logits.gather(1, place) * mine)[:, 0])  # the owner's logit, zeros elsewhere
        ctx.save_for_backward(scores.div_(total[:, None]), place, mine)
        return total.log() + highest - target

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        chances, place, mine = ctx.saved_tensors
        share = chances.scatter_add(1, place, -mine.to(chances.dtype))
        return share * gradient[:, None], None


def _sharded_cross_entropy(logits: Tensor, column: Tensor) -> Tensor:
    """(B, C_r) local logits, (B,) local target column or -1 -> (B,), the same on every rank."""
    losses: Tensor = _ShardedCrossEntropy.apply(logits, column)
    return losses
