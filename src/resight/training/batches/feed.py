"""The feed: batch sources by name, each an endless stream with a position of its own."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from resight.data.transfer import to_device
from resight.dist import world_size
from resight.errors import RecipeError
from resight.training.batches.samplers import Halves, RowsOf, Sampler, build_sampler
from resight.training.determinism import mix
from resight.training.monitoring.timing import phase
from resight.types import Batch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from resight.data import Augmenter, Pixels
    from resight.training.batches.sources import SourceConfig

LABELS = "labels of the pictures"  # in a saved state, beside the names of the sources


@dataclass(frozen=True)
class TrainingLabels:
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
        labels: TrainingLabels,
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
            name: build_sampler(name, config, labels.pids, labels.camids, seed)
            for name, config in sources.items()
            if given
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
        return RowsOf(build_sampler(name, config, pids[where], self.labels.camids[where], self.seed), where.numpy())

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
