"""Light by direction: sky and sun outside, lamps and a window inside."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from resight.synth.camera.cameras import Sun
    from resight.synth.scene.surface import Array

_SIZE = (96, 192)  # rows from straight up to straight down, columns around


def sky(sun: Sun, indoor: bool) -> Array:
    """Radiance (rows, columns, 3) by direction, scaled so that a white sheet on the ground reflects about 1."""
    rows, columns = _SIZE
    polar = (np.arange(rows) + 0.5) / rows * np.pi
    turn = (np.arange(columns) + 0.5) / columns * 2 * np.pi
    sine = np.sin(polar)[:, None]
    upright = np.broadcast_to(np.cos(polar)[:, None], (rows, columns))
    ways = np.stack([np.sin(turn) * sine, np.cos(turn) * sine, upright], axis=-1)
    level = ways[..., 2]
    above = 0.45 + 0.2 * level if indoor else 0.75 + 0.5 * level
    dome = np.where(level > 0, above, 0.22)[..., None] * np.array(sun.sky)
    if indoor:
        lamps = (np.sin(9 * ways[..., 0] + sun.azimuth) > 0.3) & (level > 0.72)
        dome = dome + 2.2 * lamps[..., None]
    flat = np.cos(sun.elevation)
    towards = np.array([np.cos(sun.azimuth) * flat, np.sin(sun.azimuth) * flat, np.sin(sun.elevation)])
    spread = 0.18 if indoor else 0.03  # a window is wider than the sun
    warm = np.array([1.0, 1.0 - 0.25 * sun.warmth, 1.0 - 0.6 * sun.warmth])
    disc = np.exp((ways @ towards - 1) / spread**2)[..., None] * warm

    def ground(light: Array) -> float:
        weight = np.maximum(level, 0) * sine * (np.pi / rows) * (2 * np.pi / columns)
        return float((light.mean(axis=-1) * weight).sum() / np.pi)

    return np.asarray((1 - sun.strength) * dome / ground(dome) + sun.strength * disc / ground(disc))
