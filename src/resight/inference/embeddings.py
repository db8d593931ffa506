"""Embedding files: descriptors with their pictures' paths, persons and cameras, as .npz or .parquet."""

from __future__ import annotations

import hashlib
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from resight.errors import CheckpointError, UsageError
from resight.files import pyarrow, write_atomically, write_binary
from resight.types import UNKNOWN_CAMERA, Metric

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

FORMATS = (".npz", ".parquet")
FORM = "`vectors` (N, D) and `pids` (N,)"
READ_ERRORS = (ValueError, OSError, EOFError, zipfile.BadZipFile)  # what numpy raises for what is no file of its own


@dataclass(frozen=True)
class Vectors:
    """N descriptors and where they come from.  `fingerprint` names the model: only equal ones may be compared.

    vectors (N, D) float32; ids, paths (N,) text, paths relative to `root`; pids, camids (N,), pids -2 where unknown.
    """

    vectors: NDArray[np.float32]
    ids: tuple[str, ...]
    paths: tuple[str, ...]
    pids: NDArray[np.int64]
    camids: NDArray[np.int64]
    root: str
    fingerprint: str
    metric: Metric

    UNKNOWN_PID = -2

    def __len__(self) -> int:
        return len(self.vectors)

    def path(self, row: int) -> Path:
        return Path(self.root) / self.paths[row]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write an .npz or .parquet file, by the ending; whole or not at all."""
        path = check_ending(path)
        beside = os.path.relpath(self.root, path.parent.resolve()) if self.root else ""
        meta = {"root": self.root, "fingerprint": self.fingerprint, "metric": self.metric, "beside": beside}
        if path.suffix == ".npz":
            arrays = self._columns() | {name: np.array(value) for name, value in meta.items()}
            write_binary(path, lambda file: np.savez(file, **arrays))
        else:
            write_atomically(path, lambda draft: _write_parquet(draft, self._columns(), meta))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Vectors:
        """Read what `save` wrote.  Nothing in it is executed.

        Where the pictures' folder is gone but lies where it lay from the file, both were moved together, and paths
        follow.

        Raises:
            UsageError: there is no such file, or it has another ending.
            CheckpointError: it is not an embedding file.
        """
        path = check_ending(path)
        if not path.is_file():
            raise UsageError(
                f"there is no embedding file {path}. Make one with: resight embed MODEL FOLDER --out {path}"
            )
        try:
            columns = read_npz(path) if path.suffix == ".npz" else _read_parquet(path)
            vectors = np.ascontiguousarray(columns["vectors"], np.float32)
            shapes = {np.shape(columns[name]) for name in ("ids", "paths", "pids", "camids")}
            if vectors.ndim != 2 or shapes != {(len(vectors),)}:
                raise ValueError(f"vectors of shape {vectors.shape}, columns of {', '.join(map(str, sorted(shapes)))}")
            return cls(
                vectors=vectors,
                ids=tuple(map(str, columns["ids"])),
                paths=tuple(map(str, columns["paths"])),
                pids=np.asarray(columns["pids"], np.int64),
                camids=np.asarray(columns["camids"], np.int64),
                root=_root(columns, path),
                fingerprint=str(columns["fingerprint"]),
                metric=_metric(columns["metric"]),
            )
        except (KeyError, *READ_ERRORS) as error:
            raise CheckpointError(f"{path} is not an embedding file of resight ({error}).") from error

    def _columns(self) -> dict[str, Any]:
        return {
            "ids": np.array(self.ids, str),
            "paths": np.array(self.paths, str),
            "pids": self.pids,
            "camids": self.camids,
            "vectors": self.vectors,
        }


def check_ending(path: str | os.PathLike[str]) -> Path:
    """The path, if it ends in .npz or .parquet and what writes that is installed.

    Raises UsageError or MissingExtraError.
    """
    path = Path(path)
    if path.suffix not in FORMATS:
        raise UsageError(f"an embedding file ends in {' or '.join(FORMATS)}, found {path.name!r}.")
    if path.suffix == ".parquet":
        pyarrow()
    return path


def _root(columns: dict[str, Any], path: Path) -> str:
    """The pictures' folder as it was, or, where that is gone, at the same place from the file as it was."""
    root, beside = str(columns["root"]), str(columns.get("beside", ""))
    moved = path.parent.resolve() / beside
    return str(moved.resolve()) if beside and not Path(root).is_dir() and moved.is_dir() else root


def content_id(path: Path) -> str:
    """Sixteen hexadecimal digits of the picture's bytes, the same wherever it lies; empty where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except OSError:
        return ""


def unknown(count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """pids and camids for pictures of which nothing is known."""
    return np.full(count, Vectors.UNKNOWN_PID, np.int64), np.full(count, UNKNOWN_CAMERA, np.int64)


def common_root(paths: Iterable[Path]) -> Path:
    """The deepest folder that holds all paths."""
    parents = [path.resolve().parent for path in paths]
    if not parents:
        return Path.cwd()
    root = parents[0]
    while not all(parent.is_relative_to(root) for parent in parents):
        root = root.parent
    return root


def load_features(path: Path, metric: Metric = "cosine") -> Vectors:
    """An embedding file of ours, or an .npz of anybody's with arrays `vectors` (or `features`) and `pids`.

    `camids` and `paths` are taken where they are.  Raises CheckpointError naming what is missing.
    """
    if path.suffix != ".npz":
        return Vectors.load(path)
    if not path.is_file():
        raise UsageError(f"there is no file {path}.")
    try:
        columns = read_npz(path)
    except READ_ERRORS as error:
        raise CheckpointError(f"{path} is not an .npz file of plain arrays; expected {FORM}.") from error
    if "fingerprint" in columns:
        return Vectors.load(path)
    features = columns.get("vectors", columns.get("features"))
    if features is None or "pids" not in columns:
        raise CheckpointError(f"{path} holds {', '.join(columns) or 'nothing'}; expected {FORM}.")
    if np.ndim(features) != 2 or np.asarray(features).dtype.kind not in "fiu":
        raise CheckpointError(
            f"{path}: vectors must be real numbers of shape (N, D), found {np.asarray(features).dtype} of shape "
            f"{np.shape(features)}."
        )
    count = len(features)
    names = names_in(columns, "paths", count, path)
    return Vectors(
        np.asarray(features, np.float32),
        names,
        names,
        whole_in(columns, "pids", count, path),
        whole_in(columns, "camids", count, path) if "camids" in columns else unknown(count)[1],
        str(path.parent),
        "unknown",
        metric,
    )


def whole_in(columns: dict[str, Any], name: str, count: int, path: Path) -> NDArray[np.int64]:
    """A column of a given file as whole numbers (count,).  Raises CheckpointError rather than round or guess."""
    column = np.asarray(columns[name])
    if column.shape != (count,):
        raise CheckpointError(f"{path}: {name} has shape {column.shape}; expected one whole number a row, ({count},).")
    if column.dtype.kind == "f" and (column == np.round(column)).all() and np.isfinite(column).all():
        return column.astype(np.int64)
    if column.size and column.dtype.kind not in "iu":
        raise CheckpointError(f"{path}: {name} must hold whole numbers, found {column.dtype}, {column[0]!s} for one.")
    return column.astype(np.int64)


def names_in(columns: dict[str, Any], name: str, count: int, path: Path) -> tuple[str, ...]:
    """A column of names (count,); the rows' numbers where there is none.  Raises CheckpointError for another length."""
    if name not in columns:
        return tuple(map(str, range(count)))
    if np.shape(columns[name]) != (count,):
        raise CheckpointError(
            f"{path}: {name} has shape {np.shape(columns[name])}; expected one name a row, ({count},)."
        )
    return tuple(map(str, columns[name]))


def _metric(text: object) -> Metric:
    if text == "cosine":
        return "cosine"
    if text == "euclidean":
        return "euclidean"
    raise ValueError(f"metric {text!r}")


def read_npz(path: Path) -> dict[str, Any]:
    """Every array of the file by its name, a single number as that.  Raises what `READ_ERRORS` lists."""
    found = np.load(path, allow_pickle=False)
    if not isinstance(found, np.lib.npyio.NpzFile):
        raise ValueError("one array alone")
    with found as file:
        return {name: file[name] if file[name].ndim else file[name].item() for name in file.files}


def _write_parquet(path: Path, columns: dict[str, Any], meta: dict[str, str]) -> None:
    arrow, parquet = pyarrow()
    vectors = columns.pop("vectors")
    flat = arrow.array(vectors.reshape(-1))
    table = arrow.table({**columns, "vectors": arrow.FixedSizeListArray.from_arrays(flat, vectors.shape[1])})
    parquet.write_table(table.replace_schema_metadata({f"resight.{k}": v for k, v in meta.items()}), path)


def _read_parquet(path: Path) -> dict[str, Any]:
    arrow, parquet = pyarrow()
    try:
        table = parquet.read_table(path)
    except arrow.ArrowException as error:
        raise ValueError(str(error)) from error
    columns: dict[str, Any] = {name: table[name].to_pylist() for name in ("ids", "paths", "pids", "camids")}
    lists = table["vectors"].combine_chunks()
    columns["vectors"] = lists.flatten().to_numpy().reshape(len(table), lists.type.list_size)
    meta = table.schema.metadata or {}
    known = {k: f"resight.{k}".encode() for k in ("root", "fingerprint", "metric", "beside")}
    return columns | {k: meta[key].decode() for k, key in known.items() if key in meta}
