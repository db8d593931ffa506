"""A training set of noise pictures with as many identities, pictures and cameras as the real one."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from resight.data import DATASETS, Dataset, canonical_name
from resight.data.loading.base import prefetch
from resight.types import Interpolation, Sample

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from resight.data.loading.base import Unreadable

ATTRIBUTES = {"first": 2, "second": 2, "third": 4}  # for recipes that learn attributes: name -> values
BANK = 256  # different pictures there really are; a training set takes up the memory it would, a bank does not


def made_up(name: str, *, attributes: bool = False) -> Dataset:
    """The size of the training set called `name`, of Market-1501 for one whose size is not published."""
    ids, images, cameras = np.array([_size(part) for part in name.split("+")]).sum(axis=0).tolist()
    samples = (
        Sample(
            path=Path(f"made-up/{i:06d}.jpg"),
            pid=i % ids,
            camid=1 + i // ids % cameras,
            split="train",
            dataset=name,
            attributes={key: i % values for key, values in ATTRIBUTES.items()} if attributes else {},
        )
        for i in range(images)
    )
    return Dataset(name, "made up", Path("made-up"), train=tuple(samples), terms="nobody's")


def _size(name: str) -> tuple[int, int, int]:
    counts = (DATASETS[canonical_name(name)].counts or DATASETS["market1501"].counts)["train"]
    return counts.ids, counts.images, counts.num_cameras


@dataclass
class MadeUpPixels:
    """Uint8 noise for some samples (see `resight.data.loading.base.Pixels`): row i is picture i modulo BANK."""

    samples: tuple[Sample, ...]
    size: tuple[int, int]
    unreadable: tuple[Unreadable, ...] = ()
    interpolation: Interpolation = "bilinear"
    bank: Tensor = field(init=False)  # (BANK, H, W, 3)

    def __post_init__(self) -> None:
        draws = torch.Generator().manual_seed(0)
        self.bank = torch.randint(0, 256, (BANK, *self.size, 3), dtype=torch.uint8, generator=draws)

    def __len__(self) -> int:
        return len(self.samples)

    def take(self, index: NDArray[np.int64]) -> Tensor:
        """Rows (B,) -> RGB (B, 3, H, W) uint8, channels last in memory."""
        return self.bank[torch.from_numpy(index % BANK)].permute(0, 3, 1, 2)

    def batches(self, indices: Iterable[NDArray[np.int64]]) -> Iterator[Tensor]:
        """`take` of each index in turn."""
        return prefetch(self.take, indices)
