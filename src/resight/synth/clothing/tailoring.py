"""Garments cut from the surface of a body: tops, coats, trousers, skirts, dresses, shoes, scarves and hoods."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from resight.synth.body.model import Rest, body_model
from resight.synth.body.parts import Part, cut, grown, refined, region, rigid
from resight.synth.body.suit import Suit, clothes_base, suit
from resight.synth.clothing.fabric import Fabric, paint
from resight.synth.clothing.fitted import catalog
from resight.synth.scene.surface import Array, linear, tube

if TYPE_CHECKING:
    from resight.synth.clothing.wardrobe import Bottom, Shoes, Top

_CROTCH, _WAIST = 0.475, 0.60  # of stature
_HANG = {"tee": 0.55, "polo": 0.5, "shirt": 0.6, "sweater": 0.6, "hoodie": 0.8, "tank": 0.15, "dress": 0.15}
_FOLDS = {"tank": 0.004, "dress": 0.006, "puffer": 0.010, "blazer": 0.006}


def top(rest: Rest, garment: Top, garments: str = "") -> list[Part]:
    """A garment for the trunk; a long one continues as a skirt below the waist."""
    if garment.mesh:
        return [_fitted(rest, garment.mesh, garments, garment.fabric, 0.005, garment)]
    base = _hanging(clothes_base(rest), garment)
    low = max(garment.hem, _CROTCH) if garment.hem >= _CROTCH or garment.kind != "dress" else _WAIST - 0.01
    line = _neckline(base, garment)
    value = np.minimum(line, base.height - low * rest.stature)
    value = np.where(base.on("arm"), np.minimum((base.along - garment.sleeve) * 0.27, line), value)
    value = np.where(base.on("hand"), (base.along + 0.05 - garment.sleeve) * 0.27, value)
    value = np.where(base.on("leg", "foot"), np.minimum(value, base.height - low * rest.stature), value)
    if garment.open:
        value = np.where(base.on("trunk", "head"), np.minimum(value, _opening(base, garment)), value)
    made = [_sewn(replace(base, part=base.part), value, garment.fabric, _FOLDS.get(garment.kind, 0.008), garment)]
    if garment.hem < low - 0.01:
        made.append(skirt(rest, garment.fabric, garment.hem, garment.ease + 0.004, garment.flare, garment.open))
    return made + _around_the_neck(rest, garment)


def _hanging(base: Suit, garment: Top) -> Suit:
    """The second skin moved off the body: tight at the shoulders, hanging from the chest where the cut is loose."""
    trunk = base.on("trunk", "leg")
    stature = base.rest.stature
    away = (base.part.vertices - base.axis) * [1.0, 1.0, 0.0]
    middle = base.part.vertices * [0.0, 1.0, 0.0]
    middle[:, 1] = base.axis[:, 1] * 0 + np.median(base.axis[base.on("trunk"), 1])
    flat = base.part.vertices[:, :2] - middle[:, :2]
    radius, angle = np.linalg.norm(flat, axis=1), np.arctan2(flat[:, 0], flat[:, 1])
    bins = ((angle + np.pi) / (2 * np.pi) * 24).astype(int) % 24
    chest = base.on("trunk") & (np.abs(base.height / stature - 0.71) < 0.05)
    widest = np.array([radius[chest & (bins == k)].max(initial=0.0) for k in range(24)])
    below = trunk & (base.height < 0.71 * stature) & (base.height > 0.44 * stature)
    short = np.where(below, np.maximum(widest[bins] - radius, 0.0), 0.0) * _HANG.get(garment.kind, 0.75)
    loose = garment.ease * (0.75 + 0.5 * np.clip((0.80 * stature - base.height) / (0.3 * stature), 0, 1))
    sleeve = garment.ease * (0.8 + 0.5 * np.clip(2 - base.along, 0, 1.5) * (garment.sleeve > 0.5))
    part = grown(base.part, np.where(base.on("arm", "hand"), sleeve, loose))
    outwards = away / np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-9)
    return replace(base, part=replace(part, vertices=part.vertices + outwards * short[:, None]))


def _neckline(base: Suit, garment: Top) -> Array:
    """Positive below the neck opening (V,)."""
    neck = base.rest.heads[body_model().bone["neck01"]][2] + 0.005
    ahead = np.maximum(np.cos(base.theta), 0.0)
    width = np.abs(base.part.vertices[:, 0])
    if garment.neck == "v":
        return np.asarray(neck - 0.13 * ahead**2 * (1 - np.clip(width / 0.09, 0, 1)) - base.height)
    if garment.neck == "wide":
        return np.asarray(neck - 0.02 - 0.05 * ahead - base.height)
    if garment.neck in ("high", "collar", "hood"):
        return np.asarray(neck + 0.035 - 0.02 * ahead - base.height)
    return np.asarray(neck - 0.025 * ahead - base.height)


def _opening(base: Suit, garment: Top) -> Array:
    """Negative in the gap of an unbuttoned front (V,)."""
    front = base.part.vertices[:, 1] > base.axis[:, 1]
    gap = np.where(front, np.abs(base.part.vertices[:, 0]) - 0.16 * np.tan(garment.open), 0.1)
    return np.asarray(gap)


def _fitted(rest: Rest, mesh: str, garments: str, fabric: Fabric, depth: float, garment: Top | None = None) -> Part:
    """A mesh of the folder in a fabric."""
    part = grown(catalog(garments)[mesh].on(rest), 0.004)
    return _sewn(suit(rest, part), np.ones(len(part.vertices)), fabric, depth, garment)


def _sewn(base: Suit, value: Array, fabric: Fabric, depth: float, garment: Top | None = None) -> Part:
    """Paint, add the folds' depth and the place on the cloth, then cut."""
    chest = 0.72 * base.rest.stature
    around, up = base.chart[:, :1], base.chart[:, 1:]
    theta = np.where(base.on("trunk"), base.theta, np.pi / 2)[:, None]
    colors = paint(fabric, around, up, theta, chest)[:, 0]
    if garment is not None:
        colors = _details(base, garment, colors)
        if garment.sleeves is not None:
            other = paint(garment.sleeves, around, up, theta, chest)[:, 0]
            colors = np.where(base.on("arm", "hand")[:, None], other, colors)
    # folds gather at the elbows, the waist and the knees
    bend = np.exp(-(((base.along - 1.0) / 0.25) ** 2)) + 0.6 * base.on("trunk")
    part = replace(base.part, colors=colors, chart=base.chart, depth=depth * (0.35 + 0.65 * bend), fabric=fabric)
    return cut(part, value)


def _details(base: Suit, garment: Top, colors: Array) -> Array:
    """Button facing or zip, pockets, cuffs and hem, padding seams."""
    x, z, stature = base.part.vertices[:, 0], base.height / base.rest.stature, base.rest.stature
    front = (np.cos(base.theta) > 0.3) & base.on("trunk")
    shade = np.ones(len(x))
    if garment.kind in ("shirt", "jacket", "blazer", "coat", "puffer", "cardigan", "polo"):
        low = 0.68 if garment.kind == "polo" else 0.0
        shade *= np.where(front & (np.abs(x) < 0.012) & (z > low), 0.72, 1.0)
    if garment.kind in ("jacket", "coat", "blazer", "puffer", "hoodie", "cardigan"):
        pocket = front & (np.abs(z - 0.555) < 0.006) & (np.abs(np.abs(x) - 0.10) < 0.05)
        shade *= np.where(pocket, 0.65, 1.0)
    if garment.padded:
        shade *= 1.0 - 0.3 * (np.abs((base.chart[:, 1] / 0.075) % 1.0 - 0.5) > 0.40)
    if garment.kind in ("sweater", "hoodie", "jacket", "puffer", "tee", "polo"):
        cuff = base.on("arm") & (np.abs(base.along - garment.sleeve - 0.08) < 0.09)
        hem = base.on("trunk", "leg") & (base.height < garment.hem * stature + 0.045)
        shade *= np.where(cuff | hem, 0.85, 1.0)
    return np.asarray(colors * shade[:, None])


def _around_the_neck(rest: Rest, garment: Top) -> list[Part]:
    """A collar or a hood lying on the back."""
    neck = rest.heads[body_model().bone["neck01"]]
    turn = np.linspace(0, 2 * np.pi, 25)
    ring = np.stack([np.sin(turn), np.cos(turn), 0 * turn], axis=1)
    color = linear(garment.fabric.color)
    if garment.neck == "hood":
        behind = np.clip(-np.cos(turn), 0, 1)
        path = neck + ring * [0.085, 0.085, 0] + np.stack([0 * turn, -0.035 * behind, 0.012 - 0.035 * behind], axis=1)
        return [rigid(tube(path, 0.018 + 0.042 * behind, 0.92 * color, n=10, caps=False), "spine01")]
    if garment.neck in ("collar", "high") and garment.kind not in ("tank", "tee"):
        wide = 0.072 if garment.kind in ("shirt", "polo") else 0.080
        ahead = np.clip(np.cos(turn), 0, 1)
        path = neck + ring * [wide, wide, 0] + np.stack([0 * turn, 0 * turn, 0.030 - 0.045 * ahead**2], axis=1)
        flat = np.broadcast_to([0.010, 0.022], (len(path), 2))
        return [rigid(tube(path, flat, color, hint=ring + 1e-6, n=8, caps=False), "spine01")]
    return []


def bottom(rest: Rest, garment: Bottom, garments: str = "") -> list[Part]:
    """Trousers, shorts or a skirt."""
    if garment.mesh:
        return [_fitted(rest, garment.mesh, garments, garment.fabric, 0.003)]
    if garment.kind == "skirt":
        return [skirt(rest, garment.fabric, garment.hem, garment.ease, garment.flare)]
    base = clothes_base(rest)
    legs = base.on("leg", "foot")
    away = base.part.vertices - base.axis
    radius = np.linalg.norm(away, axis=1)
    widen = np.clip((1.75 - base.along) / 0.8, 0, 1) * (base.along > -0.1)
    wanted = np.maximum(radius + garment.ease, garment.cuff * widen)
    pushed = base.axis + away * (wanted / np.maximum(radius, 1e-6))[:, None]
    loose = grown(base.part, garment.ease).vertices
    vertices = np.where((legs & (base.along < 1.7))[:, None], pushed, loose)
    base = replace(base, part=replace(base.part, vertices=vertices))
    hem = garment.hem - (0.10 if garment.hem < 0.05 else 0.0)
    value = np.where(legs, (base.along - hem) * 0.4, _WAIST * rest.stature - base.height)
    value = np.where(base.on("arm", "hand", "head"), -1.0, np.minimum(value, _WAIST * rest.stature - base.height))
    return [_sewn(base, value, garment.fabric, 0.004 + 0.25 * garment.ease)]


def skirt(rest: Rest, fabric: Fabric, hem: float, ease: float, flare: float, opened: float = 0.0) -> Part:
    """A tube around both legs from the waist to `hem` (of stature), widening by `flare` metres per metre of fall."""
    base = suit(rest, refined(region(rest, "helper-skirt")))
    vertices = base.part.vertices.copy()
    level = np.median(vertices[:, 1])
    fall = np.clip(_WAIST * rest.stature - vertices[:, 2], 0, None)
    flat = vertices[:, :2] - [0.0, level]
    radius = np.linalg.norm(flat, axis=1, keepdims=True)
    turn = np.arctan2(flat[:, 0], flat[:, 1])
    wave = 1 + 0.10 * flare * np.sin(9 * turn + fabric.seed % 7) * fall
    vertices[:, :2] += flat / np.maximum(radius, 1e-6) * ((ease + 0.5 * flare * fall) * wave)[:, None]
    chart = np.stack([turn * 0.16, vertices[:, 2]], axis=1)
    base = replace(base, part=replace(base.part, vertices=vertices), theta=turn, chart=chart)
    value = np.minimum(vertices[:, 2] - hem * rest.stature, (_WAIST + 0.01) * rest.stature - vertices[:, 2])
    if opened:
        front = flat[:, 1] > 0
        value = np.where(front, np.minimum(value, np.abs(vertices[:, 0]) - 0.16 * np.tan(opened)), value)
    return _sewn(base, value, fabric, 0.012)


def footwear(rest: Rest, shoes: Shoes, garments: str = "") -> list[Part]:
    """Shoes over the feet, boots up the shank; the sole in its own color."""
    if shoes.mesh:
        part = catalog(garments)[shoes.mesh].on(rest)
        low = part.vertices[:, 2] < part.vertices[:, 2].min() + 0.02
        colors = np.where(low[:, None], linear(shoes.sole), linear(shoes.color))
        return [replace(part, colors=colors, shiny=shoes.kind != "sneakers")]
    base = clothes_base(rest)
    ankle = 0.62 if shoes.kind == "boots" else 0.30 if shoes.kind == "sneakers" else 0.24
    value = np.where(base.on("foot"), 1.0, np.where(base.on("leg"), (ankle - 0.22 - base.along) * 0.4, -1.0))
    part = grown(base.part, 0.010 if shoes.kind != "heels" else 0.004)
    vertices = part.vertices.copy()
    vertices[:, 2] = np.maximum(vertices[:, 2], -0.012)
    sole = base.height < (0.022 if shoes.kind == "sneakers" else 0.012)
    colors = np.where(sole[:, None], linear(shoes.sole), linear(shoes.color))
    laces = base.on("foot") & (np.abs(base.height - 0.07) < 0.02) & (base.part.vertices[:, 1] > 0.04)
    if shoes.kind == "sneakers":
        colors = np.where(laces[:, None], linear(shoes.sole) * 0.8, colors)
    return [replace(cut(replace(part, vertices=vertices, colors=colors), value), shiny=shoes.kind != "sneakers")]


def scarf(rest: Rest, color: tuple[float, float, float]) -> list[Part]:
    """A thick ring around the neck."""
    neck = rest.heads[body_model().bone["neck01"]]
    turn = np.linspace(0, 2 * np.pi, 25)
    path = neck + np.stack([0.085 * np.sin(turn), 0.085 * np.cos(turn), 0.045 - 0.02 * np.cos(turn)], axis=1)
    return [rigid(tube(path, 0.034 + 0.006 * np.sin(5 * turn), linear(color), n=10, caps=False), "neck01")]
