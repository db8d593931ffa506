"""Pictures of grounds and walls, drawn from noise and grids.  Linear colours; row 0 of a wall is its foot."""

from __future__ import annotations

import numpy as np

from resight.synth.scene.surface import Array, linear

_TILE = 512  # pixels of a ground tile's side


def spectral(draw: np.random.Generator, shape: tuple[int, int], slope: float) -> Array:
    """Noise that repeats, of unit spread, with an amplitude spectrum f^-slope."""
    fy, fx = np.fft.fftfreq(shape[0])[:, None] * shape[0], np.fft.fftfreq(shape[1])[None, :] * shape[1]
    amplitude = np.maximum(np.hypot(fy, fx), 1.0) ** -slope
    amplitude[0, 0] = 0
    field = np.fft.ifft2(np.fft.fft2(draw.normal(size=shape)) * amplitude).real
    return np.asarray(field / field.std())


def _tinted(draw: np.random.Generator, color: tuple[float, float, float], spread: float = 0.02) -> Array:
    return np.asarray(np.clip(np.array(color) + draw.normal(0, spread, 3), 0.03, 0.95))


def _toned(color: Array, tone: Array) -> Array:
    """Linear (h, w, 3): a screen colour times a tone (h, w)."""
    return linear(np.clip(color * tone[..., None], 0.0, 1.0))


def _cells(
    draw: np.random.Generator, shape: tuple[int, int], size: tuple[float, float], shifted: bool
) -> tuple[Array, Array]:
    """Tiles: a random value per tile and whether a pixel lies in a joint (h, w)."""
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]]
    row = (y / size[0]).astype(int)
    moved = x + (row % 2) * size[1] / 2 * shifted
    column = (moved / size[1]).astype(int)
    value = draw.random((row.max() + 1, column.max() + 1))[row, column]
    joint = ((y % size[0]) < 1.0) | ((moved % size[1]) < 1.0)
    return value, joint


def _paved(
    draw: np.random.Generator,
    color: tuple[float, float, float],
    size: tuple[float, float],
    spread: float,
    shifted: bool = False,
) -> Array:
    value, joint = _cells(draw, (_TILE, _TILE), size, shifted)
    tone = (
        1
        + spread * (value - 0.5)
        + 0.035 * spectral(draw, (_TILE, _TILE), 0.6)
        + 0.05 * spectral(draw, (_TILE, _TILE), 1.4)
    )
    return _toned(_tinted(draw, color), np.where(joint, 0.72, 1.0) * tone)


def _plaza_ground(draw: np.random.Generator) -> tuple[Array, float]:
    side = float(draw.choice([16.0, 32.0, 64.0]))
    return _paved(
        draw, draw.choice([(0.62, 0.60, 0.57), (0.72, 0.69, 0.64), (0.55, 0.52, 0.52)]), (side, side), 0.14
    ), 12.0


def _park_ground(draw: np.random.Generator) -> tuple[Array, float]:
    blade, patch = spectral(draw, (_TILE, _TILE), 0.35), spectral(draw, (_TILE, _TILE), 1.3)
    green = _toned(_tinted(draw, (0.36, 0.45, 0.22)), 1 + 0.2 * blade + 0.12 * patch)
    soil = _toned(_tinted(draw, (0.50, 0.42, 0.33)), 1 + 0.12 * blade)
    leaves = spectral(draw, (_TILE, _TILE), 0.2) > 2.0
    ground = np.where((patch > 0.9)[..., None], soil, green)
    return np.where(leaves[..., None], linear(_tinted(draw, (0.62, 0.42, 0.20), 0.05)), ground), 9.0


def _hall_ground(draw: np.random.Generator) -> tuple[Array, float]:
    side = float(draw.choice([32.0, 51.2, 64.0]))
    return _paved(
        draw, draw.choice([(0.76, 0.73, 0.68), (0.62, 0.62, 0.64), (0.70, 0.62, 0.52)]), (side, side), 0.05
    ), 10.0


def _street_ground(draw: np.random.Generator) -> tuple[Array, float]:
    tone = 1 + 0.10 * spectral(draw, (_TILE, _TILE), 0.3) + 0.10 * spectral(draw, (_TILE, _TILE), 1.5)
    ground = _toned(_tinted(draw, (0.43, 0.43, 0.44)), tone)
    if draw.random() < 0.6:
        at = int(draw.integers(0, _TILE))
        stripe = (np.arange(_TILE) - at) % _TILE < 6
        ground[stripe] = linear(0.85 * np.clip(tone[stripe], 0.7, 1.1))[..., None]
    return ground, 14.0


def _courtyard_ground(draw: np.random.Generator) -> tuple[Array, float]:
    return _paved(draw, draw.choice([(0.55, 0.44, 0.39), (0.52, 0.49, 0.46)]), (8.0, 16.0), 0.30, True), 9.0


def _station_ground(draw: np.random.Generator) -> tuple[Array, float]:
    ground = _paved(draw, (0.50, 0.51, 0.53), (32.0, 32.0), 0.06)
    at = int(draw.integers(0, _TILE - 24))
    ground[at : at + 18] = linear(_tinted(draw, (0.80, 0.68, 0.20)))
    return ground, 10.0


def _facade(draw: np.random.Generator) -> Array:
    """A front with windows: (224, 1152, 3) for 7 x 36 metres, row 0 at the foot."""
    h, w = 224, 1152
    value, joint = _cells(draw, (h, w), (5.0, 14.0), True)
    brick = draw.random() < 0.5
    color = _tinted(
        draw,
        (0.54, 0.41, 0.35) if brick else draw.choice([(0.72, 0.70, 0.66), (0.55, 0.55, 0.57), (0.78, 0.72, 0.58)]),
    )
    tone = (
        1
        + 0.08 * spectral(draw, (h, w), 1.2)
        + (0.25 * (value - 0.5) - 0.2 * joint if brick else 0.03 * spectral(draw, (h, w), 0.3))
    )
    texture = _toned(color, tone)
    step, wide, foot, tall = (
        int(draw.integers(60, 130)),
        int(draw.integers(25, 55)),
        int(draw.integers(8, 34)),
        int(draw.integers(50, 90)),
    )
    glass = _tinted(draw, (0.20, 0.25, 0.30), 0.05)
    for at in range(int(draw.integers(0, step)), w - wide, step):
        texture[foot - 3 : foot + tall + 3, at - min(3, at) : at + wide + 3] = linear(np.clip(color * 1.25, 0, 0.95))
        shine = np.linspace(0.6, 1.6, tall)[:, None, None] * draw.uniform(0.6, 1.4)
        texture[foot : foot + tall, at : at + wide] = linear(np.clip(glass * shine, 0, 1))
    return texture


def _greenery(draw: np.random.Generator) -> Array:
    h, w = 224, 1152
    leaf, mass = spectral(draw, (h, w), 0.5), spectral(draw, (h, w), 1.5)
    return _toned(_tinted(draw, (0.22, 0.32, 0.16)), np.clip(0.9 + 0.35 * leaf + 0.3 * mass, 0.15, 2.2))


def _inside(draw: np.random.Generator) -> Array:
    """An inner wall: panels, doors, posters."""
    h, w = 224, 1152
    color = _tinted(draw, draw.choice([(0.80, 0.78, 0.74), (0.66, 0.70, 0.74), (0.72, 0.64, 0.52)]))
    texture = _toned(color, 1 + 0.05 * spectral(draw, (h, w), 1.5))
    texture[:9] = linear(0.45 * color)
    for at in range(0, w, int(draw.integers(50, 140))):
        texture[:, at : at + 2] *= 0.6
    for _ in range(14):
        at, wide, foot, tall = (
            int(draw.integers(0, w - 80)),
            int(draw.integers(16, 70)),
            int(draw.integers(20, 60)),
            int(draw.integers(24, 60)),
        )
        poster = _tinted(draw, (0.5, 0.5, 0.5), 0.25)
        texture[foot : foot + tall, at : at + wide] = _toned(poster, 1 + 0.35 * spectral(draw, (tall, wide), 1.2))
    for _ in range(4):
        at = int(draw.integers(0, w - 40))
        texture[:68, at : at + 32] = linear(_tinted(draw, (0.40, 0.32, 0.26), 0.08))
    return texture


def _shops(draw: np.random.Generator) -> Array:
    """Shop windows under coloured signs."""
    h, w, at = 224, 1152, 0
    texture = _facade(draw)
    while at < w:
        wide = int(draw.integers(70, 170))
        sign, glass = _tinted(draw, (0.5, 0.4, 0.4), 0.25), _tinted(draw, (0.25, 0.27, 0.30), 0.08)
        goods = spectral(draw, (92, wide), 1.1)[..., None] * _tinted(draw, (0.25, 0.22, 0.2), 0.08)
        texture[6:98, at : at + wide] = linear(np.clip(glass + goods, 0.02, 0.95))[:, : w - at]
        texture[98:118, at : at + wide] = linear(sign)
        texture[6:98, at : at + 4] = linear(0.6 * sign)
        at += wide
    return texture[:h]


GROUNDS = {
    "plaza": _plaza_ground, "park": _park_ground, "hall": _hall_ground,
    "street": _street_ground, "courtyard": _courtyard_ground, "station": _station_ground,
}  # fmt: skip
WALLS = {
    "plaza": _facade, "park": _greenery, "hall": _inside, "street": _shops, "courtyard": _facade, "station": _inside,
}  # fmt: skip
