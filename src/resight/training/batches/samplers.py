"""Samplers of a batch source: the rows of every batch of a pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from resight.data import PKSampler, RandomSampler
from resight.dist import rank, world_size
from resight.errors import RecipeError
from resight.training.determinism import mix

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from resight.training.batches.sources import SourceConfig


class Sampler(Protocol):
    """All batches of one pass, the same for the same (seed, pass)."""

    def epoch(self, epoch: int) -> list[NDArray[np.int64]]: ...


@dataclass(frozen=True)
class RowsOf:
    """A sampler over some rows (n,) of the training set."""

    sampler: Sampler
    rows: NDArray[np.int64]

    def epoch(self, epoch: int) -> list[NDArray[np.int64]]:
        return [self.rows[batch] for batch in self.sampler.epoch(epoch)]


@dataclass(frozen=True)
class Halves:
    """A sampler of batches whose one half comes from `new`, the other from `kept`, alternating by `step` rows.

    A pass is a pass of `new`; of `kept` as many passes as that takes.  By turns, so that the block of each process is
    the one it would have in the batch of one process.
    """

    new: Sampler
    kept: Sampler
    step: int

    def epoch(self, epoch: int) -> list[NDArray[np.int64]]:
        new = self.new.epoch(epoch)
        kept: list[NDArray[np.int64]] = []
        for turn in range(len(new)):
            if len(kept) >= len(new):
                break
            kept += self.kept.epoch(epoch * len(new) + turn)
        return [
            np.stack([one.reshape(-1, self.step), other.reshape(-1, self.step)], axis=1).reshape(-1)
            for one, other in zip(new, kept, strict=False)
        ]


def build_sampler(name: str, config: SourceConfig, labels: Tensor, cameras: Tensor, seed: int) -> Sampler:
    """The sampler of the source `name`.  Raises RecipeError where it asks for more persons than there are."""
    pids, camids = labels.numpy(), cameras.numpy()
    people = len(np.unique(pids))
    if config.sampler == "pk" and config.ids > people:
        raise RecipeError(
            f"feed.{name}.ids is {config.ids}, but the training set has {people} persons. "
            f"Set it to {people} or fewer, for example with --set feed.{name}.ids={max(people // 2, 2)}."
        )
    own_seed = mix(seed, *name.encode())
    if config.sampler == "random":
        return RandomSampler(len(pids), config.batch_size, seed=own_seed, rank=rank(), world=world_size())
    return PKSampler(
        pids,
        config.ids,
        config.images,
        seed=own_seed,
        rank=rank(),
        world=world_size(),
        short_id=config.short_id,
        visits=config.visits,
        camids=camids,
        cam_balanced=config.balance_cameras,
    )
