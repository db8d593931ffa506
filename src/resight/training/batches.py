"""Batch sources by name, each an endless stream with a position of its own."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from resight.data import PKSampler, RandomSampler
from resight.data.transfer import to_device
from resight.dist import rank, world_size
from resight.errors import RecipeError
from resight.training.timing import phase
from resight.types import Batch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from resight.data import Augmenter, Pixels

LABELS = "labels of the pictures"  # in a saved state, beside the names of the sources


@dataclass(frozen=True)
class SourceConfig:
    """How one stream draws: `pk` = `ids` identities x `images` pictures each, `random` = `batch_size` pictures."""

    sampler: Literal["pk", "random"] = "pk"
    ids: int = 16
    images: int = 4
    batch_size: int = 64  # of a random source
    short_id: Literal["repeat", "skip"] = "repeat"  # identities with fewer than `images` pictures
    visits: Literal["all", "once"] = "all"  # a pass shows all pictures of an identity, or `images` of them
    balance_cameras: bool = False

    @property
    def size(self) -> int:
        return self.ids * self.images if self.sampler == "pk" else self.batch_size

    @property
    def step(self) -> int:
        """Rows of a batch that stay together: the pictures of an identity."""
        return self.images if self.sampler == "pk" else 1

    def half(self) -> SourceConfig:
        """The same with batches of half the size, shared by all processes."""
        world = world_size()
        ids, size = (max(count // 2 // world * world, world) for count in (self.ids, self.batch_size))
        return replace(self, ids=ids, batch_size=size)

    def fitting(self, ids: int, pictures: int) -> SourceConfig:
        """The same with batches no larger than so many identities and pictures allow, shared by all processes."""
        world = world_size()
        most_ids, most = max(ids // world * world, world), max(pictures // world * world, world)
        return replace(self, ids=min(self.ids, most_ids), batch_size=min(self.batch_size, most))


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


@dataclass(frozen=True)
class Labels:
    """Labels of the training set, row by row.  All (N,)."""

    pids: Tensor  # dense, 0..K-1; below 0 where unknown
    camids: Tensor
    attributes: Mapping[str, Tensor]

    @property
    def known(self) -> Tensor:
        """Rows (N,) whose person was given."""
        return self.pids >= 0


class Feed:
    """`next(name, step)` gives the next batch of source `name`, augmented on the device.

    The pictures' changes are drawn from (seed, step), so a run that is resumed sees what it would have seen.  With
    several processes each gets its block of the batch that one process would have been given.

    views: how often a batch holds each picture, changed in another way each time: images (views * B, 3, H, W).
    """

    def __init__(
        self,
        pixels: Pixels,
        labels: Labels,
        sources: Mapping[str, SourceConfig],
        augment: Augmenter,
        *,
        seed: int,
        device: torch.device,
        views: int = 1,
    ) -> None:
        self.views = views
        self.pixels, self.labels, self.augment = pixels, labels, augment
        self.kept = labels.known  # of pictures whose person stays known while the others' are found
        self.seed, self.device = seed, device
        self.relabeled = False
        self.sources = sources
        given = bool(labels.known.all())  # else `relabel` gives the identities, before the first batch
        self.samplers: dict[str, Sampler] = {
            name: _sampler(name, config, labels.pids, labels.camids, seed) for name, config in sources.items() if given
        }
        self.batch_size = max(config.size for config in sources.values()) // world_size()  # of this process
        self.place = {name: [0, 0] for name in sources}  # pass, batch within the pass
        self._passes: dict[str, tuple[int, Sequence[NDArray[np.int64]]]] = {}
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="resight-feed")
        self._ahead: dict[tuple[str, int, int], Future[Tensor]] = {}

    def next(self, name: str, step: int) -> Batch:
        """The batch for `step`; the pixels of the one after it are fetched meanwhile."""
        index = self._index(name)
        ready = self._ahead.pop(self._spot(name), None)
        images = ready.result() if ready else self._fetch(index)
        self._advance(name)
        self._ahead[self._spot(name)] = self._pool.submit(self._fetch, self._index(name))
        rows = torch.from_numpy(index)
        generator = torch.Generator().manual_seed(mix(self.seed, step, 0))  # the same on every rank
        with phase("augmentation"):
            views = [self.augment(images, generator) for _ in range(self.views)]
        return Batch(
            images=views[0] if self.views == 1 else torch.cat(views),
            pids=to_device(self.labels.pids[rows], self.device),
            camids=to_device(self.labels.camids[rows], self.device),
            index=to_device(rows, self.device),
            attributes={key: to_device(values[rows], self.device) for key, values in self.labels.attributes.items()},
        )

    def _fetch(self, index: NDArray[np.int64]) -> Tensor:
        return to_device(self.pixels.take(index), self.device)

    def relabel(self, pids: Tensor) -> None:
        """Other identities (N,), below 0 for pictures to leave out; every source begins a new pass.

        A batch has fewer identities where there are fewer.  Where some pictures' persons were given from the
        beginning, they are half of every batch.
        """
        self._take_labels(pids)
        self.place = {name: [number + 1, 0] for name, (number, _) in self.place.items()}

    def _take_labels(self, pids: Tensor) -> None:
        self.labels = replace(self.labels, pids=pids)
        self.relabeled = True
        groups = [rows for rows in (~self.kept & (pids >= 0), self.kept) if rows.any()]
        for name, config in self.sources.items():
            share = config.half() if len(groups) == 2 else config
            for rows in groups:
                share = share.fitting(len(set(pids[rows].tolist())), int(rows.sum()))
            parts = [self._part(name, share, pids, rows) for rows in groups]
            self.samplers[name] = parts[0] if len(parts) == 1 else Halves(parts[0], parts[1], share.step)
        self._passes.clear()
        self._ahead.clear()

    def _part(self, name: str, config: SourceConfig, pids: Tensor, rows: Tensor) -> RowsOf:
        """A sampler over the rows of a mask (N,)."""
        where = torch.nonzero(rows)[:, 0]
        return RowsOf(_sampler(name, config, pids[where], self.labels.camids[where], self.seed), where.numpy())

    def state_dict(self) -> dict[str, Any]:
        state: dict[str, Any] = {name: list(place) for name, place in self.place.items()}
        return state | {LABELS: self.labels.pids} if self.relabeled else state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._ahead.clear()
        self.place = {name: list(state[name]) for name in self.place}
        if LABELS in state:
            self._take_labels(state[LABELS])

    def _spot(self, name: str) -> tuple[str, int, int]:
        number, position = self.place[name]
        return name, number, position

    def _index(self, name: str) -> NDArray[np.int64]:
        number, position = self.place[name]
        return self._pass(name, number)[position]

    def _advance(self, name: str) -> None:
        number, position = self.place[name]
        last = position + 1 == len(self._pass(name, number))
        self.place[name] = [number + 1, 0] if last else [number, position + 1]

    def _pass(self, name: str, number: int) -> Sequence[NDArray[np.int64]]:
        held = self._passes.get(name)
        if held is None or held[0] != number:
            batches = self.samplers[name].epoch(number)
            if not batches:
                raise RecipeError(
                    f"feed.{name}: the training set is too small for a single batch. Use fewer ids or images a batch."
                )
            held = self._passes[name] = (number, batches)
        return held[1]


def check_processes(sources: Mapping[str, SourceConfig]) -> None:
    """Raises RecipeError where a batch cannot be dealt out to the processes of the run."""
    for name, config in sources.items():
        key, size = ("ids", config.ids) if config.sampler == "pk" else ("batch_size", config.batch_size)
        if size % world_size():
            raise RecipeError(
                f"feed.{name}.{key} is {size}, which {world_size()} processes cannot share. Choose a multiple of "
                f"{world_size()}, or start another number of processes."
            )


def mix(*numbers: int) -> int:
    """One 63-bit seed out of several numbers, well spread."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _sampler(
    name: str,
    config: SourceConfig,
    labels: Tensor,
    cameras: Tensor,
    seed: int,
) -> Sampler:
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
