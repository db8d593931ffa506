"""Boxes: around a person as projected, as a detector would have it, and how much of the person one shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from resight.synth.camera.cameras import FRAME

if TYPE_CHECKING:
    from resight.synth.camera.cameras import Camera
    from resight.synth.scene.shot import Box
    from resight.synth.scene.surface import Array

Rectangle = tuple[float, float, float, float]  # left, top, right, bottom, in pixels of the frame
Window = tuple[int, int, int, int]  # the same in whole pixels


def bounds(pixels: Array) -> Rectangle:
    """The tight box of projected points (N, 2)."""
    (left, top), (right, bottom) = pixels.min(axis=0), pixels.max(axis=0)
    return float(left), float(top), float(right), float(bottom)


def window_of(box: Box, tight: Rectangle) -> Window:
    """The detector's box in whole pixels, clipped to the frame."""
    left, top, right, bottom = tight
    tall = bottom - top
    high = tall * box.tall
    own = max((right - left) * 1.12, 0.37 * tall)
    wide = (max(box.aspect * tall, 0.9 * (right - left)) if box.aspect else own) * box.wide * box.tall
    x, y = (left + right) / 2 + box.shift[0] * tall, (top + bottom) / 2 + box.shift[1] * tall
    edges = np.round([x - wide / 2, y - high / 2, x + wide / 2, y + high / 2]).astype(int)
    low = np.clip(edges[:2], 0, np.array(FRAME) - 8)
    far = np.maximum(np.clip(edges[2:], 0, FRAME), low + 8)
    return int(low[0]), int(low[1]), int(far[0]), int(far[1])


def visible_share(
    camera: Camera,
    outline: Array,
    hiding: list[Array],
    tight: Rectangle,
    window: Window,
) -> float:
    """Share of the person's cells, on a grid 40 high, that lie in the window with nothing nearer the camera.

    outline (N, 3) are points of the person, each of `hiding` (M, 3) points of something that may be in the way.
    """
    cell = max((tight[3] - tight[1]) / 40, 1e-3)
    start = np.array(tight[:2])
    shape = (42, int((tight[2] - tight[0]) / cell) + 2)

    def nearest(points: Array) -> Array:
        depth = np.full(shape, np.inf)
        at = np.floor((camera.project(points) - start) / cell).astype(int)
        inside = (at >= 0).all(axis=1) & (at[:, 0] < shape[1]) & (at[:, 1] < shape[0])
        np.minimum.at(depth, (at[inside, 1], at[inside, 0]), np.linalg.norm(points[inside] - camera.eye, axis=1))
        return depth

    mine = nearest(outline)
    seen = np.isfinite(mine)
    theirs = nearest(np.concatenate(hiding)) if hiding else np.full(shape, np.inf)
    x, y = start[0] + (np.arange(shape[1]) + 0.5) * cell, start[1] + (np.arange(shape[0]) + 0.5) * cell
    inside = ((y >= window[1]) & (y <= window[3]))[:, None] & ((x >= window[0]) & (x <= window[2]))[None]
    return float((seen & inside & (mine < theirs)).sum() / max(seen.sum(), 1))
