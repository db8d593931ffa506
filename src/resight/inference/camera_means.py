"""Descriptors less the mean of their camera."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from resight.clustering import centered
from resight.errors import DatasetError
from resight.types import UNKNOWN_CAMERA

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from resight.inference.embeddings import Vectors

NO_CAMERA = "no camera is known, so there is no camera's mean to subtract. Leave --center-cameras out."
NOT_COSINE = "camera means are subtracted from vectors of unit length; these are compared by distance."


@dataclass(frozen=True)
class CameraMeans:
    """Mean vectors of the cameras of a gallery, for both sides of a search in it.

    cameras (C,), means (C, D), overall (D,) of all vectors, for a picture of no known camera.
    """

    cameras: NDArray[np.int64]
    means: NDArray[np.float32]
    overall: NDArray[np.float32]

    @classmethod
    def of(cls, gallery: Vectors) -> CameraMeans:
        """Raises DatasetError where no camera is known, or vectors are not compared by cosine."""
        if gallery.metric != "cosine":
            raise DatasetError(NOT_COSINE)
        cameras = np.unique(gallery.camids[gallery.camids != UNKNOWN_CAMERA])
        if not len(cameras):
            raise DatasetError(NO_CAMERA)
        means = [gallery.vectors[gallery.camids == camera].mean(axis=0) for camera in cameras]
        return cls(cameras, np.stack(means), gallery.vectors.mean(axis=0))

    def subtracted(self, vectors: NDArray[np.float32], camids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Each vector (N, D) less the mean of its camera (N,), of unit length again."""
        place = np.minimum(np.searchsorted(self.cameras, camids), len(self.cameras) - 1)
        known = self.cameras[place] == camids
        moved = vectors - np.where(known[:, None], self.means[place], self.overall)
        length = np.linalg.norm(moved, axis=1, keepdims=True)
        return np.asarray(moved / np.where(length > 0, length, 1), np.float32)


def without_camera_means(query: Vectors, gallery: Vectors) -> tuple[Vectors, Vectors]:
    """Both sets with each camera's mean, over the pictures of both, subtracted; no label is used.

    Raises DatasetError where no camera is known, or vectors are not compared by cosine.
    """
    if query.metric != "cosine":
        raise DatasetError(NOT_COSINE)
    camids = np.concatenate([query.camids, gallery.camids])
    if (camids == UNKNOWN_CAMERA).all():
        raise DatasetError(NO_CAMERA)
    moved = centered(np.concatenate([query.vectors, gallery.vectors]), camids)
    return replace(query, vectors=moved[: len(query)]), replace(gallery, vectors=moved[len(query) :])
