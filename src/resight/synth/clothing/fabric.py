"""Cloth: what is woven or printed on it, and how it folds.

A pattern is a function of where on the garment a point lies: `around`, metres along the girth from the front's middle
to the wearer's right, and `up`, metres of height on an upright body.  Front and back may carry different prints.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from resight.synth.scene.surface import Array, linear
from resight.synth.streams import stream

RGB = tuple[float, float, float]  # as on a screen, 0..1


@dataclass(frozen=True)
class Fabric:
    """One cloth.  `seed` fixes the drawing of its print and the course of its folds."""

    color: RGB
    second: RGB = (1.0, 1.0, 1.0)
    accent: RGB = (0.9, 0.9, 0.9)
    pattern: str = "plain"
    scale: float = 0.06  # metres, of a stripe or a flower
    front: str = ""
    back: str = ""
    softness: float = 1.0  # of the folds: 0 stiff, 1 cotton, 2 silk
    seed: int = 0


def paint(fabric: Fabric, around: Array, up: Array, theta: Array, chest: float) -> Array:
    """Linear colours (m, n, 3) at the points given by around, up and theta (m, n); `chest` is the height of a print."""
    share = _woven(fabric, around, up, chest)[..., None]
    color = (1 - share) * linear(fabric.color) + share * linear(fabric.second)
    for kind, facing, number in (
        (fabric.front, np.cos(theta) > 0.25, 0),
        (fabric.back, np.cos(theta) < -0.25, 1),
    ):
        if kind:
            across = around if number == 0 else np.sin(theta) * np.abs(around).max() * 0.5
            ink = np.logical_and(_printed(kind, fabric.seed + number, across, up - chest), facing)[..., None]
            color = np.where(ink, linear(fabric.accent), color)
    return np.asarray(color)


def _woven(fabric: Fabric, around: Array, up: Array, chest: float) -> Array:
    """How much of the second colour shows, 0..1 (m, n)."""
    s, shift = fabric.scale, (fabric.seed % 97) / 97
    if fabric.pattern == "stripes":
        return _edge(np.sin(2 * np.pi * (up / s + shift)))
    if fabric.pattern == "pinstripes":
        return 0.7 * _edge(np.cos(2 * np.pi * around / s) - 0.6)
    if fabric.pattern == "checks":
        level, upright = _edge(np.sin(2 * np.pi * up / s)), _edge(np.sin(2 * np.pi * around / s))
        return 0.5 * level + 0.5 * upright
    if fabric.pattern == "blocks":
        return _edge((up - chest - 0.02 - 0.1 * shift) * 30)
    if fabric.pattern == "band":
        return _edge(1.0 - np.abs(up - chest + 0.05) / (0.6 * s + 0.03))
    if fabric.pattern == "dots":
        return _edge(np.cos(2 * np.pi * around / s) * np.cos(2 * np.pi * up / s) - 0.35)
    if fabric.pattern == "flowers":
        return _edge(3 * rough(fabric.seed, around, up, 0.8 * s) - 0.4)
    if fabric.pattern == "camouflage":
        return 0.5 * _edge(4 * rough(fabric.seed, around, up, 2 * s)) + 0.5 * _edge(
            4 * rough(fabric.seed + 1, around, up, 2 * s) - 0.4
        )
    if fabric.pattern == "melange":
        return np.asarray(np.clip(0.2 + 0.06 * rough(fabric.seed, around, up, 0.02), 0, 1))
    if fabric.pattern == "shaded":
        return np.asarray(np.clip(0.5 + (chest - 0.1 - up) / 0.45, 0, 1))
    return np.zeros_like(around)


def _edge(value: Array) -> Array:
    """A step at zero, a little soft so that it does not flicker."""
    return np.asarray(np.clip(0.5 + 2.5 * value, 0, 1))


def _printed(kind: str, seed: int, x: Array, y: Array) -> Array:
    """Where ink lies (m, n): a small logo on one side, a picture or lines of text across the chest."""
    draw = stream(seed, "print")
    if kind == "logo":
        side = 0.07 * draw.choice([-1.0, 0.0, 1.0])
        return np.asarray(np.hypot(x - side, (y - 0.03) * 1.3) < draw.uniform(0.025, 0.045))
    width, height = draw.uniform(0.08, 0.14), draw.uniform(0.05, 0.13)
    inside = (np.abs(x) < width) & (np.abs(y) < height)
    if kind == "text":
        rows = draw.integers(1, 4)
        line = (y + height) / (2 * height) * rows
        letters = draw.random((rows, 12)) < 0.75
        cell = letters[
            np.clip(line.astype(int), 0, rows - 1),
            np.clip(((x + width) / (2 * width) * 12).astype(int), 0, 11),
        ]
        return np.asarray(inside & cell & (line % 1.0 < 0.62))
    return np.asarray(inside & (rough(seed, x, y, 0.06) > -0.1))


def rough(seed: int, x: Array, y: Array, scale: float) -> Array:
    """A smooth random field of about unit spread with features of size `scale`: nine plane waves of random course."""
    draw = stream(seed, "waves")
    turn, phase = draw.uniform(0, 2 * np.pi, 9), draw.uniform(0, 2 * np.pi, 9)
    wave = draw.uniform(0.6, 1.6, 9) * np.pi / scale
    field = np.zeros(np.broadcast(x, y).shape)
    for k in range(9):
        field += np.sin(wave[k] * (np.cos(turn[k]) * x + np.sin(turn[k]) * y) + phase[k])
    return np.asarray(field * (np.sqrt(2) / 3))


def folds(fabric: Fabric, moment: int, around: Array, up: Array, slant: float, size: float) -> Array:
    """How far the cloth stands out, about -1..1 (m, n): sharp ridges, long along the pull.

    `slant` says how upright they run (0 level, 1 upright); half of the folds belong to the garment, half to the
    moment the picture is taken.
    """
    field = np.zeros(np.broadcast(around, up).shape)
    for seed in (fabric.seed, moment):
        x, y = around * (0.6 + 1.2 * slant), up * (1.8 - 1.2 * slant)
        field += 1.0 - 2.0 * np.abs(np.tanh(1.2 * rough(seed, x, y, size)))
    return 0.5 * fabric.softness * field


def shade(colors: Array, fold: Array) -> Array:
    """Colours (m, n, 3) darkened where the cloth dips, as light does in folds finer than the surface."""
    return np.asarray(colors * (1.0 - 0.26 * np.clip(0.4 - fold, 0, 1))[..., None])
