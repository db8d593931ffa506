"""The interface of pixel sources, and parallel decoding."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from resight.data.loading import decode
from resight.data.loading.picture import pixels_of
from resight.errors import ImageError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from resight.data.loading.decode import Pixels8
    from resight.data.loading.picture import Picture
    from resight.types import Interpolation, Sample


log = logging.getLogger("resight.data")
Progress = Callable[[int, int], None]  # done, total
CHUNK = 32  # pictures decoded and resized together: what stays in a processor's cache
KEEP = 256 * 2**20  # bytes of undecoded pictures held between hashing and decoding
SPARE = 256 * 2**20  # bytes a cache leaves free on the disk


@dataclass(frozen=True)
class Unreadable:
    """A picture that was left out: its place in the list it came in, its name, and the sentence that says why."""

    index: int
    name: str
    reason: str


class Pixels(Protocol):
    """Uint8 pictures of one size, by row.

    Row i is the picture of `samples[i]`; pictures that cannot be read are not among the samples but in
    `unreadable`.
    """

    samples: tuple[Sample, ...]
    unreadable: tuple[Unreadable, ...]
    size: tuple[int, int]  # (H, W)
    interpolation: Interpolation

    def __len__(self) -> int: ...

    def take(self, index: NDArray[np.int64]) -> Tensor:
        """Rows (B,) -> RGB (B, 3, H, W) uint8, channels last in memory, where they are held."""
        ...

    def batches(self, indices: Iterable[NDArray[np.int64]]) -> Iterator[Tensor]:
        """`take` of each index in turn, the next ones prepared while one is used."""
        ...


def default_workers() -> int:
    """Decoding threads: libjpeg runs without the interpreter's lock."""
    return max(1, min(8, os.cpu_count() or 1))


def decode_rows(
    sources: Sequence[Picture | ImageError], size: tuple[int, int], interpolation: Interpolation
) -> tuple[Pixels8, list[str | None]]:
    """Pictures -> (n, H, W, 3) of those that can be read, and for each source None or why it cannot.

    Pictures of equal size are resized together, which is what makes a data set of crops quick.
    """
    reasons: list[str | None] = [None] * len(sources)
    groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
    decoded: dict[int, Pixels8] = {}
    for row, source in enumerate(sources):
        try:
            pixels = decoded[row] = _decode(source)
            groups[pixels.shape].append(row)
        except ImageError as unreadable:
            reasons[row] = str(unreadable)
    if len(groups) == 1:
        return decode.resize(list(decoded.values()), size, interpolation), reasons
    resized = np.empty((len(sources), *size, 3), np.uint8)
    for rows in groups.values():
        resized[rows] = decode.resize([decoded[row] for row in rows], size, interpolation)
    return resized[sorted(decoded)], reasons


def _decode(source: Picture | ImageError) -> Pixels8:
    if isinstance(source, ImageError):
        raise source
    return pixels_of(source)


class Files:
    """The bytes of a list of pictures, hashed once and, where they fit, not read a second time.

    key(about)  a name for these pictures, in this order, treated this way: equal bytes give equal keys
    wherever
                they lie
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = paths
        self._kept: dict[int, bytearray | ImageError] = {}

    def key(self, about: str) -> str:
        whole = hashlib.sha256(about.encode())
        room = KEEP
        for row, path in enumerate(self.paths):
            try:
                data = decode.read(path)
            except ImageError as unreadable:
                whole.update(b"unreadable:")
                self._kept[row] = unreadable
                continue
            whole.update(b"%d:" % len(data))
            whole.update(data)
            room -= len(data)
            if room > 0:
                self._kept[row] = data
        return whole.hexdigest()[:32]

    def take(self, rows: range) -> list[Path | bytearray | ImageError]:
        """Sources for `decode_rows`; bytes that were kept are given away."""
        return [self._kept.pop(row) if row in self._kept else self.paths[row] for row in rows]


def prefetch(
    take: Callable[[NDArray[np.int64]], Tensor], indices: Iterable[NDArray[np.int64]], ahead: int = 2
) -> Iterator[Tensor]:
    """`take` of each index, in order, with `ahead` of them under way in a thread of their own."""
    source = iter(indices)
    with ThreadPoolExecutor(1, thread_name_prefix="resight-pixels") as pool:
        waiting = deque(pool.submit(take, index) for index in islice(source, ahead))
        try:
            while waiting:
                ready = waiting.popleft().result()
                waiting.extend(pool.submit(take, index) for index in islice(source, 1))
                yield ready
        finally:  # the reader stopped early: what has not begun is not wanted
            for future in waiting:
                future.cancel()


def room_on_disk(folder: Path) -> int:
    """Bytes a cache may fill there; 0 where it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return max(0, shutil.disk_usage(folder).free - SPARE)
    except OSError:
        return 0
