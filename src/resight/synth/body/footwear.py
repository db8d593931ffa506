"""Shoes and boots."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from resight.synth.scene.surface import Mesh, linear, tube, turned

if TYPE_CHECKING:
    from resight.synth.body.body import Stance
    from resight.synth.clothing.wardrobe import Shoes


def footwear(stance: Stance, shoes: Shoes) -> list[Mesh]:
    """A shoe a foot, with its sole; boots reach up the shank."""
    H = stance.body.height
    made = []
    for leg, pitch in zip(stance.legs, stance.pitch, strict=True):
        upper, sole = _shoe(H, shoes)
        cosine, sine = np.cos(pitch), np.sin(pitch)
        tip = np.array([[1, 0, 0], [0, cosine, sine], [0, -sine, cosine]])
        turn = turned(stance.yaws[0]) @ tip
        made += [
            Mesh(mesh.vertices @ turn.T + leg.joints[0], mesh.normals @ turn.T, mesh.colours, mesh.faces)
            for mesh in (upper, sole)
        ]
        if shoes.kind == "boots":
            t = np.linspace(-0.08, 0.62, 14)
            radius = stance.body.leg_radius(np.maximum(t, 0)) + 0.011
            made.append(tube(leg.path(t), radius, linear(shoes.colour), hint=leg.hint, caps=False))
    return made


def _shoe(H: float, shoes: Shoes) -> tuple[Mesh, Mesh]:
    """Upper and sole about the ankle joint, toes along +y."""
    s = np.linspace(0, 1, 16)  # heel to toe
    length, ankle = 0.158 * H, 0.039 * H
    y = (s - 0.27) * length
    oval = np.sqrt(np.clip(1 - np.abs(2 * s - 1) ** 2.6, 0.05, 1))
    half = 0.0245 * H * oval * np.interp(s, [0, 0.6, 1], [0.85, 1.1, 0.95])
    top = np.interp(s, [0, 0.15, 0.38, 0.62, 0.9, 1.0], [0.5, 1.15, 1.1, 0.35, -0.05, -0.45]) * ankle * 0.55
    heel = 0.03 * H * np.clip(1 - s / 0.55, 0, 1) if shoes.kind == "heels" else 0 * s
    floor = np.full_like(s, -ankle)
    centre = np.stack([0 * s, y, (top + floor) / 2 + 0.2 * heel], axis=1)
    upper = tube(centre, np.stack([half, (top - floor) / 2], axis=1), linear(shoes.colour), n=18)
    flat = np.stack([0 * s, y, floor + 0.013], axis=1)
    sole = tube(flat, np.stack([1.06 * half, np.full_like(s, 0.013)], axis=1), linear(shoes.sole), n=14)
    return upper, sole
