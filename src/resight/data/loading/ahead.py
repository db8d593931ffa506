"""Decoding ahead: pictures of any kind, block after block, in threads, while the caller uses the blocks before."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from resight.data.loading.base import CHUNK, Unreadable, decode_rows, default_workers
from resight.data.loading.picture import NAMELESS, name_of

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence

    from resight.data.loading.decode import Pixels8
    from resight.data.loading.picture import Picture
    from resight.types import Interpolation

    Part = tuple[Pixels8, list[Unreadable]]


def decode_ahead(
    pictures: Sequence[Picture],
    size: tuple[int, int],
    blocks: Iterable[range],
    *,
    interpolation: Interpolation,
    workers: int | None = None,
) -> Generator[tuple[range, Pixels8, list[Unreadable]]]:
    """Each block's rows, the pixels (n, H, W, 3) uint8 of those that can be read, and the others with the reason.

    In the order of the blocks.  `workers` threads are kept busy some blocks ahead of the caller; what is held at once
    is bounded, however many pictures there are.
    """
    threads = workers or default_workers()
    waiting: deque[tuple[range, list[Future[Part]]]] = deque()
    held = 0
    with ThreadPoolExecutor(threads, thread_name_prefix="resight-decode") as pool:
        try:
            for rows in blocks:
                parts = [rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)]
                waiting.append((rows, [pool.submit(_part, pictures, part, size, interpolation) for part in parts]))
                held += len(rows)
                while held > 2 * threads * CHUNK + len(waiting[0][0]):
                    held -= len(waiting[0][0])
                    yield _joined(*waiting.popleft(), size)
            while waiting:
                yield _joined(*waiting.popleft(), size)
        finally:  # the caller stopped early: what has not begun is not wanted
            for _, futures in waiting:
                for future in futures:
                    future.cancel()


def _part(pictures: Sequence[Picture], rows: range, size: tuple[int, int], interpolation: Interpolation) -> Part:
    some = [pictures[row] for row in rows]
    pixels, reasons = decode_rows(some, size, interpolation)
    names = [name_of(picture, row) for picture, row in zip(some, rows, strict=True)]
    return pixels, [
        Unreadable(row, name, why.replace(NAMELESS, name, 1))
        for row, name, why in zip(rows, names, reasons, strict=True)
        if why is not None
    ]


def _joined(rows: range, parts: list[Future[Part]], size: tuple[int, int]) -> tuple[range, Pixels8, list[Unreadable]]:
    done = [part.result() for part in parts]
    pixels = [part for part, _ in done if len(part)] or [np.empty((0, *size, 3), np.uint8)]
    whole = pixels[0] if len(pixels) == 1 else np.concatenate(pixels)
    return rows, whole, [lost for _, unreadable in done for lost in unreadable]
