"""What people carry: backpacks and satchels on the trunk, bags and a phone in the hands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from resight.synth.body.model import Rest, body_model
from resight.synth.body.parts import Part, rigid
from resight.synth.body.suit import clothes_base
from resight.synth.clothing.fabric import paint
from resight.synth.scene.surface import Array, Mesh, block, join, linear, tube, unit

if TYPE_CHECKING:
    from resight.synth.clothing.wardrobe import Carried, Person


def worn(rest: Rest, person: Person) -> list[Part]:
    """Bags that lie on the trunk, at rest."""
    thick = 0.014 + 1.3 * (person.outer or person.top).ease
    makers = {"backpack": _backpack, "satchel": _satchel}
    return [part for item in person.carried if item.kind in makers for part in makers[item.kind](rest, item, thick)]


def held(person: Person, transforms: Array, rest: Rest) -> list[Mesh]:
    """Things in the hands, which hang upright whatever the arm does; in posed positions."""
    model, made = body_model(), []
    for item in person.carried:
        if item.kind in ("backpack", "satchel"):
            continue
        bone = model.bone[f"finger3-1.{'RL'[item.side]}"]
        grip = transforms[bone, :, :3] @ rest.heads[bone] + transforms[bone, :, 3]
        made.append(_in_hand(item).moved(to=grip))
    return made


def _box(item: Carried, size: tuple[float, float, float], roundness: float) -> Mesh:
    """A bag about the origin in its cloth's colors, with a pocket where it faces away."""
    mesh = block(size, linear(item.fabric.color), roundness=roundness, n=24)
    x, y, z = mesh.vertices.T
    painted = paint(item.fabric, x[:, None], z[:, None] + 1.0, np.full((len(x), 1), np.pi / 2), 1.0)[:, 0]
    pocket = (np.abs(x) < 0.36 * size[0]) & (z < 0.02 * size[2]) & (z > -0.42 * size[2]) & (y < -0.2 * size[1])
    painted = np.where(pocket[:, None], 0.6 * painted + 0.4 * linear(item.fabric.second), painted)
    return Mesh(mesh.vertices, mesh.normals, painted.clip(0, 1), mesh.faces)


def _strap(path: Array, width: float, color: Array, normals: Array) -> Mesh:
    tangent = unit(np.gradient(path, axis=0))
    flat = np.broadcast_to([width / 2, 0.006], (len(path), 2))
    return tube(path, flat, color, hint=np.cross(normals, tangent), n=8)


def _trunk(rest: Rest, heights: Array, angles: Array, off: float) -> tuple[Array, Array]:
    """Points (m, 3) on the clothed trunk at paired heights and angles, and the directions away from it."""
    base = clothes_base(rest)
    chosen = base.on("trunk", "head")
    points, theta = base.part.vertices[chosen], base.theta[chosen]
    made = []
    for height, angle in zip(heights, angles, strict=True):
        turn = np.abs((theta - angle + np.pi) % (2 * np.pi) - np.pi)
        near = np.argsort(np.hypot(points[:, 2] - height, 0.14 * turn))[:3]
        made.append(points[near].mean(axis=0))
    path = np.array(made)
    away = unit((path - base.axis[chosen].mean(axis=0)) * [1, 1, 0] + [0, 0, 0.001])
    over = np.clip((path[:, 2] / rest.stature - 0.79) / 0.03, 0, 1)[:, None]  # straps lie on top of the shoulders
    away = unit((1 - over) * away + over * np.array([0, 0, 1.0]))
    return path + off * away, away


def _backpack(rest: Rest, item: Carried, thick: float) -> list[Part]:
    s, height = item.size, rest.stature
    size = (0.30 * s, 0.17 * s, 0.45 * s)
    spine, _ = _trunk(rest, np.array([0.70 * height]), np.array([np.pi]), thick)
    made = [rigid(_box(item, size, 0.45).moved(to=(0.0, spine[0, 1] - 0.42 * size[1], 0.69 * height)), "spine02")]
    u = np.linspace(0, 1, 18)
    up = height * np.interp(u, [0, 0.45, 0.68, 0.78, 1.0], [0.64, 0.75, 0.815, 0.815, 0.75])
    for sign in (1.0, -1.0):
        turn = sign * np.interp(u, [0, 0.15, 0.45, 0.68, 0.78, 1.0], [1.5, 1.0, 0.75, 1.2, 2.0, 2.6])
        path, away = _trunk(rest, up, turn, thick)
        made.append(rigid(_strap(_smooth(path), 0.055, 0.7 * linear(item.fabric.second), away), "spine01"))
    return made


def _satchel(rest: Rest, item: Carried, thick: float) -> list[Part]:
    s, height, sign = item.size, rest.stature, 1.0 - 2.0 * item.side
    size = (0.11 * s, 0.32 * s, 0.24 * s)
    u = np.linspace(0, 1, 36)
    path, away = _trunk(
        rest, height * (0.675 - 0.145 * np.cos(2 * np.pi * u)), sign * (np.pi / 2 - 2 * np.pi * u), thick
    )
    side, _ = _trunk(rest, np.array([0.53 * height]), np.array([sign * np.pi / 2]), thick)
    where = (side[0, 0] + sign * 0.5 * size[0], side[0, 1] - 0.03, 0.49 * height)
    return [
        rigid(_strap(_smooth(path), 0.04, linear(item.fabric.second) * 0.6, away), "spine03"),
        rigid(_box(item, size, 0.3).moved(to=where), "spine05"),
    ]


def _smooth(path: Array) -> Array:
    for _ in range(3):
        inner = 0.25 * path[:-2] + 0.5 * path[1:-1] + 0.25 * path[2:]
        path = np.concatenate([path[:1], inner, path[-1:]])
    return path


def _umbrella(item: Carried) -> Mesh:
    """Open, its stick upright from the hand."""
    level = np.linspace(0, 0.85, 6)
    stick = tube(np.stack([0 * level, 0 * level, level], axis=1), 0.008, np.array([0.03, 0.03, 0.03]), n=6)
    shade = block((1.05 * item.size, 1.05 * item.size, 0.42), linear(item.fabric.color), roundness=1.0, n=16)
    top = np.maximum(shade.vertices, [-9, -9, -0.02])  # the lower half of the ball is pressed flat
    return join([Mesh(top, shade.normals, shade.colors, shade.faces).moved(to=(0, 0, 0.70)), stick])


def _in_hand(item: Carried) -> Mesh:
    """A thing hanging from, or held at, the origin."""
    if item.kind == "phone":
        black = np.array([0.02, 0.02, 0.025])
        return block((0.075, 0.012, 0.15), black, roundness=0.2, n=8).moved(to=(0, 0.02, 0.05))
    if item.kind == "umbrella":
        return _umbrella(item)
    if item.kind == "handbag":
        size = (0.12 * item.size, 0.30 * item.size, 0.22 * item.size)
        turn = np.linspace(0, np.pi, 14)
        arc = np.stack([0 * turn, -0.09 * np.cos(turn), (np.sin(turn) - 1) * 0.13], axis=1)
        handle = tube(arc, 0.008, linear(item.fabric.second) * 0.5, hint=(1.0, 0, 0), n=6)
        return join([_box(item, size, 0.28).moved(to=(0, 0, -0.12 - size[2] / 2)), handle])
    size = (0.15 * item.size, 0.28 * item.size, 0.34 * item.size)
    bag = _box(item, size, 0.6)
    pinch = np.interp(bag.vertices[:, 2] / size[2], [-0.5, 0.2, 0.5], [1.0, 0.95, 0.45])[:, None]
    pinched = bag.vertices * np.concatenate([pinch, pinch, np.ones_like(pinch)], axis=1)
    return Mesh(pinched, bag.normals, bag.colors, bag.faces).moved(to=(0, 0, -0.03 - size[2] / 2))
