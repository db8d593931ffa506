"""Samplers of batches: at random, or P persons with K pictures each.

`epoch(e)` gives the rows of every batch of that epoch, the same for equal (seed, epoch) and for every rank
the same global batches, of which a rank takes its part: a run can be resumed at any batch by skipping what
was done.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from resight.errors import DatasetError, UsageError
from resight.types import UNKNOWN_CAMERA

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Rows = NDArray[np.int64]


class RandomSampler:
    """Random batches: one shuffle per epoch, cut into batches; the tail that fills no batch is dropped.

    Args:
        n: number of pictures.
        batch_size: pictures in a batch over all ranks, in W blocks, of which rank r takes the r-th: what the ranks
            gather is the batch one process would have drawn, row by row.
        seed: of the shuffles.
        rank: of this process.
        world: number of processes W.

    Raises:
        DatasetError: there are fewer pictures than a batch holds.
    """

    def __init__(self, n: int, batch_size: int, *, seed: int = 0, rank: int = 0, world: int = 1) -> None:
        _check_ranks(rank, world, batch_size, "batch_size")
        if n < batch_size:
            raise DatasetError(f"a batch of {batch_size} cannot be drawn from {n} pictures. Lower the batch size.")
        self.n, self.batch_size, self.seed, self.rank, self.world = n, batch_size, seed, rank, world

    def __len__(self) -> int:
        """Batches in every epoch."""
        return self.n // self.batch_size

    def length(self, epoch: int) -> int:  # noqa: ARG002 - the same in every epoch
        """Batches in this epoch."""
        return len(self)

    def epoch(self, epoch: int) -> list[Rows]:
        """Rows of each batch of this rank: len(self) arrays of batch_size / world."""
        order = np.random.default_rng((self.seed, epoch)).permutation(self.n).astype(np.int64)
        cut = order[: len(self) * self.batch_size].reshape(len(self), self.batch_size)
        return [block.copy() for block in cut.reshape(len(self), self.world, -1)[:, self.rank]]


class PKSampler:
    """PK batches: P persons with K pictures each, no person twice in a batch.

    A person with n >= K pictures gives floor(n / K) groups of K from a shuffle; the rest is left out of this epoch.  A
    person with fewer gives every picture once and is filled up with whole random permutations, so that each appears
    floor(K / n) or ceil(K / n) times.  Batches draw P of the persons that have groups left; the epoch ends when fewer
    than P have.

    Args:
        pids: (N,) persons of the training rows.
        p: persons in a batch over all ranks; rank r of W takes persons r P / W up to (r + 1) P / W, with all their
            pictures, so that positives are local.
        k: pictures of each, at least 2: with one there is no positive pair.
        seed: of the draws.
        rank: of this process.
        world: number of processes W.
        camids: (N,), needed for cam_balanced.
        cam_balanced: spread the K pictures over as many cameras as the person allows.
        short_id: "skip" never uses persons with fewer than K pictures (Pyramid, CVPR 2019).
        visits: "once" gives a person one group per epoch, K of their pictures drawn anew (Mancs, ECCV 2018, as
            released).
    """

    def __init__(
        self,
        pids: Sequence[int] | Rows,
        p: int,
        k: int,
        *,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
        short_id: Literal["repeat", "skip"] = "repeat",
        visits: Literal["all", "once"] = "all",
        camids: Sequence[int] | Rows | None = None,
        cam_balanced: bool = False,
    ) -> None:
        _check_ranks(rank, world, p, "p")
        if k < 2:
            raise UsageError(f"k is {k}: a metric loss needs at least 2 pictures of a person. Use random batches else.")
        if short_id not in ("repeat", "skip"):
            raise UsageError(f"short_id={short_id!r}: choose repeat or skip.")
        if visits not in ("all", "once"):
            raise UsageError(f"visits={visits!r}: choose all or once.")
        if cam_balanced and camids is None:
            raise UsageError("cam_balanced needs the cameras: pass camids.")
        self.p, self.k, self.seed, self.rank, self.world = p, k, seed, rank, world
        self.groups_of_each = 1 if visits == "once" else None
        self.camids = np.asarray(camids, np.int64) if cam_balanced else None
        pids = np.asarray(pids, np.int64)
        rows = _rows_of(pids)
        self.people = [mine for mine in rows if len(mine) >= (k if short_id == "skip" else 1)]
        if p > len(self.people):
            why = f" with at least {k} pictures" if short_id == "skip" else ""
            raise DatasetError(f"p is {p}, and there are {len(self.people)} persons{why}. Lower p or k.")

    def __len__(self) -> int:
        """Batches in epoch 0, exactly; another epoch may draw a few more or fewer, see `length`."""
        return self.length(0)

    def length(self, epoch: int) -> int:
        """Batches in this epoch, exactly."""
        return len(self._draw(epoch)[1])

    def epoch(self, epoch: int) -> list[Rows]:
        """Rows of each batch of this rank: arrays of P * K / world, person by person."""
        groups, batches = self._draw(epoch)
        mine = slice(self.rank * self.p // self.world, (self.rank + 1) * self.p // self.world)
        return [np.concatenate([groups[person][turn] for person, turn in batch[mine]]) for batch in batches]

    def _draw(self, epoch: int) -> tuple[list[list[Rows]], list[list[tuple[int, int]]]]:
        """The groups of every person, and for each batch which group of which person."""
        generator = np.random.default_rng((self.seed, epoch))
        groups = [self._groups(mine, generator)[: self.groups_of_each] for mine in self.people]
        used = np.zeros(len(groups), np.int64)
        left = np.arange(len(groups))  # persons with groups left, those that run out swapped to the end
        alive, batches = len(groups), []
        while alive >= self.p:
            places = generator.choice(alive, self.p, replace=False)
            people = left[places]
            batches.append([(int(person), int(used[person])) for person in people])
            used[people] += 1
            for place in sorted(places.tolist(), reverse=True):
                if used[left[place]] == len(groups[left[place]]):
                    alive -= 1
                    left[[place, alive]] = left[[alive, place]]
        return groups, batches

    def _groups(self, mine: Rows, generator: np.random.Generator) -> list[Rows]:
        order = self._order(mine, generator)
        number = len(order) // self.k
        if number == 0:
            fill = [order]
            while sum(map(len, fill)) < self.k:
                fill.append(self._order(mine, generator))
            return [np.concatenate(fill)[: self.k]]
        order = order[: number * self.k]
        if self.camids is None:
            return list(order.reshape(number, self.k))
        # dealt like cards, camera by camera, so that each group gets its share of every camera
        dealt = order[np.argsort(self._known(order), kind="stable")]
        return [dealt[group::number] for group in range(number)]

    def _order(self, mine: Rows, generator: np.random.Generator) -> Rows:
        """A random permutation; with cam_balanced the cameras take turns in it."""
        shuffled = generator.permutation(mine)
        if self.camids is None:
            return shuffled
        turn: dict[int, int] = defaultdict(int)
        turns = []
        for camid in self._known(shuffled):
            turns.append(turn[int(camid)])
            turn[int(camid)] += 1
        return shuffled[np.argsort(turns, kind="stable")]

    def _known(self, rows: Rows) -> Rows:
        """Cameras of rows, each unknown one a camera of its own."""
        assert self.camids is not None
        camids = self.camids[rows]
        return np.where(camids == UNKNOWN_CAMERA, -2 - rows, camids)


def _rows_of(pids: Rows) -> Iterable[Rows]:
    order = np.argsort(pids, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(pids[order])) + 1)


def _check_ranks(rank: int, world: int, size: int, name: str) -> None:
    if not 0 <= rank < world:
        raise UsageError(f"rank is {rank}, expected 0 to {world - 1}.")
    if size < 1 or size % world:
        raise UsageError(f"{name} is {size}, which {world} processes cannot share. Choose a multiple of {world}.")
