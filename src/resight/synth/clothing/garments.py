"""Clothes of the trunk as surfaces: tops, jackets, coats, dresses, skirts, collars, belts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from resight.synth.clothing.fabric import folds, paint, shade
from resight.synth.clothing.wardrobe import Bottom, Top
from resight.synth.scene.surface import Array, Mesh, circle, linear, sheet, turned

if TYPE_CHECKING:
    from resight.synth.body.body import Stance

AROUND = 80  # vertices around the trunk
_INNER = 0.006  # metres the edge of an open jacket stands off


def drape(stance: Stance, z: Array, theta: Array, ease: float | Array, flare: float = 0.0) -> Array:
    """Points (m, n, 3) of cloth at upright heights z (m,): on the trunk above the hips, around both legs below."""
    body = stance.body
    hips = 0.515 * body.height
    points = stance.skin(np.maximum(z, hips), theta, ease)
    if (z >= hips).all():
        return points
    fall = np.clip(hips - z, 0, None)
    thigh = 0.245 * body.height
    t = np.clip(2 - fall / (0.92 * thigh), 0.05, 2)  # a leg that swings is higher up than one that hangs
    right, left = (leg.path(t) for leg in stance.legs)
    centre, apart = (right + left) / 2, np.abs(right - left) / 2
    centre[:, 2] = z + stance.lift + 0.15 * np.abs(centre[:, 1])  # cloth hangs, a step lifts it a little
    out = (1.1 * body.leg_radius(t) + flare * fall)[:, None] + ease  # (m, n)
    trunk = body.torso(np.array([hips]))[0]
    still = (np.exp(-fall / 0.35)[:, None] * trunk)[:, :, None] + (flare * fall)[:, None, None]  # of the hips' shape
    wide = np.maximum(apart[:, :1] + out, still[:, 0] + ease)
    ahead = np.maximum(apart[:, 1:2] + out, still[:, 1] + ease)
    behind = np.maximum(apart[:, 1:2] + out, still[:, 2] + ease)
    sine, cosine = np.sin(theta), np.cos(theta)
    deep = np.where(cosine > 0, ahead, behind) * np.sign(cosine) * np.abs(cosine) ** 0.9
    offset = np.stack([wide * np.sign(sine) * np.abs(sine) ** 0.9, deep, 0 * deep], axis=-1)
    skirt = centre[:, None] + offset @ turned(stance.yaws[0]).T
    share = np.clip(fall / (0.04 * body.height), 0, 1)[:, None, None]
    return (1 - share) * points + share * skirt


def trunk(stance: Stance, top: Top, bottom: Bottom, moment: int, under: Top | None = None) -> list[Mesh]:
    """A top, a jacket, a coat or a dress.  `under` is what an open front shows."""
    H = stance.body.height
    low, high = top.hem * H, 0.843 * H
    z = np.linspace(low, high, int(np.clip((high - low) / 0.0105, 40, 120)))
    theta, _ = circle(AROUND)
    angle, level = np.meshgrid(theta, z)  # (m, n)
    girth = stance.body.torso(np.maximum(z, 0.5 * H)).mean(axis=1, keepdims=True)
    around = angle * girth
    fold = _trunk_folds(top, moment, around, level, H)
    ease = top.ease * np.interp(z, [low, low + 0.05, 0.78 * H, 0.83 * H], [1.0, 1.1, 1.0, 0.45])[:, None] + 0.006 * fold
    if top.belt:
        ease = ease - 0.7 * top.ease * np.exp(-(((z - 0.60 * H) / 0.05) ** 2))[:, None]
    elif top.hem > 0.49 and top.ease > 0.02 and top.kind in ("hoodie", "puffer", "jacket"):
        ease = ease - 0.6 * top.ease * np.exp(-(((z - low) / 0.03) ** 2))[:, None]  # gathered at the hem
    if top.hem < 0.57:  # worn over the waistband, so never below it
        ease = np.maximum(ease, 0.014 if bottom.kind != "skirt" else bottom.ease + 0.010)
    chest = 0.725 * H
    colours = paint(top.fabric, around, level, angle, chest)
    if top.open and under is not None:
        gap = np.abs(angle) < top.open * np.interp(z, [low, 0.62 * H, 0.80 * H, high], [1.5, 1.0, 0.9, 1.3])[:, None]
        colours = np.where(gap[..., None], paint(under.fabric, around, level, angle, chest), colours)
        ease = np.where(gap, np.minimum(ease, under.ease + 0.004 * fold), ease + _INNER)
    elif top.kind in ("shirt", "jacket", "puffer", "coat", "blazer"):
        colours = np.where((np.abs(around) < 0.008)[..., None], 0.45 * colours, colours)  # buttons or a zip
    if top.kind in ("blazer", "coat") and not top.open:
        colours = _lapels(colours, around, level, H, under)
    bare = level > _neckline(top, angle, H)
    colours = np.where(bare[..., None], -1.0, shade(colours, fold))
    flare = max(top.flare, bottom.flare) if bottom.kind == "skirt" else top.flare
    return [_skinned(sheet(drape(stance, z, angle, ease, flare), colours, keep=~bare))]


def _skinned(mesh: Mesh) -> Mesh:
    """Cut-away vertices carry colour -1; nothing refers to them any more, but a reflectance must be in 0..1."""
    return Mesh(mesh.vertices, mesh.normals, np.clip(mesh.colours, 0, 1), mesh.faces)


def _trunk_folds(top: Top, moment: int, around: Array, level: Array, H: float) -> Array:
    if top.padded:
        ring = np.abs(np.sin(np.pi * level / 0.085)) ** 0.6
        return 2.4 * ring - 1.2 + 0.3 * folds(top.fabric, moment, around, level)
    fold = folds(top.fabric, moment, around, level, slant=0.55)
    amount = np.interp(level[:, 0] / H, [0.5, 0.60, 0.70, 0.80], [1.2, 1.3, 0.6, 0.5])[:, None]
    below = np.clip(0.56 * H - level, 0, None)
    pleats = np.cos(
        np.round(14 + top.fabric.seed % 5) * around / 0.16 + 2 * folds(top.fabric, moment, around, 0.2 * level)
    )
    return np.asarray(fold * amount + pleats * np.minimum(below * (3 + 25 * top.flare), 2.5))


def _lapels(colours: Array, around: Array, level: Array, H: float, under: Top | None) -> Array:
    """The V of shirt a buttoned blazer or coat leaves open, and the shadow of its edge."""
    wide = 0.10 * (level - 0.70 * H) / (0.13 * H)
    inside = (np.abs(around) < wide)[..., None]
    edge = (np.abs(np.abs(around) - wide) < 0.012)[..., None] & (wide > 0)[..., None]
    shirt = linear(under.fabric.colour if under else (0.9, 0.9, 0.9))
    return np.where(edge, 0.5 * colours, np.where(inside, shirt, colours))


def _neckline(top: Top, angle: Array, H: float) -> Array:
    """Upright height above which there is skin (m, n)."""
    front = np.clip(np.cos(angle), 0, 1)
    depth = {"round": 0.020, "v": 0.055, "wide": 0.035}.get(top.neck, 0.006)
    width = 2.0 if top.neck == "v" else 1.0
    straps = 0.05 * np.abs(np.sin(angle)) ** 3 if top.kind == "tank" else 0.0
    return np.asarray(H * (0.843 - depth * front**width - straps))


def collar(stance: Stance, top: Top) -> list[Mesh]:
    """A shirt's collar, a high neck, a hood lying on the shoulders."""
    H = stance.body.height
    if top.neck not in ("collar", "high", "hood"):
        return []
    rise, thick = {"collar": (0.030, 0.010), "high": (0.045, 0.010), "hood": (0.030, 0.022)}[top.neck]
    z = np.linspace(0.828 * H, 0.842 * H + rise, 8)
    theta, _ = circle(40)
    angle, level = np.meshgrid(theta, z)
    out = thick + (0.045 * np.clip(-np.cos(angle), 0, 1) if top.neck == "hood" else 0.0)
    bulge = np.sin(np.linspace(0.3, np.pi, 8))[:, None] * (0.018 if top.neck == "hood" else 0.004)
    tone = 0.85 if top.neck != "collar" else 0.95
    colours = np.broadcast_to(tone * linear(top.fabric.colour), (*angle.shape, 3))
    keep = np.abs(angle) > (0.25 if top.neck == "collar" else -1)
    base = np.minimum(z, 0.850 * H)
    points = stance.skin(base, angle, out + bulge) + (level - base[:, None])[..., None] * [0, 0, 1.0]
    return [sheet(points, colours, keep=keep)]


def skirt(stance: Stance, bottom: Bottom, moment: int) -> Mesh:
    """From the waist down around both legs."""
    H = stance.body.height
    top = Top("skirt", bottom.fabric, bottom.hem, 2.0, bottom.ease, flare=bottom.flare)
    z = np.linspace(bottom.hem * H, 0.605 * H, 48)
    theta, _ = circle(AROUND)
    angle, level = np.meshgrid(theta, z)
    around = angle * 0.16
    fold = _trunk_folds(top, moment, around, level, H)
    colours = shade(paint(bottom.fabric, around, level, angle, 9.0), fold)
    loose = np.clip((0.54 * H - z) / 0.06, 0, 1)[:, None]  # close at the waist, so that a top goes over it
    ease = np.interp(z, [0.50 * H, 0.54 * H], [bottom.ease, 0.004])[:, None] + 0.006 * fold * loose
    return sheet(drape(stance, z, angle, ease, bottom.flare), colours)


def seat(stance: Stance, bottom: Bottom, moment: int) -> Mesh:
    """The part of trousers above the legs."""
    H = stance.body.height
    z = np.linspace(0.468 * H, 0.605 * H, 18)
    theta, _ = circle(AROUND)
    angle, level = np.meshgrid(theta, z)
    around = angle * 0.14
    fold = folds(bottom.fabric, moment, around, level)
    colours = shade(paint(bottom.fabric, around, level, angle, 9.0), fold)
    points = stance.skin(z, angle, np.minimum(0.3 * bottom.ease, 0.005) + 0.003 + 0.002 * fold)
    return sheet(points, colours)


def belt(stance: Stance, colour: Array) -> Mesh:
    """A strip around the waist."""
    z = np.linspace(0.592, 0.607, 4) * stance.body.height
    return sheet(stance.skin(z, circle(48)[0], 0.016), colour)
