"""Distance matrices from files, with the labels of their rows and columns."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from resight.errors import CheckpointError, UsageError
from resight.inference.embeddings import READ_ERRORS, Vectors, names_in, read_npz, unknown, whole_in

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
            raise UsageError(f"{path} is a matrix alone; give the labels with --labels FILE.npz ({FORM}).")
        matrix = _matrix(path)
    columns = _columns(labels or path)
    if matrix is None:
        matrix = columns.get("distances")
    if matrix is None or not {"query_pids", "gallery_pids"} <= set(columns):
        raise CheckpointError(f"{labels or path} holds {', '.join(columns) or 'nothing'}; expected {FORM}.")
    return matrix, _side(columns, "query", labels or path), _side(columns, "gallery", labels or path)


def _side(columns: dict[str, Any], side: str, path: Path) -> Vectors:
    count = np.size(columns[f"{side}_pids"])
    names = names_in(columns, f"{side}_paths", count, path)
    pids, cameras = whole_in(columns, f"{side}_pids", count, path), f"{side}_camids"
    camids = whole_in(columns, cameras, count, path) if cameras in columns else unknown(count)[1]
    nothing = np.empty((count, 0), np.float32)
    return Vectors(nothing, names, names, pids, camids, str(path.parent), "given distances", "cosine")


def _columns(path: Path) -> dict[str, Any]:
    try:
        return read_npz(_there(path))
    except READ_ERRORS as error:
        raise CheckpointError(f"{path} is not an .npz file of plain arrays; expected {FORM}.") from error


def _matrix(path: Path) -> NDArray[Any]:
    try:
        found = np.load(_there(path), mmap_mode="r", allow_pickle=False)
    except READ_ERRORS as error:
        raise CheckpointError(f"{path} is not one array as .npy.") from error
    if not isinstance(found, np.ndarray):
        raise CheckpointError(f"{path} is not one array as .npy but several as .npz; rename it.")
    return found


def _there(path: Path) -> Path:
    if not path.is_file():
        raise UsageError(f"there is no file {path}.")
    return path
