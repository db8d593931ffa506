"""Surfaces a person and a street are made of: lofted sheets, tubes along a path, rounded blocks.

Everything is a `Mesh` of triangles with a normal and a colour per vertex.  Metres; z is up; a person looks along +y
with +x to their right.  Colours are linear reflectances, 0..1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Mesh:
    """Triangles: vertices (V, 3), normals (V, 3), colours (V, 3), faces (F, 3) counter-clockwise from outside."""

    vertices: Array
    normals: Array
    colors: Array
    faces: NDArray[np.int64]

    def moved(self, *, yaw: float = 0.0, to: ArrayLike = (0.0, 0.0, 0.0)) -> Mesh:
        """Turned about the vertical by `yaw` radians (counter-clockwise from above), then shifted by `to`."""
        turn = turned(yaw)
        return Mesh(self.vertices @ turn.T + np.asarray(to, float), self.normals @ turn.T, self.colors, self.faces)


def turned(yaw: float) -> Array:
    """The (3, 3) matrix that turns about the vertical, counter-clockwise seen from above."""
    cosine, sine = np.cos(yaw), np.sin(yaw)
    return np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])


def linear(srgb: ArrayLike) -> Array:
    """Screen colour 0..1 (sRGB, IEC 61966-2-1) -> linear reflectance."""
    value = np.asarray(srgb, float)
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def unit(vectors: ArrayLike) -> Array:
    """Vectors (..., 3) scaled to length one; the zero vector stays zero."""
    vectors = np.asarray(vectors, float)
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, 1e-12))


def join(meshes: Sequence[Mesh]) -> Mesh:
    """All in one; a mesh of nothing where there are none."""
    if not meshes:
        none = np.zeros((0, 3))
        return Mesh(none, none, none, np.zeros((0, 3), np.int64))
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes[:-1])])
    return Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([mesh.normals for mesh in meshes]),
        np.concatenate([mesh.colors for mesh in meshes]),
        np.concatenate([mesh.faces + start for mesh, start in zip(meshes, starts, strict=True)]),
    )


def sheet(points: Array, colors: ArrayLike) -> Mesh:
    """A grid of points (m, n, 3) as a surface, the last column joined to the first.

    Columns run counter-clockwise seen from the end of the rows, so that normals point outwards.  `colors` is one
    color or (m, n, 3).
    """
    m, n, _ = points.shape
    row, column = np.meshgrid(np.arange(m - 1), np.arange(n), indexing="ij")
    after = (column + 1) % n
    a, b = row * n + column, row * n + after
    c, d = (row + 1) * n + after, (row + 1) * n + column
    faces = np.stack([a, b, c, a, c, d], axis=-1).reshape(-1, 3)
    vertices = points.reshape(-1, 3)
    painted = np.broadcast_to(np.asarray(colors, float), points.shape).reshape(-1, 3)
    return Mesh(vertices, vertex_normals(vertices, faces), painted.copy(), faces)


def vertex_normals(vertices: Array, faces: NDArray[np.int64]) -> Array:
    """Area-weighted mean of the normals of the faces around each vertex (V, 3)."""
    first, second, third = (vertices[faces[:, k]] for k in range(3))
    flat = np.repeat(np.cross(second - first, third - first), 3, axis=0)  # (3F, 3)
    corner, count = faces.reshape(-1), len(vertices)
    summed = [np.bincount(corner, weights=flat[:, axis], minlength=count) for axis in range(3)]
    return unit(np.stack(summed, axis=1))


def circle(n: int) -> tuple[Array, Array]:
    """n angles from the front, turning to the left, and nothing twice: theta (n,), and the unit (n, 2) right/front."""
    theta = -np.linspace(-np.pi, np.pi, n, endpoint=False)
    return theta, np.stack([np.sin(theta), np.cos(theta)], axis=1)


def frames(path: Array, hint: ArrayLike) -> tuple[Array, Array]:
    """Across and front (m, 3) of each cross-section of a path (m, 3); across stays as near to `hint` as it can."""
    tangent = unit(np.gradient(path, axis=0))
    hint = np.broadcast_to(np.asarray(hint, float), path.shape)
    across = unit(hint - (hint * tangent).sum(axis=1, keepdims=True) * tangent)
    return across, np.cross(tangent, across)


def tube(
    path: Array,
    radius: ArrayLike,
    colors: ArrayLike,
    *,
    hint: ArrayLike = (1.0, 0.0, 0.0),
    n: int = 16,
    caps: bool = True,
) -> Mesh:
    """A tube along `path` (m, 3).  `radius` is one number, (m,), (m, 2) across and front, or (m, n, 2) by angle."""
    m = len(path)
    across, front = frames(path, hint)
    radius = np.asarray(radius, float)
    if radius.ndim < 2:
        radius = np.broadcast_to(radius[..., None] if radius.ndim else radius, (m, 2))
    if radius.ndim == 2:
        radius = np.broadcast_to(radius[:, None, :], (m, n, 2))
    ring = circle(radius.shape[1])[1] * radius  # (m, n, 2)
    points = path[:, None] + ring[..., :1] * across[:, None] + ring[..., 1:] * front[:, None]
    paint = np.broadcast_to(np.asarray(colors, float), points.shape)
    if caps:
        points = np.concatenate(
            [
                np.broadcast_to(path[:1, None], points[:1].shape),
                points,
                np.broadcast_to(path[-1:, None], points[:1].shape),
            ]
        )
        paint = np.concatenate([paint[:1], paint, paint[-1:]])
    return sheet(points, paint)


def block(size: ArrayLike, colors: ArrayLike, *, roundness: float = 0.35, n: int = 20) -> Mesh:
    """A superellipsoid about the origin, `size` (3,) full extents; roundness 1 is an ellipsoid, 0 a box."""
    theta, height = -_evenly(-np.pi, np.pi, 2 * n + 1, roundness)[:-1], _evenly(-np.pi / 2, np.pi / 2, n, roundness)
    bent = np.stack(
        [
            _power(np.cos(height), roundness)[:, None] * _power(np.sin(theta), roundness),
            _power(np.cos(height), roundness)[:, None] * _power(np.cos(theta), roundness),
            np.broadcast_to(_power(np.sin(height), roundness)[:, None], (n, 2 * n)),
        ],
        axis=-1,
    )
    return sheet(bent * (np.asarray(size, float) / 2), colors)


def _evenly(low: float, high: float, n: int, exponent: float) -> Array:
    """n angles between which a superellipse has equal lengths of arc; equal angles would crowd at its corners."""
    angle = np.linspace(low, high, 1440)
    curve = np.stack([_power(np.cos(angle), exponent), _power(np.sin(angle), exponent)], axis=1)
    length = np.concatenate([[0.0], np.linalg.norm(np.diff(curve, axis=0), axis=1).cumsum()])
    return np.asarray(np.interp(np.linspace(0, length[-1], n), length, angle))


def _power(value: Array, exponent: float) -> Array:
    return np.asarray(np.sign(value) * np.abs(value) ** exponent)
