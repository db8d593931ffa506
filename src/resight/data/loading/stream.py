"""Pixels decoded each time they are used, for data that fit neither disk nor memory."""

from __future__ import annotations

import json
import os
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from resight.data.loading import decode
from resight.data.loading.base import Files, Progress, Unreadable, decode_rows, default_workers, log, prefetch
from resight.errors import DatasetError, ImageError
from resight.files import cache_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from resight.types import Interpolation, Sample


class PixelStream:
    """Pixels of some samples at one size (see `resight.data.loading.base.Pixels`), equal to `PixelCache`'s to the byte.

    Every picture is decoded once at the start, so that one which cannot be read is known before the first
    step and not in the middle of an epoch; what was found is remembered for these bytes.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        size: tuple[int, int],
        *,
        interpolation: Interpolation = "bilinear",
        progress: Progress | None = None,
    ) -> None:
        self.size = size
        self.interpolation: Interpolation = interpolation
        self._workers = default_workers()
        self._pool = ThreadPoolExecutor(self._workers, thread_name_prefix="resight-stream")
        paths = [sample.path for sample in samples]
        memo = cache_folder() / "pixels" / f"{Files(paths).key('readable')}.readable.json"
        known = _remembered(memo, len(paths))
        reasons = self._look(paths, memo, progress) if known is None else known
        self.unreadable = tuple(Unreadable(row, str(samples[row].path), why) for row, why in reasons.items())
        self.samples = tuple(sample for row, sample in enumerate(samples) if row not in reasons)
        for picture in self.unreadable:
            log.warning("left out: %s", picture.reason)
        if not self.samples:
            first = "".join(f" The first: {why}" for why in list(reasons.values())[:1])
            raise DatasetError(f"none of the {len(samples)} pictures can be read.{first}")

    def __len__(self) -> int:
        return len(self.samples)

    def take(self, index: NDArray[np.int64]) -> Tensor:
        """Rows (B,) -> RGB (B, 3, H, W) uint8, channels last in memory."""
        import torch

        paths = [self.samples[int(row)].path for row in index]
        share = max(1, -(-len(paths) // self._workers))
        parts = [paths[start : start + share] for start in range(0, len(paths), share)]
        done = list(self._pool.map(lambda part: decode_rows(part, self.size, self.interpolation), parts))
        lost = next((why for _, reasons in done for why in reasons if why is not None), None)
        if lost is not None:
            raise DatasetError(f"a picture that could be read at the start no longer can: {lost}")
        return torch.from_numpy(np.concatenate([pixels for pixels, _ in done])).permute(0, 3, 1, 2)

    def batches(self, indices: Iterable[NDArray[np.int64]]) -> Iterator[Tensor]:
        """`take` of each index in turn, the next ones decoded while one is used."""
        return prefetch(self.take, indices, ahead=3)

    def _look(self, paths: Sequence[Path], memo: Path, progress: Progress | None) -> dict[int, str]:
        reasons: dict[int, str] = {}
        for row, why in enumerate(self._pool.map(_why_not, paths)):
            if why is not None:
                reasons[row] = why
            if progress is not None and (row + 1 == len(paths) or row % 64 == 63):
                progress(row + 1, len(paths))
        _remember(memo, reasons)
        return reasons


def _why_not(path: Path) -> str | None:
    try:
        decode.decode_bytes(decode.read(path), str(path))
    except ImageError as unreadable:
        return str(unreadable)
    return None


def _remembered(memo: Path, number: int) -> dict[int, str] | None:
    """Why rows cannot be read, as an earlier run found; None where none has looked, or its note is damaged."""
    try:
        reasons = {int(row): str(why) for row, why in json.loads(memo.read_text("utf-8")).items()}
    except (OSError, ValueError, AttributeError):
        return None
    return reasons if set(reasons) <= set(range(number)) else None


def _remember(memo: Path, reasons: dict[int, str]) -> None:
    part = memo.with_suffix(f".{os.getpid()}.{uuid.uuid4().hex[:8]}.part")
    try:
        memo.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(reasons), "utf-8")
        part.replace(memo)
    except OSError as full:
        log.warning("%s cannot be written (%s): the next run looks at every picture again.", memo, full.strerror)
