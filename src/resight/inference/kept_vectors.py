"""Vectors of a folder's pictures, kept in the cache so that the next search embeds only what is new."""

from __future__ import annotations

import contextlib
import hashlib
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from resight.data.loading.base import Unreadable
from resight.errors import ResightError
from resight.files import cache_folder, write_binary
from resight.inference.embeddings import READ_ERRORS, read_npz

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from resight.inference.extractor import Extractor

    Stamp = tuple[str, int, int]


class KeptVectors:
    """Vectors of the pictures below a folder by one model, and the file they are kept in.

    A picture is known again by its path, size and time of change.  Only vectors are kept, no pixels.
    """

    def __init__(self, folder: Path, extractor: Extractor) -> None:
        self.extractor, self.model, self.interpolation = extractor, extractor.model, extractor.interpolation
        self.stored = extractor.stored  # pixels that were decoded before need no keeping
        made = (str(folder.resolve()), extractor.model.fingerprint(), extractor.flip, extractor.chosen.name)
        self.file = cache_folder() / "search" / f"{hashlib.sha256(repr(made).encode()).hexdigest()[:24]}.npz"
        self.taken = 0  # from the file, in the last call
        self._known = self._load()

    def tolerant(
        self, paths: Sequence[Path], progress: Callable[[int], None] | None = None, camids: Sequence[int] | None = None
    ) -> tuple[NDArray[np.float32], list[Unreadable]]:
        """As `Extractor.tolerant`."""
        stamps = [_stamp(path) for path in paths]
        new = [row for row, stamp in enumerate(stamps) if stamp not in self._known]
        self.taken = len(paths) - len(new)
        if new:
            cameras = None if camids is None else [camids[row] for row in new]
            vectors, broken = self.extractor.tolerant([paths[row] for row in new], progress, cameras)
            lost = {item.index for item in broken}
            read = [row for at, row in enumerate(new) if at not in lost]
            self._known |= {stamps[row]: vector for row, vector in zip(read, vectors, strict=True)}
            unread = [Unreadable(new[item.index], item.name, item.reason) for item in broken]
        else:
            unread = []
        here = {stamp: self._known[stamp] for stamp in stamps if stamp in self._known}
        if new or len(here) < len(self._known):
            self._save(here)
        rows = [self._known[stamp] for stamp in stamps if stamp in self._known]
        return np.array(rows, np.float32).reshape(len(rows), self.extractor.model.embedding_dim), unread

    def forget(self) -> None:
        """Remove the file."""
        self.file.unlink(missing_ok=True)

    def _load(self) -> dict[Stamp, NDArray[np.float32]]:
        try:
            kept = read_npz(self.file)
            names, sizes, changed, vectors = (kept[name] for name in ("names", "sizes", "changed", "vectors"))
            if vectors.shape != (len(names), self.extractor.model.embedding_dim) or vectors.dtype != np.float32:
                return {}
            stamps = zip(map(str, names), map(int, sizes), map(int, changed), strict=True)
            return dict(zip(stamps, vectors, strict=True))
        except (KeyError, TypeError, *READ_ERRORS):  # none yet, or damaged: it is made again
            return {}

    def _save(self, here: dict[Stamp, NDArray[np.float32]]) -> None:
        names, sizes, changed = zip(*here, strict=True) if here else ((), (), ())
        held: dict[str, Any] = {
            "names": np.array(names, str),
            "sizes": np.array(sizes, np.int64),
            "changed": np.array(changed, np.int64),
            "vectors": np.array(list(here.values()), np.float32),
        }
        with contextlib.suppress(ResightError, OSError):  # a full disk costs the next search some time, nothing more
            write_binary(self.file, lambda file: np.savez(file, **held))


def _stamp(path: Path) -> Stamp:
    try:
        status = os.stat(path)  # noqa: PTH116 - a path may be a text here
    except OSError:
        return str(path), -1, -1
    return str(path), status.st_size, status.st_mtime_ns
