"""Heads: a face without identity, hair in its styles, hats, glasses, a beard, a scarf."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from resight.synth.clothing.fabric import rough
from resight.synth.scene.surface import Array, Mesh, block, circle, linear, sheet, tube, unit

if TYPE_CHECKING:
    from resight.synth.body.body import Stance
    from resight.synth.clothing.wardrobe import Hair, Hat, Person

_ROWS, _COLUMNS = 44, 56


def heads(stance: Stance, person: Person) -> list[Mesh]:
    """Neck, head, hair and what is worn there, placed on the stance."""
    body = stance.body
    scale = body.head * (0.162 + 0.040 * body.height)  # heads vary far less than stature
    base, across, front = (part[0] for part in stance.spine(np.array([0.862 * body.height])))
    up = unit(np.cross(across, front))
    nod, look = stance.pose.nod, stance.pose.look
    across, front = np.cos(look) * across - np.sin(look) * front, np.cos(look) * front + np.sin(look) * across
    front, up = np.cos(nod) * front - np.sin(nod) * up, np.cos(nod) * up + np.sin(nod) * front
    base = base + 0.012 * front
    local = [_skull(person), *_hair(person.hair, person.hat is not None), *_worn(person)]
    frame = np.stack([across, front, up])  # rows: where local x, y, z point
    placed = [
        Mesh(mesh.vertices * scale @ frame + base, mesh.normals @ frame, mesh.colours, mesh.faces) for mesh in local
    ]
    return [
        _neck(stance, person, base),
        *placed,
        *_curtain(stance, person, base, scale),
        *_scarf(stance, person),
    ]


def _neck(stance: Stance, person: Person, base: Array) -> Mesh:
    body = stance.body
    z = np.linspace(0.79, 0.86, 8) * body.height
    path = stance.spine(z)[0]
    path = np.concatenate([path, base[None] + [[0, 0, 0.05]]])
    radius = (0.056 if body.sex == 0 else 0.046) * (0.6 + 0.4 * body.girth)
    wide = radius * np.array([1.9, 1.6, 1.3, 1.15, 1.05, 1, 1, 1, 1])
    return tube(path, np.stack([wide, np.minimum(wide, 1.15 * radius)], axis=1), linear(person.skin), n=24)


def _outline(v: Array) -> tuple[Array, Array, Array]:
    """Half width, front and back depth of a skull of height 1 at levels v (0 chin, 1 crown)."""
    wide = np.interp(
        v,
        [0, 0.04, 0.15, 0.3, 0.5, 0.7, 0.85, 0.94, 0.985, 1.0],
        [0.06, 0.17, 0.25, 0.30, 0.335, 0.345, 0.30, 0.22, 0.11, 0.01],
    )
    ahead = np.interp(
        v,
        [0, 0.04, 0.15, 0.3, 0.5, 0.7, 0.85, 0.94, 0.985, 1.0],
        [0.30, 0.37, 0.39, 0.39, 0.385, 0.40, 0.34, 0.24, 0.12, 0.01],
    )
    behind = np.interp(
        v,
        [0, 0.1, 0.2, 0.35, 0.5, 0.7, 0.85, 0.94, 0.985, 1.0],
        [0.02, 0.10, 0.25, 0.37, 0.45, 0.46, 0.38, 0.26, 0.13, 0.01],
    )
    return wide, ahead, behind


def _shell(v: Array, theta: Array, grow: float | Array = 0.0) -> Array:
    """Points (m, n, 3) on the skull at levels v (m,) and angles theta (n,), `grow` (of the head's height) off it."""
    wide, ahead, behind = (part[:, None] for part in _outline(v))
    sine, cosine = np.sin(theta), np.cos(theta)
    factor = 1.0 + np.asarray(grow) / 0.36
    lift = 0.5 + (v[:, None] - 0.5) * np.where(v[:, None] > 0.5, 1.0 + np.asarray(grow) / 0.5, 1.0)
    x = wide * factor * sine
    y = np.where(cosine > 0, ahead, behind) * factor * cosine
    return np.stack([x, y, np.broadcast_to(lift, x.shape)], axis=-1)


def _skull(person: Person) -> Mesh:
    v = np.concatenate([np.linspace(0, 0.9, _ROWS - 8), np.linspace(0.92, 1.0, 8)])
    theta, _ = circle(_COLUMNS)
    angle, level = np.meshgrid(theta, v)
    nose = np.exp(-((angle / 0.13) ** 2)) * np.interp(level, [0.30, 0.36, 0.55], [0, 1, 0]) * (level > 0.29)
    sockets = np.exp(-(((np.abs(angle) - 0.40) / 0.20) ** 2) - ((level - 0.53) / 0.05) ** 2)
    points = _shell(v, theta)
    points[..., 1] += 0.10 * nose - 0.02 * sockets
    return sheet(points, _face(person, angle, level, sockets))


def _face(person: Person, angle: Array, level: Array, sockets: Array) -> Array:
    """Eyes, brows, mouth, cheeks, stubble: the same for everybody but for tone."""
    skin, hair = linear(person.skin), linear(person.hair.colour)
    colours = np.broadcast_to(skin, (*angle.shape, 3)) * (1 - 0.25 * sockets[..., None])

    def mix(amount: Array, colour: Array) -> None:
        nonlocal colours
        colours = colours + np.clip(amount, 0, 1)[..., None] * (colour - colours)

    side = np.abs(angle)
    mix(
        1.2 * np.exp(-(((side - 0.40) / 0.10) ** 2) - ((level - 0.525) / 0.020) ** 2),
        np.array([0.02, 0.015, 0.012]),
    )
    mix(0.8 * np.exp(-(((side - 0.42) / 0.17) ** 2) - ((level - 0.595) / 0.018) ** 2), 0.6 * hair)
    lips = skin * np.array([0.75, 0.45, 0.45]) if person.body.sex == 0 else np.array([0.42, 0.10, 0.10])
    mix(0.9 * np.exp(-((angle / 0.26) ** 2) - ((level - 0.205) / 0.024) ** 2), lips)
    mix(
        0.3 * np.exp(-(((side - 0.65) / 0.25) ** 2) - ((level - 0.36) / 0.08) ** 2),
        skin * np.array([1.0, 0.75, 0.7]),
    )
    if person.beard:
        mix(
            0.85 * (1 / (1 + np.exp((level - 0.27 - 0.1 * np.clip(side - 0.6, 0, 1)) * 40))) * (side < 1.7),
            hair,
        )
    if person.glasses:
        rim = np.abs(np.hypot((side - 0.42) / 0.30, (level - 0.525) / 0.075) - 1) < 0.28
        bar = (np.abs(level - 0.545) < 0.018) & (side > 0.6) & (side < 1.6)
        mix(0.9 * (rim | bar), np.array([0.01, 0.01, 0.01]))
    return colours


def _strands(hair: Hair, angle: Array, level: Array) -> Array:
    """Linear colours (m, n, 3) of hair: lighter and darker strands along its fall."""
    curl = hair.style == "curly"
    tone = rough(hair.seed, 2.2 * angle, (4.0 if curl else 0.25) * level, 0.35 if curl else 0.22)
    return np.asarray(linear(hair.colour) * (1.0 + 0.35 * np.clip(tone, -1.4, 1.8))[..., None]).clip(0, 1)


def _hair(hair: Hair, hatted: bool) -> list[Mesh]:
    """The cap of hair on the skull, and a tail or bun."""
    if hair.style == "bald":
        return []
    v = np.concatenate([np.linspace(0.0, 0.9, _ROWS - 8), np.linspace(0.92, 1.0, 8)])
    theta, _ = circle(_COLUMNS + 16)
    angle, level = np.meshgrid(theta, v)
    thick = {"cropped": 0.012, "short": 0.045, "parted": 0.06, "curly": 0.13, "bob": 0.075}.get(hair.style, 0.055)
    if hatted:
        thick = min(thick, 0.03)
    side = np.abs(angle)
    nape = {"bob": 0.0, "long": 0.0, "curly": 0.12, "ponytail": 0.2, "bun": 0.2}.get(hair.style, 0.22)
    sides = {"bob": 0.02, "long": 0.0, "curly": 0.25, "ponytail": 0.42, "bun": 0.42}.get(hair.style, 0.45)
    fringe = {"bob": 0.68, "parted": 0.80, "long": 0.80, "curly": 0.72}.get(hair.style, 0.77 + 0.004 * (hair.seed % 11))
    turns = [0.0, 0.62, 0.95, 1.30, 1.75, 2.1, np.pi]
    levels = [fringe, fringe - 0.02, (fringe + sides) / 2 + 0.1, sides, sides, nape, nape]
    line = np.interp(side, turns, levels) + 0.015 * rough(hair.seed, 3 * angle, 0 * angle, 0.5)
    bumps = rough(hair.seed + 1, 0.36 * angle, 0.9 * level, 0.09 if hair.style == "curly" else 0.16)
    grow = (
        thick
        * (1 + (0.25 if hair.style != "cropped" else 0.05) * bumps)
        * np.clip((level - line) / 0.08 + 0.35, 0.15, 1)
    )
    grow = grow * np.interp(level, [0, 0.3, 0.8], [0.8, 0.9, 1.0])
    made = [sheet(_shell(v, theta, grow), _strands(hair, angle, level), keep=level > line)]
    if hair.style == "bun":
        bun = block((0.36, 0.34, 0.33), linear(hair.colour), roundness=1.0, n=14)
        made.append(bun.moved(to=(0, -0.50, 0.72 + 0.02 * (hair.seed % 10))))
    if hair.style == "ponytail":
        s = np.linspace(0, 1, 16)
        drop = np.stack(
            [
                0 * s,
                -0.45 - 0.28 * np.sin(np.pi * np.minimum(s * 1.2, 1) * 0.6),
                0.74 - (1.0 + 0.05 * (hair.seed % 9)) * s,
            ],
            axis=1,
        )
        radius = 0.11 * np.interp(s, [0, 0.15, 0.6, 1], [0.55, 1.0, 0.9, 0.25])
        made.append(tube(drop[::-1], radius[::-1], linear(hair.colour), n=12))
    return made


def _curtain(stance: Stance, person: Person, base: Array, scale: float) -> list[Mesh]:
    """Long hair falling on the back and, at the sides, before the shoulders."""
    hair = person.hair
    if hair.style not in ("long", "bob"):
        return []
    longer = 1.15 + 0.09 * (hair.seed % 8) if hair.style == "long" else 0.16
    s = np.linspace(0, 1, 24)
    theta = np.linspace(0.95 if hair.style == "long" else 1.05, 2 * np.pi - 0.95, 44)[::-1]
    angle, fall = np.meshgrid(theta, s[::-1])
    side = np.abs((angle + np.pi) % (2 * np.pi) - np.pi)
    length = longer * np.interp(side, [0.9, 1.4, 2.2, np.pi], [0.75, 0.85, 1.0, 1.0])
    spread = 1.0 + 0.10 * np.sin(np.pi * np.minimum(fall * 1.3, 1.0)) + 0.05 * rough(hair.seed, 0.6 * angle, fall, 0.3)
    back = np.clip(fall * length - 0.25, 0, None)
    x = 0.39 * spread * np.sin(angle)
    y = np.where(np.cos(angle) > 0, 0.36, 0.50) * spread * np.cos(angle) - 0.10 * np.clip(back, 0, 0.5) * (side > 1.2)
    z = 0.45 - length * fall
    points = np.stack([x, y, z], axis=-1) * scale
    _, across, front = (part[0] for part in stance.spine(np.array([0.80 * stance.body.height])))
    world = points[..., :1] * across + points[..., 1:2] * front + points[..., 2:] * [0, 0, 1.0] + base
    return [sheet(world, _strands(hair, angle, fall), closed=False)]


def _worn(person: Person) -> list[Mesh]:
    made: list[Mesh] = []
    if person.body.sex == 0 or person.hair.style in ("bald", "cropped", "short", "bun", "ponytail"):
        ear = block((0.07, 0.16, 0.24), 0.9 * linear(person.skin), roundness=1, n=8)
        made += [ear.moved(to=(sign * 0.345, -0.02, 0.47)) for sign in (-1, 1)]
    return made + (_hat(person.hat) if person.hat else [])


def _hat(hat: Hat) -> list[Mesh]:
    theta, _ = circle(48)
    low = 0.66 if hat.kind != "beanie" else 0.60
    v = np.concatenate([np.linspace(low, 0.9, 12), np.linspace(0.92, 1.0, 6)])
    colour = linear(hat.colour)
    grow = np.full((len(v), 1), 0.055 if hat.kind != "beanie" else 0.075)
    crown = sheet(_shell(v, theta, grow), np.broadcast_to(colour, (len(v), 48, 3)))
    if hat.kind == "beanie":
        rim = sheet(_shell(np.linspace(low - 0.03, low + 0.1, 5), theta, 0.095), 0.8 * colour)
        return [crown, rim]
    reach = np.linspace(0, 1, 6)[:, None]
    ahead = np.clip(np.cos(theta), 0, 1) ** 0.7 * (np.abs(theta) < 1.25) if hat.kind == "cap" else np.ones_like(theta)
    inner = _shell(np.array([low + 0.02]), theta, 0.055)[0]
    width = 0.34 if hat.kind == "cap" else 0.26
    outwards = unit(inner * [1, 1, 0])
    brim = inner + (reach * width * ahead)[..., None] * outwards - (reach**2 * 0.06 * ahead)[..., None] * [0, 0, 1.0]
    return [crown, sheet(brim[::-1], 0.85 * colour)]


def _scarf(stance: Stance, person: Person) -> list[Mesh]:
    if person.scarf is None:
        return []
    H = stance.body.height
    theta, _ = circle(40)
    angle, ring = np.meshgrid(theta, np.linspace(0, np.pi, 9))
    z = np.linspace(0.822, 0.868, 9) * H
    points = stance.skin(np.minimum(z, 0.845 * H), angle, 0.012 + 0.040 * np.sin(ring) + 0.006 * np.sin(7 * angle))
    points = points + ((z - np.minimum(z, 0.845 * H))[:, None, None] * np.array([0, 0, 1.0]))
    tone = 1 + 0.2 * np.sin(3 * angle + 4 * ring)
    return [sheet(points, np.clip(linear(person.scarf) * tone[..., None], 0, 1))]
