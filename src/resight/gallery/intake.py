"""Checks of what a user gives: which vectors a gallery holds, and the records and vectors that are stored in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from resight.errors import GalleryError, UsageError
from resight.gallery.backend import Vectors
from resight.gallery.pictures import content, record_id
from resight.gallery.records import Record, moment, text


def identity(model: Any, dim: int | None, metric: str | None, fingerprint: str | None) -> dict[str, Any]:
    """What the caller says about the vectors."""
    if metric not in (None, "cosine", "euclidean"):
        raise UsageError(f"metric={metric!r}; choose cosine or euclidean.")
    if dim is not None and not 1 <= dim <= 32_768:
        raise UsageError(f"dim={dim}; a vector has 1 to 32768 numbers.")
    said = {"dim": dim, "metric": metric, "fingerprint": fingerprint}
    if model is not None:
        name = getattr(model, "fingerprint", None)
        theirs = {"dim": model.embedding_dim, "metric": model.metric, "fingerprint": name() if callable(name) else None}
        said = {key: theirs[key] if value is None else value for key, value in said.items()}
    return {key: value for key, value in said.items() if value is not None}


def check_identity(folder: Path, settings: dict[str, Any], wanted: dict[str, Any]) -> None:
    if wanted.get("fingerprint", settings["fingerprint"]) != settings["fingerprint"]:
        raise other_model(folder, settings["fingerprint"], wanted["fingerprint"])
    for key in ("dim", "metric"):
        if wanted.get(key, settings[key]) != settings[key]:
            raise GalleryError(f"{folder} holds vectors of {key} {settings[key]}; {wanted[key]} was asked for.")


def other_model(folder: Path, mine: str, theirs: str) -> GalleryError:
    return GalleryError(
        f"{folder} was made with another model ({mine[:12] or 'vectors of your own'}; this one is "
        f"{theirs[:12] or 'unnamed'}), and vectors of two models cannot be compared. Use that model, or embed the "
        f"gallery again with this one: resight gallery reembed {folder} --model MODEL"
    )


def checked_vectors(vectors: npt.ArrayLike, dim: int, metric: str) -> Vectors:
    """(N, D) float32, finite, of unit length where the metric is cosine.  Raises GalleryError for anything else."""
    found = np.atleast_2d(np.asarray(vectors))
    if found.dtype.kind not in "fiu" or found.ndim != 2 or found.shape[1] != dim:
        raise GalleryError(
            f"this gallery holds vectors of {dim} numbers, (N, {dim}); found {found.dtype} of shape "
            f"{found.shape}. Embed the pictures with the model the gallery was made for."
        )
    with np.errstate(over="ignore"):
        rows = np.ascontiguousarray(found, np.float32)
    if not np.isfinite(rows).all():
        raise GalleryError("a vector holds numbers that are not finite (NaN or infinity). Embed its picture again.")
    return _unit(rows) if metric == "cosine" else rows


def record_of(entry: dict[str, Any], vector: Vectors, now: float) -> tuple[Record, bytes | None]:
    """A record from one entry of every column, and the bytes of its picture."""
    image, camera, time = entry["images"], text(entry["cameras"], "cameras"), moment(entry["times"])
    data = None if image is None else content(image)
    source = text(entry["sources"], "sources")
    if source is None:
        source = str(Path(image).absolute()) if isinstance(image, str | Path) else ""
    id = text(entry["ids"], "ids")
    record = Record(
        id=record_id(data, vector, source, camera, time) if id is None else id,
        pid=text(entry["pids"], "pids"), camera=camera, time=time, source=source,
        label=text(entry["labels"], "labels"), note=text(entry["notes"], "notes"), added=now,
    )  # fmt: skip
    if not record.id:
        raise UsageError("an id is a text of at least one character; leave it None to have one made.")
    return record, data


def merged(old: Record, new: Record) -> Record:
    """What a record becomes when it is added again: what the new one does not say stays."""
    said = {name: getattr(new, name) for name in ("pid", "camera", "time", "label", "note")}
    given = {name: value for name, value in said.items() if value is not None}
    return replace(old, **given, source=new.source or old.source)


def _unit(rows: Vectors) -> Vectors:
    """Rows of length one; those within rounding of it stay as they are, so that adding again changes nothing."""
    lengths = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    if not (lengths > 0).all():
        raise GalleryError(
            "a vector is zero, which has no direction; cosine similarity needs one. Embed its picture again."
        )
    scale = np.where(np.abs(lengths - 1) < 1e-6, 1.0, lengths)
    return np.asarray(rows / scale, np.float32)
