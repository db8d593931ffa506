"""A matrix of distances made by anybody, and who is who in it."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from resight.embedding.vectors import Vectors, unknown
from resight.errors import CheckpointError, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORM = "distances (Q, G), query_pids (Q,), gallery_pids (G,)"


def load_distances(path: Path, labels: Path | None = None) -> tuple[NDArray[Any], Vectors, Vectors]:
    """The matrix (Q, G), smaller is closer, and its rows and columns as vectors of no length.

    path: an .npz with `distances`, `query_pids`, `gallery_pids`, and where they are known `query_camids`,
    `gallery_camids`, `query_paths`, `gallery_paths`.  Or the matrix alone as .npy, which is read as it is needed, and
    the rest in the .npz `labels`.  Raises UsageError and CheckpointError naming what is missing.
    """
    matrix: NDArray[Any] | None = None
    if path.suffix == ".npy":
        if labels is None:
            raise UsageError(f"{path} is a matrix alone; give who is who with --labels FILE.npz ({FORM}).")
        matrix = _read(path)
    columns = _columns(labels or path)
    if matrix is None:
        matrix = columns.get("distances")
    if matrix is None or not {"query_pids", "gallery_pids"} <= set(columns):
        raise CheckpointError(f"{labels or path} holds {', '.join(columns) or 'nothing'}; expected {FORM}.")
    return matrix, _side(columns, "query", labels or path), _side(columns, "gallery", labels or path)


def _side(columns: dict[str, Any], side: str, path: Path) -> Vectors:
    pids = np.asarray(columns[f"{side}_pids"], np.int64)
    names = tuple(map(str, columns.get(f"{side}_paths", [f"{side}/{row}" for row in range(len(pids))])))
    camids = np.asarray(columns.get(f"{side}_camids", unknown(len(pids))[1]), np.int64)
    nothing = np.empty((len(pids), 0), np.float32)
    return Vectors(nothing, names, names, pids, camids, str(path.parent), "given distances", "cosine")


def _columns(path: Path) -> dict[str, Any]:
    found = _read(path)
    if not isinstance(found, np.lib.npyio.NpzFile):
        raise CheckpointError(f"{path} is not an .npz file of plain arrays; expected {FORM}.")
    with found as file:
        return {name: file[name] for name in file.files}


def _read(path: Path) -> Any:
    if not path.is_file():
        raise UsageError(f"there is no file {path}.")
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise CheckpointError(f"{path} is not a file of plain arrays ({error}).") from error
