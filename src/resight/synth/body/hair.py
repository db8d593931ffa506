"""Head, hair and hats: skin with the few marks of a face, hair grown from the scalp or hung from the helper surface."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from resight.synth.body.model import Rest, body_model
from resight.synth.body.parts import Part, cut, grown, refined, region, rigid
from resight.synth.body.suit import Suit, bare
from resight.synth.clothing.fabric import rough
from resight.synth.clothing.fitted import catalog
from resight.synth.scene.surface import Array, block, linear, tube

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from resight.synth.clothing.wardrobe import Hair, Hat, Person

_GROWTH = {"bald": 0.0, "cropped": 0.006, "short": 0.014, "parted": 0.018, "curly": 0.034}


def skin_of(rest: Rest, person: Person, covered: NDArray[np.bool_]) -> Part:
    """The bare skin where clothes leave it (`covered` (V,) is False), with brows, eyes, lips and stubble."""
    base = bare(rest)
    eyes = rest.heads[[body_model().bone["eye.R"], body_model().bone["eye.L"]]]
    colors = np.broadcast_to(linear(person.skin), base.part.vertices.shape).copy()
    tone = 1 + 0.06 * rough(person.hair.seed, base.chart[:, :1], base.chart[:, 1:], 0.05)
    colors *= tone
    dark = linear(person.hair.color)
    size = rest.stature / 1.75
    for eye in eyes:
        away = (base.part.vertices - eye) / size
        front = away[:, 1] > 0.0
        colors[front & (np.hypot(away[:, 0] / 1.5, away[:, 2]) < 0.009)] = (0.10, 0.08, 0.07)
        brow = front & (np.abs(away[:, 0]) < 0.024) & (np.abs(away[:, 2] - 0.024) < 0.006)
        colors[brow] = 0.5 * colors[brow] + 0.5 * dark
    middle = eyes.mean(axis=0)
    away = (base.part.vertices - middle) / size
    front = away[:, 1] > 0.0
    lips = front & (np.abs(away[:, 2] + 0.072) < 0.008) & (np.abs(away[:, 0]) < 0.024)
    colors[lips] *= (0.85, 0.55, 0.55)
    if person.beard:
        beard = front & base.on("head") & (away[:, 2] < -0.05) & (away[:, 2] > -0.14) & ~lips
        colors[beard] = 0.45 * colors[beard] + 0.55 * dark
    if person.glasses:
        rim = np.minimum(*(np.hypot(*((base.part.vertices - eye) / size)[:, ::2].T) for eye in eyes))
        colors[front & (np.abs(rim - 0.021) < 0.004)] = 0.02
    kept = ~covered[base.part.faces].all(axis=1)
    return replace(base.part, colors=colors.clip(0, 1), faces=base.part.faces[kept])


def scalp(rest: Rest, base: Suit) -> Array:
    """Positive where hair grows (V,)."""
    model = body_model()
    middle = rest.heads[[model.bone["eye.R"], model.bone["eye.L"]]].mean(axis=0)
    size = rest.stature / 1.75
    away = (base.part.vertices - middle) / size
    turn = np.abs(np.arctan2(away[:, 0], away[:, 1] + 0.095))
    line = np.interp(turn, [0, 0.45, 0.8, 1.25, 1.6, 2.0, np.pi], [0.062, 0.06, 0.045, 0.01, -0.02, -0.065, -0.09])
    return np.where(base.on("head"), away[:, 2] - line, -1.0) * size


def hair_of(rest: Rest, hair: Hair, garments: str = "", *, hat: bool = False) -> list[Part]:
    """Hair of a style and color."""
    if hair.style == "bald":
        return []
    base = bare(rest)
    value = scalp(rest, base)
    if hair.mesh:
        return [_from_folder(rest, hair, garments), cut(replace(base.part, colors=_tinted(base, hair)), value)]
    color = linear(hair.color)
    growth = _GROWTH.get(hair.style, 0.014) * (0.4 if hat else 1.0)
    around, up = base.chart[:, :1], base.chart[:, 1:]
    strands = rough(hair.seed, around * 3, up, 0.03)[:, 0]
    lumps = rough(hair.seed + 1, around, up, 0.05 if hair.style != "curly" else 0.03)[:, 0]
    thick = growth * (1 + 0.25 * lumps) * np.clip(value / 0.03, 0.15, 1.0)
    tone = (1 + 0.22 * strands)[:, None]
    cap = grown(replace(base.part, colors=(color * tone).clip(0, 1)), np.maximum(thick, 0.0))
    made = [cut(cap, value)]
    crown, nape = base.part.vertices[value > 0].max(axis=0), base.part.vertices[value > 0].min(axis=0)
    back = np.array([0.0, nape[1], 0.55 * crown[2] + 0.45 * nape[2]])
    if hair.style in ("long", "bob"):
        made.append(_hanging(rest, hair, float(nape[2]) - (0.0 if hair.style == "bob" else 0.17 + hair.seed % 10 / 50)))
    elif hair.style == "ponytail":
        u = np.linspace(0, 1, 12)
        path = back + np.stack([0.01 * np.sin(6 * u), -0.01 - 0.06 * np.sin(2.2 * u), 0.02 - 0.24 * u**1.5], axis=1)
        made.append(rigid(tube(path, 0.012 + 0.022 * np.sin(np.pi * u**0.7), color, n=10), "head"))
    elif hair.style == "bun":
        made.append(
            rigid(
                block((0.085, 0.07, 0.08), color, roundness=1.0, n=10).moved(to=np.add(back, (0, -0.02, 0.04))), "head"
            )
        )
    return made


def _tinted(base: Suit, hair: Hair) -> Array:
    return np.broadcast_to(linear(hair.color), base.part.vertices.shape)


def _from_folder(rest: Rest, hair: Hair, garments: str) -> Part:
    """Hair as a mesh of the folder."""
    part = catalog(garments)[hair.mesh].on(rest)
    turn = np.arctan2(part.vertices[:, 0], part.vertices[:, 1])[:, None]
    strands = rough(hair.seed, turn * 0.6, part.vertices[:, 2:], 0.03)
    return replace(part, colors=(linear(hair.color) * (1 + 0.25 * strands)).clip(0, 1))


def _hanging(rest: Rest, hair: Hair, end: float) -> Part:
    """The helper surface for long hair, cut at height `end`."""
    part = refined(region(rest, "helper-hair"))
    turn = np.arctan2(part.vertices[:, 0], part.vertices[:, 1])[:, None]
    strands = rough(hair.seed, turn * 0.6, part.vertices[:, 2:], 0.03)
    part = replace(part, colors=(linear(hair.color) * (1 + 0.25 * strands)).clip(0, 1))
    return cut(grown(part, 0.004 * strands[:, 0]), part.vertices[:, 2] - end)


def hat_of(rest: Rest, hat: Hat) -> list[Part]:
    """A cap, a woollen hat or one with a brim."""
    base = bare(rest)
    model = body_model()
    middle = rest.heads[[model.bone["eye.R"], model.bone["eye.L"]]].mean(axis=0)
    edge = middle[2] + {"cap": 0.055, "beanie": 0.035, "brim": 0.06}[hat.kind] * rest.stature / 1.75
    value = np.where(base.on("head"), base.part.vertices[:, 2] - edge, -1.0)
    color = linear(hat.color)
    ribs = 1 - 0.25 * (np.abs((base.part.vertices[:, 2] - edge) / 0.02 % 1 - 0.5) > 0.35) * (hat.kind == "beanie")
    shell = cut(grown(replace(base.part, colors=color * ribs[:, None]), 0.020 if hat.kind != "cap" else 0.014), value)
    low = shell.vertices[shell.vertices[:, 2] < edge + 0.02]
    center, half = low.mean(axis=0), (low.max(axis=0) - low.min(axis=0)) / 2
    made = [shell]
    if hat.kind == "brim":
        rim = block((2 * half[0] + 0.12, 2 * half[1] + 0.12, 0.018), color, roundness=1.0, n=12)
        made.append(rigid(rim.moved(to=(center[0], center[1], edge + 0.005)), "head"))
    elif hat.kind == "cap":
        visor = block((1.5 * half[0], 0.13, 0.012), 0.8 * color, roundness=0.8, n=10)
        made.append(rigid(visor.moved(to=(center[0], center[1] + half[1] + 0.025, edge + 0.008)), "head"))
    return made
