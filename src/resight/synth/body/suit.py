"""Coordinates on the body for cutting clothes: the limb of a point, how far along it, and its place on the cloth."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np

from resight.synth.body.model import BodyModel, Rest, body_model
from resight.synth.body.parts import Part, refined, region
from resight.synth.scene.surface import Array

if TYPE_CHECKING:
    from numpy.typing import NDArray

Limb = Literal["trunk", "head", "arm", "hand", "leg", "foot"]
LIMBS: tuple[Limb, ...] = ("trunk", "head", "arm", "hand", "leg", "foot")
_WORDS: dict[Limb, tuple[str, ...]] = {
    "trunk": ("root", "pelvis", "spine", "clavicle", "shoulder01"),
    "head": ("neck", "head", "eye"),
    "arm": ("upperarm", "lowerarm"),
    "hand": ("wrist", "finger", "metacarpal"),
    "leg": ("upperleg", "lowerleg"),
    "foot": ("foot", "toe"),
}


@dataclass(frozen=True, eq=False)
class Suit:
    """A part with, for each vertex, its limb, the place along it and on the cloth.

    along (V,) runs from 0 at wrist or ankle over 1 at elbow or knee to 2 at shoulder or hip, and is 2 on the trunk;
    axis (V, 3) is the nearest point of the limb's bones; theta (V,) is the angle around (0 ahead, right positive).
    """

    part: Part
    limb: NDArray[np.int64]  # index into LIMBS
    along: Array
    axis: Array
    theta: Array
    chart: Array
    rest: Rest

    def on(self, *limbs: Limb) -> NDArray[np.bool_]:
        """Which vertices lie on one of these limbs (V,)."""
        return np.isin(self.limb, [LIMBS.index(limb) for limb in limbs])

    @property
    def height(self) -> Array:
        """Height over the ground (V,), metres."""
        return self.part.vertices[:, 2]


@lru_cache(maxsize=4)
def clothes_base(rest: Rest) -> Suit:
    """The helper surface for tight clothes, refined once."""
    return suit(rest, refined(region(rest, "helper-tights")))


@lru_cache(maxsize=4)
def bare(rest: Rest) -> Suit:
    """The skin."""
    return suit(rest, region(rest, "body"))


def suit(rest: Rest, part: Part) -> Suit:
    """Find limbs and places for the vertices of any part at rest."""
    model = body_model()
    limb = _limbs(model, part)
    right = part.vertices[:, 0] > 0
    along, axis = np.full(len(limb), 2.0), part.vertices * [0.0, 1.0, 1.0]
    axis[:, 1] = np.interp(axis[:, 2], *_spine(model, rest))
    for kind, names in (("arm", ("wrist", "lowerarm01", "upperarm01")), ("leg", ("foot", "lowerleg01", "upperleg01"))):
        ends = ("arm", "hand") if kind == "arm" else ("leg", "foot")
        for suffix, mine in (("R", right), ("L", ~right)):
            chosen = mine & np.isin(limb, [LIMBS.index(end) for end in ends])
            joints = np.stack([rest.heads[model.bone[f"{name}.{suffix}"]] for name in names])
            along[chosen], axis[chosen] = _nearest(joints, part.vertices[chosen])
    away = part.vertices - axis
    theta = np.arctan2(away[:, 0], away[:, 1])
    return Suit(part, limb, along, axis, theta, _chart(limb, along, theta, part.vertices, rest), rest)


def _limbs(model: BodyModel, part: Part) -> NDArray[np.int64]:
    kinds = np.array(
        [next(row for row, limb in enumerate(LIMBS) if label.startswith(_WORDS[limb])) for label in model.labels]
    )
    share = np.zeros((len(part.vertices), len(LIMBS)))
    for k in range(part.weights.shape[1]):
        np.add.at(share, (np.arange(len(share)), kinds[part.bones[:, k]]), part.weights[:, k])
    return np.asarray(share.argmax(axis=1))


def _spine(model: BodyModel, rest: Rest) -> tuple[Array, Array]:
    """Heights and forward positions of the trunk's middle."""
    names = ("upperleg01.R", "spine04", "spine02", "spine01", "neck01", "neck03", "head")
    points = np.stack([rest.heads[model.bone[name]] for name in names])
    order = np.argsort(points[:, 2])
    return points[order, 2], points[order, 1] + 0.02


def _nearest(joints: Array, points: Array) -> tuple[Array, Array]:
    """Place along a chain of three joints (far, middle, near), and the nearest point on its bones."""
    best, place, where = np.full(len(points), np.inf), np.zeros(len(points)), np.zeros_like(points)
    for number in (0, 1):
        start, bone = joints[number], joints[number + 1] - joints[number]
        share = (points - start) @ bone / (bone @ bone)
        inner = np.clip(share, -0.3 if number == 0 else 0.0, 1.0)
        spot = start + inner[:, None] * bone
        away = np.linalg.norm(points - spot, axis=1)
        nearer = away < best
        best[nearer], place[nearer], where[nearer] = away[nearer], number + share[nearer], spot[nearer]
    return place, where


def _chart(limb: NDArray[np.int64], along: Array, theta: Array, vertices: Array, rest: Rest) -> Array:
    """Where on the cloth a point lies: metres around and metres up."""
    arms = np.isin(limb, [LIMBS.index("arm"), LIMBS.index("hand")])
    legs = np.isin(limb, [LIMBS.index("leg"), LIMBS.index("foot")])
    girth = np.where(arms, 0.055, np.where(legs, 0.085, 0.15))
    up = np.where(arms, 0.80 * rest.stature - 0.15 * rest.stature * (2 - along), vertices[:, 2])
    return np.stack([theta * girth + np.where(arms, 0.37, 0.0) * np.sign(vertices[:, 0]), up], axis=1)
