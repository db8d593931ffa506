"""Descriptors less the mean of their camera."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from resight.clustering import centered
from resight.errors import DatasetError
from resight.types import UNKNOWN_CAMERA

if TYPE_CHECKING:
    from resight.inference.embeddings import Vectors


def without_camera_means(query: Vectors, gallery: Vectors) -> tuple[Vectors, Vectors]:
    """Both sets with each camera's mean, over the pictures of both, subtracted; no label is used.

    Raises DatasetError where no camera is known, or vectors are not compared by cosine.
    """
    if query.metric != "cosine":
        raise DatasetError("camera means are subtracted from vectors of unit length; these are compared by distance.")
    camids = np.concatenate([query.camids, gallery.camids])
    if (camids == UNKNOWN_CAMERA).all():
        raise DatasetError("no camera is known, so there is no camera's mean to subtract. Leave --center-cameras out.")
    moved = centered(np.concatenate([query.vectors, gallery.vectors]), camids)
    return replace(query, vectors=moved[: len(query)]), replace(gallery, vectors=moved[len(query) :])
