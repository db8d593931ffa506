"""Drawing clothes: kinds, cuts, cloths and colours of what goes together."""

from __future__ import annotations

import numpy as np

from resight.synth.clothing.fabric import RGB, Fabric
from resight.synth.clothing.palette import (
    DENIM,
    LOWER_COLORS,
    LOWER_SHARE,
    SHADES,
    UPPER_COLORS,
    UPPER_SHARE,
    any_color,
)
from resight.synth.clothing.wardrobe import Bottom, Top
from resight.synth.streams import Dice

_PINK = LOWER_COLORS.index("pink")  # the nearest class to the skirt of a red dress


def outfit(clothes: Dice, own: Dice, sex: int) -> tuple[Top, Top | None, Bottom, dict[str, int]]:
    """Top, outer garment, bottom and the colour classes.  `clothes` draws what look-alikes share, `own` the rest."""
    warm = clothes.chance(0.55)  # summer clothes
    up = int(clothes.one(tuple(range(8)), UPPER_SHARE))
    down = int(clothes.one(tuple(range(9)), LOWER_SHARE))
    upper, lower = clothes.one(SHADES[UPPER_COLORS[up]]), clothes.one(SHADES[LOWER_COLORS[down]])
    if sex == 1 and clothes.chance(0.16 if warm else 0.06):
        dress = _dress(clothes, own, upper)
        down = LOWER_COLORS.index(UPPER_COLORS[up]) if UPPER_COLORS[up] in LOWER_COLORS else _PINK
        bottom = Bottom("skirt", dress.fabric, max(dress.hem, 0.44), 0.004)
        coat = _outer(clothes, own, any_color(clothes), 0.05 if warm else 0.7)
        return dress, coat, bottom, {"upcolor": up, "downcolor": down}
    bottom = _bottom(clothes, own, sex, lower, LOWER_COLORS[down], warm)
    if clothes.chance(0.08 if warm else 0.72):
        outer = _outer(clothes, own, upper, 1.0)
        inner = _top(clothes, own, sex, any_color(clothes), warm)
        return inner, outer, bottom, {"upcolor": up, "downcolor": down}
    return _top(clothes, own, sex, upper, warm), None, bottom, {"upcolor": up, "downcolor": down}


def _fabric(
    clothes: Dice,
    own: Dice,
    color: RGB,
    patterns: tuple[str, ...],
    weights: tuple[float, ...],
    softness: float,
    prints: float = 0.0,
) -> Fabric:
    """Colour and pattern come from the wardrobe; whether and what is printed, and the folds, are the wearer's."""
    color = _worn(clothes, color)
    pattern = clothes.one(patterns, weights)
    contrast = clothes.one(("lighter", "darker", "other"))
    base = np.array(color)
    second = {"lighter": 0.35 * base + 0.6, "darker": 0.4 * base, "other": np.array(any_color(clothes))}[contrast]
    scale = clothes.one((0.035, 0.055, 0.08, 0.12))
    inked = own.chance(prints) and pattern in ("plain", "melange")
    accent = own.tinted(own.one(((0.92, 0.92, 0.9), (0.08, 0.08, 0.09), any_color(own))), 0.02)
    return Fabric(
        own.tinted(clothes.tinted(color), 0.008),
        tuple(np.clip(second, 0.04, 0.95)),
        accent,
        pattern,
        scale,
        front=own.one(("logo", "picture", "text"), (0.4, 0.35, 0.25)) if inked else "",
        back=own.one(("picture", "text")) if inked and own.chance(0.3) else "",
        softness=softness,
        seed=own.number(),
    )


def _worn(clothes: Dice, color: RGB) -> RGB:
    """A color as it is after washing, dust and light: most of them much grayer."""
    gray, keep = sum(color) / 3, clothes.between(0.35, 1.0)
    light = clothes.between(0.85, 1.1)
    r, g, b = (min(max(light * (gray + keep * (value - gray)), 0.04), 0.95) for value in color)
    return r, g, b


def _top(clothes: Dice, own: Dice, sex: int, color: RGB, warm: bool) -> Top:
    kind = clothes.one(
        ("tee", "polo", "shirt", "sweater", "hoodie", "tank"),
        (0.56, 0.12, 0.2, 0.02, 0.02, 0.07 * sex + 0.02) if warm else (0.16, 0.05, 0.25, 0.30, 0.20, 0.0),
    )
    sleeve = {"tee": clothes.between(1.3, 1.6), "polo": 1.35, "tank": 2.0}.get(kind, 0.05)
    if kind == "shirt" and clothes.chance(0.6 if warm else 0.1):
        sleeve = clothes.one((1.35, 0.95))
    ease = {"tee": 0.012, "polo": 0.013, "shirt": 0.015, "sweater": 0.020, "hoodie": 0.028, "tank": 0.008}[kind]
    patterns = (
        "plain",
        "stripes",
        "checks",
        "blocks",
        "band",
        "dots",
        "flowers",
        "camouflage",
        "melange",
        "pinstripes",
        "shaded",
    )
    weights = {
        "shirt": (0.45, 0.02, 0.28, 0.0, 0.0, 0.04, 0.06, 0.0, 0.05, 0.10, 0.0),
        "sweater": (0.45, 0.2, 0.03, 0.12, 0.08, 0.0, 0.02, 0.0, 0.1, 0.0, 0.0),
    }.get(kind, (0.58, 0.13, 0.02, 0.07, 0.04, 0.03, 0.05, 0.02, 0.04, 0.0, 0.02))
    fabric = _fabric(
        clothes,
        own,
        color,
        patterns,
        weights,
        1.0 if kind != "hoodie" else 0.8,
        0.55 if kind in ("tee", "hoodie") else 0.1,
    )
    neck = {"polo": "collar", "shirt": "collar", "hoodie": "hood"}.get(kind) or clothes.one(
        ("round", "v", "wide", "high"), (0.55, 0.2, 0.15, 0.1)
    )
    hem = clothes.between(0.475, 0.545) if kind != "shirt" or clothes.chance(0.6) else 0.585
    raglan = Fabric(fabric.second, seed=own.number()) if clothes.chance(0.07) else None
    return Top(kind, fabric, hem, sleeve, ease * clothes.between(0.7, 1.5), neck, sleeves=raglan)


def _outer(clothes: Dice, own: Dice, color: RGB, chance: float) -> Top | None:
    if not clothes.chance(chance):
        return None
    kind = clothes.one(("jacket", "blazer", "puffer", "coat", "vest", "cardigan"), (0.36, 0.17, 0.14, 0.14, 0.06, 0.13))
    hem = {"coat": clothes.between(0.28, 0.42), "cardigan": clothes.between(0.40, 0.52), "blazer": 0.475}.get(
        kind, clothes.between(0.49, 0.54)
    )
    ease = {
        "jacket": 0.030,
        "blazer": 0.026,
        "puffer": 0.050,
        "coat": 0.034,
        "vest": 0.028,
        "cardigan": 0.024,
    }[kind]
    opened = clothes.between(0.18, 0.55) if clothes.chance(0.5 if kind not in ("puffer",) else 0.3) else 0.0
    fabric = _fabric(
        clothes,
        own,
        color,
        ("plain", "blocks", "checks", "band", "melange"),
        (0.72, 0.1, 0.06, 0.06, 0.06),
        0.7,
        0.15,
    )
    neck = {"blazer": "collar", "coat": "collar", "puffer": "high"}.get(kind) or clothes.one(("collar", "hood", "high"))
    return Top(
        kind,
        fabric,
        hem,
        2.0 if kind == "vest" else 0.04,
        ease,
        neck,
        open=opened,
        flare=0.10 if kind == "coat" else 0.0,
        belt=kind == "coat" and clothes.chance(0.3),
        padded=kind == "puffer" or (kind == "vest" and clothes.chance(0.5)),
        sleeves=Fabric(fabric.second, seed=own.number()) if kind == "jacket" and clothes.chance(0.12) else None,
    )


def _dress(clothes: Dice, own: Dice, color: RGB) -> Top:
    fabric = _fabric(
        clothes,
        own,
        color,
        ("plain", "flowers", "dots", "stripes", "checks"),
        (0.5, 0.25, 0.1, 0.1, 0.05),
        1.3,
    )
    return Top(
        "dress",
        fabric,
        clothes.between(0.16, 0.36),
        clothes.one((2.0, 1.5, 1.35, 0.05)),
        0.010,
        clothes.one(("round", "v", "wide")),
        flare=clothes.between(0.05, 0.35),
        belt=clothes.chance(0.6),
    )


def _bottom(clothes: Dice, own: Dice, sex: int, color: RGB, name: str, warm: bool) -> Bottom:
    kind = clothes.one(
        ("trousers", "jeans", "leggings", "shorts", "skirt"),
        (
            0.40,
            0.36 if name in ("blue", "black", "gray") else 0.05,
            0.10 * sex,
            0.45 if warm else 0.01,
            0.22 * sex * warm + 0.06 * sex,
        ),
    )
    if kind == "skirt":
        fabric = _fabric(clothes, own, color, ("plain", "flowers", "checks", "stripes"), (0.75, 0.1, 0.1, 0.05), 1.3)
        return Bottom("skirt", fabric, clothes.between(0.20, 0.42), 0.012, flare=clothes.between(0.0, 0.35))
    if kind == "jeans":
        color = clothes.one(DENIM) if name == "blue" else color
        fabric = _fabric(clothes, own, color, ("plain", "melange"), (0.5, 0.5), 0.8)
        return Bottom(
            "trousers",
            fabric,
            own.between(0.02, 0.16),
            clothes.between(0.006, 0.016),
            clothes.one((0.0, 0.065, 0.085)),
        )
    if kind == "shorts":
        fabric = _fabric(
            clothes, own, color, ("plain", "checks", "camouflage", "melange"), (0.75, 0.1, 0.07, 0.08), 0.9
        )
        return Bottom("shorts", fabric, clothes.between(0.85, 1.45), clothes.between(0.014, 0.034), 0.08)
    if kind == "leggings":
        return Bottom("trousers", _fabric(clothes, own, color, ("plain",), (1.0,), 0.3), own.between(0.08, 0.4), 0.003)
    fabric = _fabric(clothes, own, color, ("plain", "pinstripes", "checks", "band"), (0.86, 0.05, 0.04, 0.05), 1.0)
    return Bottom(
        "trousers",
        fabric,
        own.between(0.0, 0.14),
        clothes.between(0.010, 0.026),
        clothes.one((0.07, 0.085, 0.11)),
    )
