"""CUHK03's two MATLAB files: cuhk-03.mat (v7.3, HDF5) and the new protocol's configuration (v5)."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from resight.data.matlab import load_mat, optional
from resight.errors import DatasetError
from resight.types import Split

if TYPE_CHECKING:
    from numpy.typing import NDArray

PAIRS = 5
VIEWS = 10  # pictures of a person: columns 1 to 5 the first view, 6 to 10 the second


@dataclass(frozen=True)
class Protocol:
    """The new protocol: every picture's name, person and camera, and the rows of each split, from 0."""

    names: tuple[str, ...]
    pids: tuple[int, ...]
    camids: tuple[int, ...]
    rows: Mapping[Split, tuple[int, ...]]


def read_protocol(file: Path) -> Protocol:
    """cuhk03_new_protocol_config_*.mat: filelist, labels, camId and three index lists counted from 1."""
    table = load_mat(file)
    needed = ("filelist", "labels", "camId", "train_idx", "query_idx", "gallery_idx")
    missing = [name for name in needed if name not in table]
    if missing:
        raise DatasetError(f"{file} has no {', '.join(missing)}. It is not the new protocol's configuration.")
    names = tuple(str(name).strip() for name in np.ravel(table["filelist"]))
    pids, camids = (tuple(int(n) for n in np.ravel(table[key])) for key in ("labels", "camId"))
    if not len(names) == len(pids) == len(camids):
        raise DatasetError(
            f"{file}: {len(names):,} names, {len(pids):,} labels and {len(camids):,} cameras; expected as many of each."
        )
    rows: dict[Split, tuple[int, ...]] = {
        "train": _rows(table["train_idx"], len(names), file),
        "query": _rows(table["query_idx"], len(names), file),
        "gallery": _rows(table["gallery_idx"], len(names), file),
    }
    return Protocol(names, pids, camids, rows)


def _rows(index: Any, number: int, file: Path) -> tuple[int, ...]:
    rows = np.ravel(index).astype(np.int64) - 1  # MATLAB counts from 1
    if rows.size and not (rows.min() >= 0 and rows.max() < number):
        raise DatasetError(f"{file}: an index lies outside 1..{number:,}. Fetch the file again.")
    return tuple(rows.tolist())


class RawFile:
    """cuhk-03.mat: `detected` and `labeled`, 5 x 1 cells of M x 10 cells of pictures, and 20 `testsets`."""

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
            with self._open() as raw:
                for name, picture in self._pictures(raw, boxes):
                    Image.fromarray(picture).save(part / name)
            shutil.move(part, folder)
        return folder

    def _pictures(self, raw: Any, boxes: str) -> Iterator[tuple[str, NDArray[np.uint8]]]:
        if boxes not in raw:
            raise DatasetError(f"{self.file} has no {boxes!r}. It is not CUHK03's release.")
        for pair, cell in enumerate(np.ravel(raw[boxes][()]), start=1):
            persons = np.asarray(raw[cell][()]).T  # (M, 10): HDF5 keeps MATLAB's columns as rows
            if pair > PAIRS or persons.ndim != 2 or persons.shape[1] != VIEWS:
                raise DatasetError(
                    f"{self.file}: {boxes} pair {pair} is {persons.shape}, expected M x {VIEWS} cells, {PAIRS} pairs."
                )
            for person, views in enumerate(persons, start=1):
                for column, reference in enumerate(views, start=1):
                    picture = np.asarray(raw[reference][()]).T  # (H, W, 3)
                    if picture.ndim == 3 and picture.shape[2] == 3 and picture.size:
                        yield f"{pair}_{person:03d}_{1 + (column > 5)}_{column:02d}.png", _eight_bits(picture)

    def _open(self) -> Any:
        try:
            return self.h5py.File(self.file, "r")
        except OSError as broken:
            raise DatasetError(
                f"{self.file} cannot be read as MATLAB v7.3 (HDF5): {broken}. Fetch the release again."
            ) from broken


def _eight_bits(picture: NDArray[Any]) -> NDArray[np.uint8]:
    if picture.dtype != np.uint8:
        raise DatasetError(f"a picture has {picture.dtype} pixels, expected uint8. It is not CUHK03's release.")
    return np.ascontiguousarray(picture)
