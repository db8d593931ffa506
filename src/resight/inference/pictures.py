"""Pictures as an extractor takes them: one or many, or boxes of a frame."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias, cast

import numpy as np
from torch import Tensor

from resight.data.loading.picture import is_pil, pixels_of
from resight.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from resight.data.loading.picture import Picture

    Pictures: TypeAlias = Picture | Sequence[Picture]

log = logging.getLogger("resight.inference")


def as_sequence(pictures: Pictures) -> Sequence[Picture]:
    """One picture as a list of one; a ready batch by its pictures."""
    if isinstance(pictures, np.ndarray | Tensor):
        return [pictures] if pictures.ndim in (0, 2, 3) else list(pictures)
    if isinstance(pictures, str | os.PathLike | bytes | bytearray | memoryview) or is_pil(pictures):
        return [pictures]
    return [cast("Picture", pictures)] if hasattr(pictures, "read") else list(cast("Sequence[Picture]", pictures))


def cut_boxes(frame: Picture, xyxy: ArrayLike) -> list[NDArray[np.uint8] | None]:
    """The pixels of each box; None, and a warning in the log, for one that cannot be cropped.  Raises UsageError."""
    corners = np.asarray(xyxy, np.float64)
    corners = corners.reshape(-1, 4) if not corners.size else corners
    if corners.ndim != 2 or corners.shape[1] != 4:
        raise UsageError(f"boxes have the shape (N, 4), x1 y1 x2 y2; found {corners.shape}.")
    whole = pixels_of(frame)  # (h, w, 3)
    crops = [_crop(whole, box) for box in corners]
    for row, crop in enumerate(crops):
        if crop is None:
            log.warning(
                "box %d, %s, cannot be cropped from a frame of %d x %d: its vector is NaN.",
                row, corners[row].tolist(), whole.shape[1], whole.shape[0],
            )  # fmt: skip
    return crops


def _crop(frame: NDArray[np.uint8], box: NDArray[np.float64]) -> NDArray[np.uint8] | None:
    """The pixels of a box, whole ones at its edges; None where there are none."""
    height, width = frame.shape[:2]
    if not np.isfinite(box).all():
        return None
    x1, y1 = np.floor(box[:2]).clip(0, (width, height)).astype(int)
    x2, y2 = np.ceil(box[2:]).clip(0, (width, height)).astype(int)
    return frame[y1:y2, x1:x2] if x2 > x1 and y2 > y1 else None
