"""Surfaces that follow a body: cut at a line, refined, moved off the skin, hung with folds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from resight.synth.body.model import Rest, body_model
from resight.synth.body.pose import skin
from resight.synth.clothing.fabric import Fabric, folds, shade
from resight.synth.scene.surface import Array, Mesh, unit, vertex_normals

if TYPE_CHECKING:
    from resight.synth.body.obj import Faces

Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Part:
    """A surface at rest: vertices (V, 3), triangles (F, 3), the bones (V, K) a vertex follows and with which weights.

    colors (V, 3) are linear.  Where there is a fabric, `chart` (V, 2) says where on the cloth a vertex lies (around and
    up, metres), and folds of up to `depth` (V,) metres are hung in it anew for every picture.
    """

    vertices: Array
    faces: Faces
    weights: NDArray[np.float32]
    bones: Index
    colors: Array
    chart: Array | None = None
    depth: Array | None = None
    fabric: Fabric | None = None
    shiny: bool = False

    def posed(self, transforms: Array, moment: int) -> Mesh:
        """The surface under bone transforms (J, 3, 4), with the folds of this moment."""
        vertices = skin(self.vertices, self.weights, self.bones, transforms)
        normals = vertex_normals(vertices, self.faces)
        colors = self.colors
        if self.fabric is not None and self.chart is not None and self.depth is not None:
            fold = folds(self.fabric, moment, self.chart[:, :1], self.chart[:, 1:], slant=0.35, size=0.11)
            vertices = vertices + normals * (self.depth * fold[:, 0])[:, None]
            normals = vertex_normals(vertices, self.faces)
            colors = shade(colors[:, None], fold)[:, 0]
        return Mesh(vertices, normals, colors, self.faces)


def region(rest: Rest, group: str) -> Part:
    """A group of the base mesh, `body` or a helper surface for clothes, as a part of middle gray."""
    used, faces, weights, bones = _topology(group)
    vertices = rest.vertices[used]
    return Part(vertices, faces, weights, bones, np.full_like(vertices, 0.5))


@lru_cache(maxsize=8)
def _topology(group: str) -> tuple[Index, Faces, NDArray[np.float32], Index]:
    model = body_model()
    used, faces = np.unique(model.groups[group], return_inverse=True)
    return used, faces.reshape(-1, 3), model.weights[used], model.bones[used]


def refined(part: Part) -> Part:
    """Every triangle cut in four, the new vertices rounded off a little so that the facets do not show."""
    edges, faces = _subdivision(part.faces.tobytes(), len(part.vertices))
    first, second = edges.T
    normals = vertex_normals(part.vertices, part.faces)
    chord = part.vertices[second] - part.vertices[first]
    # the height of the arc over its chord that has these normals at its ends
    lift = ((normals[first] - normals[second]) * chord).sum(axis=1, keepdims=True) / 8
    middle = 0.5 * (part.vertices[first] + part.vertices[second]) - lift * unit(normals[first] + normals[second])
    weights, bones = _mixed(part, first, second)
    return replace(
        part,
        vertices=np.concatenate([part.vertices, middle]),
        faces=faces,
        weights=np.concatenate([part.weights, weights]),
        bones=np.concatenate([part.bones, bones]),
        colors=np.concatenate([part.colors, 0.5 * (part.colors[first] + part.colors[second])]),
    )


@lru_cache(maxsize=16)
def _subdivision(raw: bytes, count: int) -> tuple[Index, Faces]:
    """Edges (E, 2) that get a vertex in their middle, and the finer faces, for the faces whose bytes these are."""
    faces = np.frombuffer(raw, np.int64).reshape(-1, 3)
    corners = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    edges, where = np.unique(np.sort(corners, axis=1), axis=0, return_inverse=True)
    ab, bc, ca = (where.reshape(3, -1) + count).reshape(3, len(faces))
    a, b, c = faces.T
    fine = [np.stack(corner, axis=1) for corner in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))]
    return edges, np.concatenate(fine)


def _mixed(part: Part, first: Index, second: Index) -> tuple[NDArray[np.float32], Index]:
    """Influences half way between two vertices, the strongest kept: where a bone occurs twice its shares add up."""
    bones = np.concatenate([part.bones[first], part.bones[second]], axis=1)
    weights = 0.5 * np.concatenate([part.weights[first], part.weights[second]], axis=1)
    return strongest(weights, bones, part.bones.shape[1])


def strongest(weights: Array, bones: Index, count: int = 4) -> tuple[NDArray[np.float32], Index]:
    """The strongest influences of each vertex; where a bone occurs twice in a row its shares add up."""
    same = bones[:, :, None] == bones[:, None, :]
    total = (same * weights[:, None, :]).sum(axis=2)
    earliest = same.argmax(axis=2) == np.arange(bones.shape[1])
    total = np.where(earliest, total, 0.0)
    order = np.argsort(-total, axis=1)[:, :count]
    kept = np.take_along_axis(total, order, axis=1)
    scaled = (kept / np.maximum(kept.sum(axis=1, keepdims=True), 1e-9)).astype(np.float32)
    return scaled, np.take_along_axis(bones, order, axis=1)


def cut(part: Part, value: Array) -> Part:
    """What lies where `value` (V,) is positive.  Edges that cross zero end there, so that a hem is a straight line."""
    inside = value > 0
    faces = part.faces[inside[part.faces].any(axis=1)]
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    edges = np.concatenate([edges, edges[:, ::-1]])
    edges = edges[inside[edges[:, 0]] & ~inside[edges[:, 1]]]
    keep, lose = edges.T
    share = value[keep] / np.maximum(value[keep] - value[lose], 1e-9)
    crossing = part.vertices[keep] + share[:, None] * (part.vertices[lose] - part.vertices[keep])
    vertices = part.vertices.copy()
    count = np.bincount(lose, minlength=len(vertices))
    for axis in range(3):
        total = np.bincount(lose, weights=crossing[:, axis], minlength=len(vertices))
        vertices[:, axis] = np.where(count > 0, total / np.maximum(count, 1), vertices[:, axis])
    return compact(replace(part, vertices=vertices, faces=faces))


def compact(part: Part) -> Part:
    """Without the vertices that no face uses."""
    used, faces = np.unique(part.faces, return_inverse=True)
    return replace(
        part,
        vertices=part.vertices[used],
        faces=faces.reshape(-1, 3),
        weights=part.weights[used],
        bones=part.bones[used],
        colors=part.colors[used],
        chart=None if part.chart is None else part.chart[used],
        depth=None if part.depth is None else part.depth[used],
    )


def grown(part: Part, ease: float | Array) -> Part:
    """Moved off the skin along the normals by `ease` metres, one number or (V,)."""
    normals = vertex_normals(part.vertices, part.faces)
    return replace(part, vertices=part.vertices + normals * np.asarray(ease, float).reshape(-1, 1))


def rigid(mesh: Mesh, bone: str, *, shiny: bool = False) -> Part:
    """A mesh at rest that follows one bone."""
    count = len(mesh.vertices)
    bones = np.full((count, 1), body_model().bone[bone], np.int64)
    return Part(mesh.vertices, mesh.faces, np.ones((count, 1), np.float32), bones, mesh.colors, shiny=shiny)
