"""Light by direction: the sky outside or lamps inside, drawn or from a panorama, and the sun."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from resight.synth.camera.cameras import Sun
    from resight.synth.scene.surface import Array

_SIZE = (48, 96)  # rows from straight up to straight down, columns around
_BALANCE = 0.8  # how far a camera's white balance takes the color of the light out


def dome(sun: Sun, indoor: bool, panorama: Array | None = None) -> Array:
    """Radiance (rows, columns, 3) by direction without the sun; a white sheet on the ground reflects 1.

    A panorama (rows, columns, 3) of real light takes the place of the drawn sky; its brightest spots are cut, because
    the sun is a light of its own.
    """
    rows, columns = _SIZE if panorama is None else panorama.shape[:2]
    polar = (np.arange(rows) + 0.5) / rows * np.pi
    turn = (np.arange(columns) + 0.5) / columns * 2 * np.pi
    sine = np.sin(polar)[:, None]
    upright = np.broadcast_to(np.cos(polar)[:, None], (rows, columns))
    if panorama is None:
        light = _drawn(sun, indoor, upright, np.sin(turn) * sine)
    else:
        light = np.clip(panorama, 0, 30 * np.median(panorama)) + 1e-4
    weight = np.maximum(upright, 0) * sine * (np.pi / rows) * (2 * np.pi / columns) / np.pi
    ground = (light * weight[..., None]).sum(axis=(0, 1))  # (3,)
    return np.asarray(light / (ground**_BALANCE * ground.mean() ** (1 - _BALANCE)))


def _drawn(sun: Sun, indoor: bool, level: Array, east: Array) -> Array:
    above = 0.45 + 0.2 * level if indoor else 0.75 + 0.5 * level
    light = np.where(level > 0, above, 0.22)[..., None] * np.array(sun.sky)
    if indoor:
        lamps = (np.sin(9 * east + sun.azimuth) > 0.3) & (level > 0.72)
        light = light + 2.2 * lamps[..., None]
    return np.asarray(light)


def sunlight(sun: Sun) -> tuple[Array, Array]:
    """Where sunlight travels to (3,), and its irradiance (3,) for which a white sheet on the ground reflects 1."""
    flat = np.cos(sun.elevation)
    towards = np.array([np.cos(sun.azimuth) * flat, np.sin(sun.azimuth) * flat, np.sin(sun.elevation)])
    warm = np.array([1.0, 1.0 - 0.25 * sun.warmth, 1.0 - 0.6 * sun.warmth])
    return -towards, warm / warm.mean() * np.pi / np.sin(sun.elevation)
