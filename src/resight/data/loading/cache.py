"""Pixel cache: a data set of person crops decoded once into one memory-mapped array of uint8.

A cache is two files in the user's cache folder (RESIGHT_CACHE overrides it): KEY.pixels, rows of H * W * 3
bytes padded to eight, and KEY.json, which is written last and so marks the other complete.  The key hashes
the pictures' bytes, their order, the size and the interpolation, so another run, another checkout or another
model of the same input size finds the same cache, and a changed picture never does.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from resight.data.loading.base import Files, Progress, Unreadable, default_workers, log, prefetch
from resight.data.loading.cache_file import FORMAT, CacheBuilder, checksums, open_stored, padded
from resight.data.loading.decode import Pixels8, decode
from resight.files import cache_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from resight.types import Interpolation, Sample


class PixelCache:
    """Pixels of some samples at one size (see `resight.data.loading.base.Pixels`).

    Where the disk has no room the pixels stay in memory and a warning says so.  A row whose pixels no longer have their
    checksum is decoded afresh, and the damaged cache is made anew by the next run.

    Args:
        samples: whose pictures.
        size: (H, W) in pixels they are resized to.
        interpolation: of the resizing.
        folder: of the cache files; default `pixels` in the folder of caches.
        workers: decoding threads; the result does not depend on them.
        progress: called with (done, total) while pictures are decoded.
        in_memory: keep the pixels in memory and write nothing.
        create: False raises FileNotFoundError where there is no such cache yet.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        size: tuple[int, int],
        *,
        interpolation: Interpolation = "bilinear",
        folder: Path | None = None,
        workers: int | None = None,
        progress: Progress | None = None,
        in_memory: bool = False,
        create: bool = True,
    ) -> None:
        self.size = size
        self.interpolation: Interpolation = interpolation
        files = Files([sample.path for sample in samples])
        key = files.key(f"pixels {FORMAT} {size} {interpolation}")
        self.file = (folder or cache_folder() / "pixels") / f"{key}.pixels"
        build = CacheBuilder(files, size, interpolation, workers or default_workers(), progress)
        stored = None if in_memory else open_stored(self.file, size, len(samples))
        if stored is None and not create:
            raise FileNotFoundError(self.file)
        if stored is None and not in_memory:
            stored = build.on_disk(self.file)
        self._stored = stored or build.in_memory()
        self.unreadable = tuple(Unreadable(row, str(samples[row].path), why) for row, why in self._stored.unreadable)
        lost = {row for row, _ in self._stored.unreadable}
        self.samples = tuple(sample for row, sample in enumerate(samples) if row not in lost)
        self._checked = np.zeros(len(self.samples), bool)
        self._mended: dict[int, Pixels8] = {}
        for picture in self.unreadable:
            log.warning("left out: %s", picture.reason)

    def __len__(self) -> int:
        return len(self.samples)

    def take(self, index: NDArray[np.int64]) -> Tensor:
        """Rows (B,) -> RGB (B, 3, H, W) uint8, channels last in memory."""
        import torch

        rows = self._stored.rows[index]  # (B, stride), a copy
        self._check(index, rows)
        height, width = self.size
        pixels = rows[:, : height * width * 3].reshape(len(rows), height, width, 3)
        return torch.from_numpy(pixels).permute(0, 3, 1, 2)

    def batches(self, indices: Iterable[NDArray[np.int64]]) -> Iterator[Tensor]:
        """`take` of each index in turn, the next ones read while one is used."""
        return prefetch(self.take, indices)

    def _check(self, index: NDArray[np.int64], rows: Pixels8) -> None:
        """Compare rows never taken before with their checksums; put right, in `rows`, what is damaged."""
        fresh = np.flatnonzero(~self._checked[index])
        if fresh.size:
            wrong = fresh[checksums(rows[fresh]) != self._stored.sums[index[fresh]]]
            for row in {int(row) for row in index[wrong]} - self._mended.keys():
                self._mend(row)
            self._checked[index[fresh]] = True
        if self._mended:
            for place, row in enumerate(index):
                if int(row) in self._mended:
                    rows[place] = self._mended[int(row)]

    def _mend(self, row: int) -> None:
        path = self.samples[row].path
        log.warning("%s is damaged at %s: decoded afresh; the next run makes the cache anew.", self.file, path)
        with contextlib.suppress(OSError):
            self.file.with_suffix(".json").unlink()
        self._mended[row] = padded(decode(path, self.size, self.interpolation)[None])[0]


def find_cache(samples: Sequence[Sample], size: tuple[int, int], interpolation: Interpolation) -> PixelCache | None:
    """The cache an earlier run left of these very pictures, or None; pictures are read only where one could be it."""
    if not any(_could_hold(file, size, len(samples)) for file in (cache_folder() / "pixels").glob("*.json")):
        return None
    with contextlib.suppress(FileNotFoundError):
        return PixelCache(samples, size, interpolation=interpolation, create=False)
    return None


def _could_hold(file: Path, size: tuple[int, int], number: int) -> bool:
    try:
        meta: dict[str, Any] = json.loads(file.read_text("utf-8"))
        return tuple(meta["size"]) == tuple(size) and len(meta["sums"]) // 16 + len(meta["unreadable"]) == number
    except (OSError, ValueError, KeyError, TypeError):  # half written, or a stream's note of what it can read
        return False
