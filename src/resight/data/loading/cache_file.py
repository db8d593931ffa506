"""The files of a pixel cache: their format, how they are made, opened and found damaged.

KEY.pixels holds rows of H * W * 3 bytes padded to eight; KEY.json is written last and so marks the other complete.
"""

from __future__ import annotations

import errno
import json
import os
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from resight.data.loading.base import CHUNK, Files, Progress, decode_rows, log, room_on_disk
from resight.data.loading.decode import Pixels8
from resight.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from resight.types import Interpolation

FORMAT = 1
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG}


@dataclass(frozen=True)
class StoredPixels:
    """Rows of pixels, their checksums, and the pictures that gave none."""

    rows: Pixels8  # (N, stride), in memory or mapped
    sums: NDArray[np.uint64]  # (N,)
    unreadable: tuple[tuple[int, str], ...]


def padded(pixels: Pixels8) -> Pixels8:
    """(n, H, W, 3) -> (n, stride), stride the next multiple of eight bytes."""
    flat = pixels.reshape(len(pixels), -1)
    return np.pad(flat, ((0, 0), (0, -flat.shape[1] % 8))) if flat.shape[1] % 8 else flat


def checksums(rows: Pixels8) -> NDArray[np.uint64]:
    """Sum of each row's eight-byte words modulo 2^64: not against malice, but quick against damage."""
    sums: NDArray[np.uint64] = np.ascontiguousarray(rows).view(np.uint64).sum(axis=1, dtype=np.uint64)
    return sums


def open_stored(file: Path, size: tuple[int, int], number: int) -> StoredPixels | None:
    """A finished cache of so many pictures, or None where there is none or it is not what it says."""
    try:
        meta: dict[str, Any] = json.loads(file.with_suffix(".json").read_text("utf-8"))
        sums = np.frombuffer(bytes.fromhex(meta["sums"]), np.uint64)
        stride = -(-size[0] * size[1] * 3 // 8) * 8
        if not len(sums) or file.stat().st_size != len(sums) * stride:
            raise ValueError("its length is wrong")
        unreadable = tuple((int(row), str(why)) for row, why in meta["unreadable"])
        if len(sums) + len({row for row, _ in unreadable} & set(range(number))) != number:
            raise ValueError("its pictures are other ones")
        return StoredPixels(np.memmap(file, np.uint8, "r", shape=(len(sums), stride)), sums, unreadable)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as broken:
        log.warning("the cache %s is damaged (%s) and is made anew.", file, broken)
        return None


@dataclass(frozen=True)
class CacheBuilder:
    """Decoding a list of pictures, chunk by chunk, in order."""

    files: Files
    size: tuple[int, int]
    interpolation: Interpolation
    workers: int
    progress: Progress | None

    def on_disk(self, file: Path) -> StoredPixels | None:
        """Write the two files and open them; None, with a warning, where the disk does not take them."""
        need = len(self.files.paths) * self.size[0] * self.size[1] * 3
        if need > room_on_disk(file.parent):
            log.warning("%s: %s", _no_room(file, need), "the pixels are kept in memory for this run.")
            return None
        part = file.with_suffix(f".{os.getpid()}.{uuid.uuid4().hex[:8]}.part")
        try:
            with part.open("wb", buffering=0) as out:
                _reserve(out.fileno(), need)
                sums, unreadable = self._run(lambda rows: out.write(rows.data))
                out.truncate()
            part.replace(file)
            meta = {
                "format": FORMAT,
                "size": self.size,
                "sums": sums.tobytes().hex(),
                "unreadable": unreadable,
            }
            part.write_text(json.dumps(meta), "utf-8")
            part.replace(file.with_suffix(".json"))
        except OSError as broken:
            if broken.errno not in NO_ROOM:
                raise
            log.warning("%s (%s): the pixels are kept in memory for this run.", _no_room(file, need), broken.strerror)
            return None
        finally:
            part.unlink(missing_ok=True)
        return open_stored(file, self.size, len(self.files.paths))

    def in_memory(self) -> StoredPixels:
        """The same rows without a file."""
        stride = -(-self.size[0] * self.size[1] * 3 // 8) * 8
        whole = np.empty((len(self.files.paths), stride), np.uint8)
        filled = 0

        def write(rows: Pixels8) -> None:
            nonlocal filled
            whole[filled : filled + len(rows)] = rows
            filled += len(rows)

        sums, unreadable = self._run(write)
        return StoredPixels(whole[:filled], sums, tuple(unreadable))

    def _run(self, write: Callable[[Pixels8], object]) -> tuple[NDArray[np.uint64], list[tuple[int, str]]]:
        sums: list[NDArray[np.uint64]] = []
        unreadable: list[tuple[int, str]] = []
        for start, (pixels, reasons) in self._chunks():
            if len(pixels):
                rows = padded(pixels)
                write(rows)
                sums.append(checksums(rows))
            unreadable += [(start + i, why) for i, why in enumerate(reasons) if why is not None]
            if self.progress is not None:
                self.progress(min(start + CHUNK, len(self.files.paths)), len(self.files.paths))
        if not sums:
            first = f" The first: {unreadable[0][1]}" if unreadable else ""
            raise DatasetError(f"none of the {len(self.files.paths)} pictures can be read.{first}")
        return np.concatenate(sums), unreadable

    def _chunks(self) -> Iterator[tuple[int, tuple[Pixels8, list[str | None]]]]:
        starts = range(0, len(self.files.paths), CHUNK)
        if self.workers == 1:
            for start in starts:
                yield start, self._decode(start)
            return
        with ThreadPoolExecutor(self.workers, thread_name_prefix="resight-decode") as pool:
            for first in range(0, len(starts), 4 * self.workers):  # a bounded number under way
                some = starts[first : first + 4 * self.workers]
                yield from zip(some, pool.map(self._decode, some), strict=True)

    def _decode(self, start: int) -> tuple[Pixels8, list[str | None]]:
        rows = range(start, min(start + CHUNK, len(self.files.paths)))
        pixels, reasons = decode_rows(self.files.take(rows), self.size, self.interpolation)
        return pixels, [_named(why, self.files.paths[row]) for row, why in zip(rows, reasons, strict=True)]


def _named(why: str | None, path: Path) -> str | None:
    return why and why.replace("the picture", str(path), 1)


def _reserve(descriptor: int, size: int) -> None:
    """Claim the disk space at once: quicker to fill, and a full disk is known before an hour of decoding."""
    if not hasattr(os, "posix_fallocate"):
        return
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as refused:
        if refused.errno in NO_ROOM:
            raise  # else a file system that cannot reserve, and may still write


def _no_room(file: Path, need: int) -> str:
    return (
        f"{need / 1e9:.2f} GB of pixels cannot be written to {file.parent}; free some space or point "
        f"RESIGHT_CACHE elsewhere"
    )
