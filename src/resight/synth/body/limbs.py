"""Arms and legs, bare and clothed: sleeves, trouser legs, hands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from resight.synth.clothing.fabric import folds, paint, shade
from resight.synth.clothing.garments import seat, skirt
from resight.synth.scene.surface import Array, Mesh, circle, linear, tube, unit

if TYPE_CHECKING:
    from resight.synth.body.body import Limb, Stance
    from resight.synth.clothing.wardrobe import Bottom, Person, Top

SLEEVE, LEG = 28, 36  # vertices around arm and leg


def sleeves(stance: Stance, person: Person, moment: int) -> list[Mesh]:
    """Bare arms with hands, and the sleeves of the outermost garment over them."""
    top = person.sleeved
    made = []
    for side, arm in enumerate(stance.arms):
        made += _bare_arm(stance, arm, person)
        if top.sleeve < 1.99:
            made.append(_sleeve(stance, arm, top, moment + side))
    return made


def _shouldered(stance: Stance, arm: Limb, t: Array) -> Array:
    """The arm's path (m, 3), its end led a little into the trunk."""
    path = arm.path(np.minimum(t, 2.0))
    inwards = unit(stance.spine(np.array([0.79 * stance.body.height]))[0][0] - arm.joints[2])
    return np.asarray(path + np.clip(t - 2.0, 0, None)[:, None] * 0.30 * (inwards + np.array([0, 0, 0.1])))


def _sleeve(stance: Stance, arm: Limb, top: Top, moment: int) -> Mesh:
    fabric = top.sleeves or top.fabric
    t = np.linspace(top.sleeve, 2.15, int(16 + 22 * (2 - top.sleeve)))
    path = _shouldered(stance, arm, t)
    theta, _ = circle(SLEEVE)
    up = (0.60 + 0.1 * t) * stance.body.height
    angle, level = np.meshgrid(theta, up)
    fold = folds(fabric, moment, 0.05 * angle, 1.6 * level, slant=0.15, size=0.09)
    if top.padded:
        fold = 2.0 * np.abs(np.sin(np.pi * level / 0.06)) ** 0.6 - 1.0
    loose = top.ease * np.interp(t, [0, 0.12, 0.4, 1.9, 2.15], [0.45, 0.75, 1.0, 0.65, 0.0])
    if top.sleeve > 0.7:
        loose = loose + 0.012 * np.clip(1 - (t - top.sleeve) / 0.5, 0, 1)
    bunch = np.exp(-(((t - 1.0) / 0.2) ** 2)) + np.exp(-(((t - 0.1) / 0.15) ** 2))
    radius = (stance.body.arm_radius(np.minimum(t, 2)) + loose)[:, None] + 0.004 * fold * (0.6 + bunch[:, None])
    colours = shade(paint(fabric, 0.05 * angle, level, np.full_like(angle, np.pi / 2), 9.0), fold)
    return tube(path, np.stack([radius, radius], axis=-1), colours, hint=arm.hint, caps=False)


def _bare_arm(stance: Stance, arm: Limb, person: Person) -> list[Mesh]:
    skin = linear(person.skin)
    t = np.linspace(0, 2.0, 26)
    wrist, elbow = arm.joints[0], arm.joints[1]
    along = unit(wrist - elbow)
    H = stance.body.height
    reach = np.linspace(-0.15, 1, 10)
    palm = wrist + reach[:, None] * 0.098 * H * along + (reach**2)[:, None] * [0, 0.0, -0.006]
    swell = np.interp(reach, [-0.15, 0.0, 0.35, 0.6, 0.9, 1.0], [0.55, 0.65, 1.0, 0.95, 0.7, 0.35])
    hand = tube(palm[::-1], np.stack([0.016 * swell, 0.040 * swell], axis=1)[::-1], skin, hint=arm.hint, n=12)
    return [tube(arm.path(t), stance.body.arm_radius(t), skin, hint=arm.hint, n=16), hand]


def bottoms(stance: Stance, person: Person, moment: int) -> list[Mesh]:
    """Bare or stockinged legs, then trousers, shorts or a skirt over them."""
    body, bottom = stance.body, person.bottom
    t = np.linspace(-0.06, 2.0, 40)
    skin = linear(person.tights or person.skin)
    made = [tube(leg.path(t), body.leg_radius(t), skin, hint=leg.hint, n=18) for leg in stance.legs]
    if bottom.kind == "skirt":
        return [*made, skirt(stance, bottom, moment)]
    made += [_trouser_leg(stance, leg, bottom, moment + side) for side, leg in enumerate(stance.legs)]
    return [*made, seat(stance, bottom, moment)]


def _trouser_leg(stance: Stance, leg: Limb, bottom: Bottom, moment: int) -> Mesh:
    body = stance.body
    t = np.linspace(bottom.hem, 2.0, int(14 + 34 * (2 - bottom.hem) / 2))
    theta, _ = circle(LEG)
    angle, up = np.meshgrid(theta, t * 0.245 * body.height)
    fold = folds(bottom.fabric, moment, 0.07 * angle, up, slant=0.3, size=0.13)
    ease = bottom.ease * np.interp(t, [0, 1.0, 1.7, 2.0], [1.0, 1.0, 0.7, 0.2])
    cuff = bottom.cuff * np.interp(t, [0, 1, 2], [1.0, 0.78, 0.6])
    radius = np.maximum(body.leg_radius(t) + ease, cuff)
    knee, ankle, hip = (np.exp(-(((t - at) / width) ** 2)) for at, width in ((1.0, 0.25), (0.0, 0.25), (1.9, 0.15)))
    bunch = 0.5 + knee + 1.2 * ankle + 0.6 * hip
    rough_radius = radius[:, None] + 0.0045 * fold * bunch[:, None] * (0.4 + bottom.ease / 0.02)
    colours = shade(paint(bottom.fabric, 0.07 * angle, up, angle, 9.0), fold * (0.5 + 0.5 * bunch[:, None]))
    return tube(leg.path(t), np.stack([rough_radius, rough_radius], axis=-1), colours, hint=leg.hint, caps=False)
