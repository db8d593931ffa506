"""Things that stand about and things that get in the way: poles, bins, bushes, trees, bicycles, cars."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from resight.synth.clothing.fabric import rough
from resight.synth.scene.surface import Array, Mesh, block, join, linear, tube

if TYPE_CHECKING:
    from collections.abc import Callable


def _post(height: float, radius: float, color: Array, at: tuple[float, float] = (0.0, 0.0)) -> Mesh:
    z = np.linspace(0, height, 6)
    return tube(np.stack([0 * z + at[0], 0 * z + at[1], z], axis=1), radius, color, n=14)


def _color(draw: np.random.Generator, *choices: tuple[float, float, float]) -> Array:
    return linear(np.clip(np.array(choices[int(draw.integers(len(choices)))]) + draw.normal(0, 0.03, 3), 0.03, 0.95))


def _box(
    size: tuple[float, float, float], color: Array, at: tuple[float, float, float], roundness: float = 0.12
) -> Mesh:
    return block(size, color, roundness=roundness, n=12).moved(to=(at[0], at[1], at[2] + size[2] / 2))


def pole(draw: np.random.Generator) -> Mesh:
    """A lamp post or a traffic sign."""
    gray = _color(draw, (0.35, 0.36, 0.37), (0.6, 0.6, 0.6), (0.2, 0.25, 0.22))
    made = [_post(4.2, draw.uniform(0.035, 0.075), gray), _post(0.5, 0.11, gray)]
    if draw.random() < 0.5:
        sign = _color(draw, (0.7, 0.12, 0.12), (0.15, 0.3, 0.65), (0.85, 0.75, 0.2))
        made.append(_box((0.55, 0.04, 0.55), sign, (0, -0.08, 2.1), 0.6))
    return join(made)


def bin_(draw: np.random.Generator) -> Mesh:
    """A litter bin."""
    body = _color(draw, (0.22, 0.36, 0.26), (0.3, 0.3, 0.32), (0.25, 0.35, 0.5), (0.55, 0.35, 0.18))
    return join(
        [
            _box((0.5, 0.45, 0.95), body, (0, 0, 0.04), 0.25),
            _box((0.54, 0.49, 0.14), 0.5 * body, (0, 0, 0.97), 0.3),
        ]
    )


def board(draw: np.random.Generator) -> Mesh:
    """An advertising board on two legs."""
    face = _color(draw, (0.7, 0.25, 0.2), (0.85, 0.82, 0.75), (0.25, 0.45, 0.6), (0.8, 0.65, 0.2), (0.3, 0.3, 0.34))
    size = (draw.uniform(0.7, 1.2), 0.08, draw.uniform(0.9, 1.5))
    panel = block(size, face, roundness=0.2, n=48).moved(to=(0, 0, 0.18 + size[2] / 2))
    x, _, z = panel.vertices.T
    ink = rough(int(draw.integers(2**31)), x, z, 0.15)[:, None] > 0.7
    panel = Mesh(
        panel.vertices,
        panel.normals,
        np.where(ink, 0.9 - 0.8 * panel.colors, panel.colors).clip(0, 1),
        panel.faces,
    )
    return join([panel, _post(0.3, 0.03, 0.3 * face, (-0.3, 0)), _post(0.3, 0.03, 0.3 * face, (0.3, 0))])


def planter(draw: np.random.Generator) -> Mesh:
    """A tub with a shrub."""
    tub = _box((0.9, 0.6, 0.5), _color(draw, (0.6, 0.58, 0.55), (0.45, 0.3, 0.22), (0.3, 0.3, 0.3)), (0, 0, 0))
    return join([tub, _foliage(draw, (0.9, 0.7, 0.8), 0.75)])


def bush(draw: np.random.Generator) -> Mesh:
    """A round shrub on the ground."""
    height = draw.uniform(0.7, 1.3)
    return _foliage(draw, (draw.uniform(1.0, 2.2), draw.uniform(0.8, 1.2), height), 0.45 * height)


def _foliage(draw: np.random.Generator, size: tuple[float, float, float], height: float) -> Mesh:
    blob = block(size, (0.1, 0.2, 0.05), roundness=0.9, n=34)
    x, y, z = blob.vertices.T
    seed = int(draw.integers(2**31))
    leaf = rough(seed, 1.3 * x + 0.7 * y, z + 0.6 * y, 0.09) + rough(seed + 1, y - x, z, 0.22)
    tone = np.clip(0.75 + 0.35 * leaf, 0.12, 2.0)[:, None]
    green = _color(draw, (0.25, 0.38, 0.16), (0.20, 0.31, 0.17), (0.38, 0.42, 0.18), (0.30, 0.34, 0.20))
    grown = blob.vertices * (1 + 0.10 * leaf[:, None]) + [0, 0, height]
    return Mesh(grown, blob.normals, (green * tone).clip(0, 1), blob.faces)


def tree(draw: np.random.Generator) -> Mesh:
    """A trunk and a crown."""
    z = np.linspace(0, 3.2, 16)
    lean = draw.normal(0, 0.05, 2)
    path = np.stack([lean[0] * z, lean[1] * z, z], axis=1)
    bark = _color(draw, (0.36, 0.29, 0.23), (0.45, 0.40, 0.36))
    trunk = tube(path, draw.uniform(0.10, 0.2) * np.interp(z, [0, 0.4, 3.2], [1.5, 1.0, 0.7]), bark, n=14)
    return join([trunk, _foliage(draw, (3.4, 3.2, 2.6), 4.0)])


def pillar(draw: np.random.Generator) -> Mesh:
    """A round column."""
    return _post(5.0, draw.uniform(0.2, 0.35), _color(draw, (0.75, 0.73, 0.7), (0.5, 0.5, 0.52), (0.6, 0.5, 0.4)))


def bench(draw: np.random.Generator) -> Mesh:
    """A bench with a back."""
    wood, iron = (
        _color(draw, (0.45, 0.30, 0.18), (0.55, 0.45, 0.33), (0.4, 0.42, 0.45)),
        np.array([0.03, 0.03, 0.03]),
    )
    made = [_box((1.6, 0.45, 0.06), wood, (0, 0, 0.42)), _box((1.6, 0.06, 0.40), wood, (0, 0.24, 0.50))]
    return join(made + [_box((0.06, 0.45, 0.42), iron, (side, 0, 0)) for side in (-0.7, 0.7)])


def bicycle(draw: np.random.Generator) -> Mesh:
    """Two wheels and a frame."""
    paint = _color(
        draw,
        (0.6, 0.12, 0.12),
        (0.1, 0.1, 0.12),
        (0.2, 0.35, 0.6),
        (0.75, 0.75, 0.72),
        (0.85, 0.6, 0.1),
        (0.2, 0.45, 0.3),
    )
    turn = np.linspace(0, 2 * np.pi, 29)
    ring = np.stack([0.33 * np.cos(turn), 0 * turn, 0.33 + 0.33 * np.sin(turn)], axis=1)
    wheels = [
        tube(ring + np.array([x, 0, 0]), 0.022, (0.02, 0.02, 0.02), hint=(0, 1, 0), n=6, caps=False)
        for x in (-0.52, 0.52)
    ]
    bars = [
        ((-0.52, 0.33), (-0.16, 0.80)), ((-0.16, 0.80), (0.40, 0.82)), ((-0.12, 0.30), (-0.20, 0.95)),
        ((-0.12, 0.30), (0.40, 0.78)), ((0.52, 0.33), (0.36, 1.00)), ((-0.52, 0.33), (-0.12, 0.30)),
    ]  # fmt: skip
    frame = [tube(np.linspace((a[0], 0, a[1]), (b[0], 0, b[1]), 4), 0.018, paint, hint=(0, 1, 0), n=6) for a, b in bars]
    extras = [
        _box((0.26, 0.15, 0.06), np.full(3, 0.02), (-0.2, 0, 0.95), 0.5),
        _box((0.05, 0.55, 0.04), np.full(3, 0.03), (0.36, 0, 1.0)),
    ]
    if draw.random() < 0.5:
        extras.append(_box((0.3, 0.34, 0.26), np.full(3, 0.15), (0.58, 0, 0.78), 0.2))
    return join(wheels + frame + extras)


def car(draw: np.random.Generator) -> Mesh:
    """A parked car."""
    paint = _color(
        draw,
        (0.75, 0.75, 0.76),
        (0.12, 0.12, 0.13),
        (0.5, 0.08, 0.08),
        (0.15, 0.22, 0.4),
        (0.45, 0.46, 0.48),
        (0.9, 0.9, 0.9),
    )
    made = [
        _box((4.2, 1.75, 0.62), paint, (0, 0, 0.28), 0.3),
        _box((2.3, 1.55, 0.60), np.array([0.02, 0.025, 0.03]), (-0.2, 0, 0.84), 0.45),
    ]
    made.append(_box((2.0, 1.50, 0.08), paint, (-0.2, 0, 1.40), 0.4))
    wheel = block((0.62, 0.2, 0.62), (0.015, 0.015, 0.015), roundness=0.8, n=12)
    return join(made + [wheel.moved(to=(x, y, 0.31)) for x in (-1.35, 1.35) for y in (-0.82, 0.82)])


def bollard(draw: np.random.Generator) -> Mesh:
    """A short thick post."""
    return _post(
        draw.uniform(0.7, 1.1),
        draw.uniform(0.09, 0.16),
        _color(draw, (0.6, 0.58, 0.55), (0.2, 0.2, 0.2), (0.75, 0.6, 0.15)),
    )


THINGS: dict[str, Callable[[np.random.Generator], Mesh]] = {
    "pole": pole, "bin": bin_, "board": board, "planter": planter, "bush": bush, "tree": tree, "pillar": pillar,
    "bench": bench, "bicycle": bicycle, "car": car, "bollard": bollard,
}  # fmt: skip
