"""What people carry: backpacks, satchels across the trunk, handbags, carrier bags, a phone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from resight.synth.clothing.fabric import paint
from resight.synth.scene.surface import Array, Mesh, block, frames, linear, tube, unit

if TYPE_CHECKING:
    from resight.synth.body.body import Stance
    from resight.synth.clothing.wardrobe import Carried, Person


def belongings(stance: Stance, person: Person) -> list[Mesh]:
    """Everything a person carries, placed on the stance."""
    thick = 0.012 + (person.outer or person.top).ease
    worn = {"backpack": _backpack, "satchel": _satchel}
    held = {"handbag": _handbag, "carrier": _carrier, "phone": _phone}
    made: list[Mesh] = []
    for item in person.carried:
        made += worn[item.kind](stance, item, thick) if item.kind in worn else held[item.kind](stance, item)
    return made


def _box(item: Carried, size: tuple[float, float, float], roundness: float) -> Mesh:
    """A bag about the origin in its cloth's colours, with a pocket where it faces away."""
    mesh = block(size, linear(item.fabric.colour), roundness=roundness, n=24)
    x, y, z = mesh.vertices.T
    painted = paint(item.fabric, x[:, None], z[:, None] + 1.0, np.full((len(x), 1), np.pi / 2), 1.0)[:, 0]
    pocket = (np.abs(x) < 0.36 * size[0]) & (z < 0.02 * size[2]) & (z > -0.42 * size[2]) & (y < -0.2 * size[1])
    painted = np.where(pocket[:, None], 0.6 * painted + 0.4 * linear(item.fabric.second), painted)
    return Mesh(mesh.vertices, mesh.normals, painted.clip(0, 1), mesh.faces)


def _placed(mesh: Mesh, across: Array, front: Array, where: Array) -> Mesh:
    frame = np.stack([across, front, np.cross(across, front)])
    return Mesh(mesh.vertices @ frame + where, mesh.normals @ frame, mesh.colours, mesh.faces)


def _strap(path: Array, width: float, colour: Array, normals: Array) -> Mesh:
    """A flat band along `path`, lying against the normals (m, 3)."""
    tangent = unit(np.gradient(path, axis=0))
    return tube(
        path,
        np.broadcast_to([width / 2, 0.006], (len(path), 2)),
        colour,
        hint=np.cross(normals, tangent),
        n=8,
    )


def _over(stance: Stance, z: Array, theta: Array, off: float) -> tuple[Array, Array]:
    """Points (m, 3) on the clothed trunk at paired heights and angles, and the directions away from it."""
    points = stance.skin(z, theta[:, None], off)[:, 0]
    return points, unit(points - stance.spine(z)[0])


def _backpack(stance: Stance, item: Carried, thick: float) -> list[Mesh]:
    H, s = stance.body.height, item.size
    size = (0.29 * s, 0.17 * s, 0.44 * s)
    z = np.array([0.695 * H])
    centre, across, front = (part[0] for part in stance.spine(z))
    depth = stance.body.torso(z)[0, 2] + thick + 0.42 * size[1]
    made = [_placed(_box(item, size, 0.45), across, front, centre - depth * front)]
    u = np.linspace(0, 1, 22)
    up = H * np.interp(u, [0, 0.45, 0.62, 0.72, 1.0], [0.640, 0.76, 0.815, 0.818, 0.75])
    for sign in (1, -1):
        theta = sign * np.interp(u, [0, 0.15, 0.45, 0.62, 0.72, 1.0], [1.5, 1.0, 0.62, 0.9, 2.1, 2.7])
        path, away = _over(stance, up, theta, thick + 0.008)
        made.append(_strap(path, 0.055, 0.7 * linear(item.fabric.second), away))
    return made


def _satchel(stance: Stance, item: Carried, thick: float) -> list[Mesh]:
    H, s, sign = stance.body.height, item.size, 1.0 - 2.0 * item.side
    size = (0.11 * s, 0.32 * s, 0.24 * s)
    u = np.linspace(0, 1, 40)
    z = H * (0.675 - 0.145 * np.cos(2 * np.pi * u))
    theta = sign * (np.pi / 2 - 2 * np.pi * u)
    path, away = _over(stance, z, theta, thick + 0.008)
    centre, across, front = (part[0] for part in stance.spine(np.array([0.51 * H])))
    wide = stance.body.torso(np.array([0.52 * H]))[0, 0]
    where = centre + sign * (wide + thick + 0.5 * size[0]) * across - 0.03 * front
    return [
        _strap(path, 0.035, linear(item.fabric.second) * 0.6, away),
        _placed(_box(item, size, 0.3), across, front, where),
    ]


def _hand(stance: Stance, side: int) -> Array:
    wrist, elbow = stance.arms[side].joints[:2]
    return np.asarray(wrist + 0.075 * unit(wrist - elbow))


def _handles(grip: Array, front: Array, span: float, drop: float, colour: Array) -> Mesh:
    a = np.linspace(0, np.pi, 14)
    arc = grip - span * np.cos(a)[:, None] * front + ((np.sin(a) - 1) * drop)[:, None] * [0, 0, 1.0]
    return tube(arc, 0.008, colour, hint=np.cross(front, [0, 0, 1.0]), n=6)


def _handbag(stance: Stance, item: Carried) -> list[Mesh]:
    _, across, front = (part[0] for part in stance.spine(np.array([0.55 * stance.body.height])))
    size = (0.12 * item.size, 0.30 * item.size, 0.22 * item.size)
    grip = _hand(stance, item.side) + (1 - 2 * item.side) * 0.02 * across
    where = grip - np.array([0, 0, 0.12 + size[2] / 2])
    handle = _handles(grip, front, 0.3 * size[1], 0.13, linear(item.fabric.second) * 0.5)
    return [_placed(_box(item, size, 0.28), across, front, where), handle]


def _carrier(stance: Stance, item: Carried) -> list[Mesh]:
    _, across, front = (part[0] for part in stance.spine(np.array([0.55 * stance.body.height])))
    size = (0.15 * item.size, 0.28 * item.size, 0.34 * item.size)
    grip = _hand(stance, item.side)
    bag = _box(item, size, 0.6)
    pinch = np.interp(bag.vertices[:, 2] / size[2], [-0.5, 0.2, 0.5], [1.0, 0.95, 0.45])[:, None]
    bag = Mesh(
        bag.vertices * np.concatenate([pinch, pinch, np.ones_like(pinch)], axis=1),
        bag.normals,
        bag.colours,
        bag.faces,
    )
    return [_placed(bag, across, front, grip - np.array([0, 0, 0.03 + size[2] / 2]))]


def _phone(stance: Stance, item: Carried) -> list[Mesh]:
    wrist, elbow, _ = stance.arms[item.side].joints
    across, front = (part[0] for part in frames(np.stack([wrist, 2 * wrist - elbow]), stance.arms[item.side].hint))
    where = _hand(stance, item.side) + 0.03 * np.array([0, 0, 1.0])
    return [
        _placed(
            block((0.075, 0.012, 0.15), np.array([0.02, 0.02, 0.025]), roundness=0.2, n=8),
            across,
            front,
            where,
        )
    ]
