"""CUHK03's two MATLAB files: cuhk-03.mat (v7.3, HDF5) and the new protocol's configuration (v5)."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from resight.data.formats.mat_file import load_mat, optional
from resight.data.loading.decode import MAX_PIXELS
from resight.errors import DatasetError
from resight.types import Split

if TYPE_CHECKING:
    from numpy.typing import NDArray


PAIRS = 5
VIEWS = 10  # pictures of a person: columns 1 to 5 the first view, 6 to 10 the second


@dataclass(frozen=True)
class NewProtocol:
    """The new protocol: every picture's name, person and camera, and the rows of each split, from 0."""

    names: tuple[str, ...]
    pids: tuple[int, ...]
    camids: tuple[int, ...]
    rows: Mapping[Split, tuple[int, ...]]


def read_protocol(file: Path) -> NewProtocol:
    """Read cuhk03_new_protocol_config_*.mat: filelist, labels, camId and three index lists counted from 1."""
    table = load_mat(file)
    needed = ("filelist", "labels", "camId", "train_idx", "query_idx", "gallery_idx")
    missing = [name for name in needed if name not in table]
    if missing:
        raise DatasetError(f"{file} has no {', '.join(missing)}. It is not the new protocol's configuration.")
    names = tuple(str(name).strip() for name in np.ravel(table["filelist"]))
    pids, camids = (_whole(table[key], key, file) for key in ("labels", "camId"))
    if not len(names) == len(pids) == len(camids):
        raise DatasetError(
            f"{file}: {len(names):,} names, {len(pids):,} labels and {len(camids):,} cameras; expected as many of each."
        )
    parts: tuple[Split, ...] = ("train", "query", "gallery")
    return NewProtocol(names, pids, camids, {part: _rows(table, f"{part}_idx", len(names), file) for part in parts})


def _rows(table: Mapping[str, Any], key: str, number: int, file: Path) -> tuple[int, ...]:
    rows = _whole(table[key], key, file)
    if max(rows, default=1) > number:
        raise DatasetError(f"{file}: an index of {key} lies outside 1..{number:,}. Fetch the file again.")
    return tuple(row - 1 for row in rows)


def _whole(values: Any, key: str, file: Path) -> tuple[int, ...]:
    """Numbers from 1, as MATLAB counts."""
    values = np.ravel(values)
    if values.dtype.kind not in "iuf" or (values.size and not (values.min() >= 1 and values.max() < 2**53)):
        raise DatasetError(f"{file}: {key} holds something else than numbers from 1. Fetch the file again.")
    return tuple(int(value) for value in values)


class RawFile:
    """The file cuhk-03.mat: `detected` and `labeled`, 5 x 1 cells of M x 10 cells of pictures, and 20 `testsets`."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.h5py = optional("h5py", f"{file.name} (a MATLAB v7.3 file)")

    def test_sets(self) -> list[list[tuple[int, int]]]:
        """(pair, person) of the test persons of each split, both from 1."""
        with self._open() as raw:
            cells = np.ravel(raw["testsets"][()])
            return [[(int(a), int(b)) for a, b in np.asarray(raw[cell][()]).T] for cell in cells]

    def extract(self, boxes: str, folder: Path) -> Path:
        """Write every picture of `boxes` as P_III_V_NN.png; the folder appears when it is complete."""
        from PIL import Image

        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
            part = Path(scratch) / folder.name
            part.mkdir()
            for name, picture in self._pictures(boxes):
                Image.fromarray(picture).save(part / name)
            shutil.move(part, folder)
        return folder

    def _pictures(self, boxes: str) -> Iterator[tuple[str, NDArray[np.uint8]]]:
        with self._open() as raw:
            for pair, cell in enumerate(np.ravel(raw[boxes][()]), start=1):
                persons = np.asarray(raw[cell][()]).T  # (M, 10): HDF5 keeps MATLAB's columns as rows
                if pair > PAIRS or persons.ndim != 2 or persons.shape[1] != VIEWS:
                    raise ValueError(f"{boxes} pair {pair} is {persons.shape}, expected {PAIRS} pairs of M x {VIEWS}")
                for (person, column), reference in np.ndenumerate(persons):
                    picture = _picture(raw[reference])
                    if picture is not None:
                        yield f"{pair}_{person + 1:03d}_{1 + (column >= 5)}_{column + 1:02d}.png", picture

    @contextmanager
    def _open(self) -> Iterator[Any]:
        """Open the file; errors of h5py become a DatasetError."""
        try:
            with self.h5py.File(self.file, "r") as raw:
                yield raw
        except (OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError) as broken:
            said = str(broken).strip("'\"").rstrip(".")
            raise DatasetError(
                f"{self.file} cannot be read as CUHK03's release, MATLAB v7.3 (HDF5): {said}. Fetch the release again."
            ) from broken


def _picture(cell: Any) -> NDArray[np.uint8] | None:
    """(3, W, H) in the file -> (H, W, 3) uint8; None for an empty cell."""
    if cell.ndim != 3 or cell.shape[0] != 3 or not cell.size:
        return None
    if cell.dtype != np.uint8 or cell.size > 3 * MAX_PIXELS:
        raise ValueError(f"a picture has {cell.shape} {cell.dtype} values, expected 3 x W x H uint8")
    return np.ascontiguousarray(np.asarray(cell[()]).T)
