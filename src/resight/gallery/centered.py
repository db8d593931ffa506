"""Searching a gallery without what a camera does to all of its pictures: vectors less the mean of their camera."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from resight.errors import UsageError
from resight.gallery.backend import every
from resight.gallery.records import Filter, Record
from resight.types import UNKNOWN_CAMERA

if TYPE_CHECKING:
    from resight.gallery.backend import Backend, Found, Vectors
    from resight.inference.camera_means import CameraMeans
    from resight.types import Metric


class Centered:
    """A back-end's vectors less the mean of their camera, of unit length again; where no camera is known, less that of
    all.

    The means are those of all records at the moment.  They are not kept, and so never out of date: a search compares
    with every vector that matches, as no index holds these, and taking the means is one more reading of all.

    Raises:
        UsageError: no record names its camera, or vectors are compared by distance.
    """

    def __init__(self, backend: Backend, metric: Metric) -> None:
        if metric != "cosine":
            raise UsageError("camera means are subtracted from vectors of unit length; these are compared by distance.")
        self.backend = backend
        self._means, self._codes = _means(backend)

    def moved(self, vectors: Vectors, cameras: Sequence[str | None]) -> Vectors:
        """Vectors (N, D) of these cameras (N,) less their means."""
        codes = [UNKNOWN_CAMERA if camera is None else self._codes.get(camera, UNKNOWN_CAMERA) for camera in cameras]
        return self._means.subtracted(vectors, np.array(codes, np.int64))

    def vectors(self, ids: Sequence[str]) -> dict[str, Vectors]:
        records, found = self.backend.fetch(ids), self.backend.vectors(ids)
        there = [id for id in found if id in records]
        if not there:
            return {}
        moved = self.moved(np.stack([found[id] for id in there]), [records[id].camera for id in there])
        return dict(zip(there, moved, strict=True))

    def nearest(self, queries: Vectors, k: int, where: Filter, exact: bool) -> list[Found]:  # noqa: ARG002 - it always is
        """As a back-end's; `queries` are moved already."""
        similarities = np.empty((len(queries), 0), np.float32)
        held: list[Record] = []  # those of the columns
        for records, vectors in every(self.backend, where):
            moved = self.moved(vectors, [record.camera for record in records])
            similarities, held = np.concatenate([similarities, queries @ moved.T], axis=1), held + records
            kept = np.unique(np.argsort(-similarities, axis=1, kind="stable")[:, :k])
            similarities, held = similarities[:, kept], [held[at] for at in kept]
        order = np.argsort(-similarities, axis=1, kind="stable")[:, :k]
        return [[(held[at], float(row[at])) for at in best] for row, best in zip(similarities, order, strict=True)]


def _means(backend: Backend) -> tuple[CameraMeans, dict[str, int]]:
    """Mean vectors of the cameras, and the number of each camera in them."""
    from resight.inference.camera_means import CameraMeans

    sums: dict[str | None, Vectors] = {}
    counts: Counter[str | None] = Counter()
    for records, vectors in every(backend, Filter()):
        cameras = np.array([record.camera for record in records], object)
        counts.update(cameras)
        for camera in set(cameras):
            sums[camera] = sums.get(camera, 0) + vectors[cameras == camera].sum(axis=0, dtype=np.float64)
    codes = {camera: code for code, camera in enumerate(sorted(camera for camera in sums if camera is not None))}
    if not codes:
        raise UsageError("no record names its camera, so there is no camera's mean to subtract.")
    means = np.array([sums[camera] / counts[camera] for camera in codes], np.float32)
    overall = np.asarray(sum(sums.values()) / counts.total(), np.float32)
    return CameraMeans(np.arange(len(codes)), means, overall), codes
