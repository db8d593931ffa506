"""Sampling of people: the body and clothes of each identity; look-alikes share clothes.

Two streams make a person: one for the body (shape, face, hair, shoes, what is carried) and one for the wardrobe.
Look-alikes share the wardrobe's stream and so kind, cut and colours of their clothes; everything else is theirs.
"""

from __future__ import annotations

from dataclasses import replace

from resight.synth.clothing.fabric import RGB, Fabric
from resight.synth.clothing.fitted import matching
from resight.synth.clothing.outfits import outfit
from resight.synth.clothing.palette import HAIR, SHADES, SKIN, any_color
from resight.synth.clothing.wardrobe import Body, Bottom, Carried, Gait, Hair, Hat, Person, Shoes, Top
from resight.synth.streams import Dice, stream

_PLASTIC: tuple[RGB, ...] = ((0.9, 0.9, 0.9), (0.85, 0.84, 0.8), (0.75, 0.2, 0.2), (0.35, 0.6, 0.85), (0.2, 0.2, 0.22))


def draw_person(seed: int, pid: int, wardrobe: int, garments: str = "") -> Person:
    """Identity `pid`, dressed from wardrobe number `wardrobe` (their own pid, or the one they share).

    garments: a folder of meshes, from which some of the clothes, shoes and hair are then taken.
    """
    clothes, own = Dice(stream(seed, "wardrobe", wardrobe)), Dice(stream(seed, "person", pid))
    sex = int(clothes.chance(0.48))  # people of one wardrobe are of one sex, or the cut would tell them apart
    age = int(own.one((0, 1, 2, 3), (0.04, 0.42, 0.46, 0.08)))
    body = _body(own, sex, age)
    top, outer, bottom, colors = outfit(clothes, own, sex)
    carried = _carried(own, sex)
    hair = _hair(own, sex, age)
    person = Person(
        body=body,
        age=age,
        skin=own.tinted(own.one(SKIN, (0.3, 0.3, 0.15, 0.1, 0.1, 0.05)), 0.015),
        hair=hair,
        top=top,
        outer=outer,
        bottom=bottom,
        shoes=_shoes(own, sex),
        carried=carried,
        hat=_hat(own),
        gait=_gait(own, carried),
        glasses=own.chance(0.25),
        beard=sex == 0 and age > 1 and own.chance(0.25),
        scarf=own.tinted(any_color(own)) if outer is not None and own.chance(0.15) else None,
        tights=_tights(own, bottom, top),
        colors=colors,
    )
    return fit_out(person, clothes, own, garments) if garments else person


def fit_out(person: Person, clothes: Dice, own: Dice, garments: str) -> Person:
    """Put meshes of the folder in the place of garments cut from the body, where their kind and length agree."""
    sex, top, bottom = person.body.sex, person.top, person.bottom
    outer = person.outer
    if top.kind in ("tee", "polo", "shirt", "sweater") and clothes.chance(0.45) and top.sleeve < 1.7:
        top = replace(top, mesh=_some(clothes, matching(garments, "top", sex=sex, long=top.sleeve < 0.7)))
    if outer is not None and outer.kind in ("jacket", "blazer") and not outer.open and clothes.chance(0.5):
        outer = replace(outer, mesh=_some(clothes, matching(garments, "top", sex=sex, long=True)))
    if bottom.kind == "trousers" and bottom.hem < 0.25 and clothes.chance(0.45):
        bottom = replace(bottom, mesh=_some(clothes, matching(garments, "trousers", sex=sex)))
    elif bottom.kind == "skirt" and top.kind != "dress" and clothes.chance(0.3):
        bottom = replace(bottom, mesh=_some(clothes, matching(garments, "skirt", sex=sex)))
    shoes, hair = person.shoes, person.hair
    if shoes.kind in ("sneakers", "leather") and own.chance(0.5):
        shoes = replace(shoes, mesh=_some(own, matching(garments, "shoes")))
    if person.hat is None and hair.style not in ("bald", "cropped", "bun") and own.chance(0.6):
        named = {"curly": ("afro",), "ponytail": ("ponytail", "braid"), "bob": ("bob",), "long": ("long",)}
        wanted = named.get(hair.style, ("short",))
        hair = replace(hair, mesh=_some(own, tuple(x for x in matching(garments, "hair") if x.startswith(wanted))))
    return replace(person, top=top, outer=outer, bottom=bottom, shoes=shoes, hair=hair)


def _some(dice: Dice, names: tuple[str, ...]) -> str:
    return str(dice.one(names)) if names else ""


def _body(own: Dice, sex: int, age: int) -> Body:
    height = own.around(1.75 if sex == 0 else 1.63, 0.065)
    girth = own.around(1.0, 0.08) + (0.05 if age == 3 else 0.0)
    if age == 0:
        height, girth = own.between(1.15, 1.45), own.between(0.78, 0.88)
    heavy = max(girth - 1.0, 0.0)
    return Body(
        sex,
        height,
        girth,
        belly=0.35 * heavy + (0.03 if own.chance(0.15) else 0.0),
        shoulders=own.around(1.0, 0.04),
        hips=own.around(1.0, 0.04),
        stoop=own.between(0.15, 0.35) if age == 3 else own.between(0.0, 0.12),
    )


def _hair(own: Dice, sex: int, age: int) -> Hair:
    if sex == 0:
        style = own.one(
            ("bald", "cropped", "short", "parted", "curly", "bob"),
            (0.08, 0.2, 0.42, 0.22, 0.05, 0.03) if age else (0, 0.3, 0.5, 0.2, 0, 0),
        )
    else:
        style = own.one(("long", "bob", "ponytail", "bun", "curly", "short"), (0.36, 0.17, 0.25, 0.1, 0.06, 0.06))
    color = own.tinted(own.one(HAIR, (0.48, 0.26, 0.12, 0.06, 0.05, 0.03)), 0.01)
    if age == 3:
        gray = own.between(0.45, 0.8)
        color = own.tinted((gray, gray, gray), 0.01)
    return Hair(style, color, own.number())


def _hat(own: Dice) -> Hat | None:
    # the chance is thrown before the kind, which nobody without a hat needs
    if not own.chance(0.07):
        return None
    return Hat(own.one(("cap", "beanie", "brim"), (0.55, 0.25, 0.2)), own.tinted(any_color(own)))


def _shoes(own: Dice, sex: int) -> Shoes:
    kind = own.one(("sneakers", "leather", "boots", "heels"), (0.58, 0.22, 0.12, 0.13 * sex))
    color = own.tinted(
        own.one(
            (any_color(own), own.one(SHADES["black"]), own.one(SHADES["gray"] + SHADES["white"])), (0.25, 0.4, 0.35)
        )
        if kind == "sneakers"
        else own.one(SHADES["black"] + SHADES["brown"])
    )
    white = kind == "sneakers" and own.chance(0.6)
    return Shoes(kind, color, (0.88, 0.88, 0.86) if white else tuple(0.5 * c for c in color))  # type: ignore[arg-type]


def _carried(own: Dice, sex: int) -> tuple[Carried, ...]:
    made = []
    if own.chance(0.18):
        made.append(Carried("backpack", _leather(own, 0.65), size=own.between(0.8, 1.12)))
    elif own.chance(0.12 if sex == 0 else 0.22):
        made.append(Carried("satchel", _leather(own, 0.8), side=int(own.chance(0.5)), size=own.between(0.75, 1.25)))
    hand = own.one(("", "handbag", "carrier", "phone", "umbrella"), (0.76, 0.02 + 0.08 * sex, 0.06, 0.10, 0.03))
    if hand:
        cloth = Fabric(own.tinted(own.one(_PLASTIC))) if hand in ("carrier", "umbrella") else _leather(own, 0.6)
        made.append(Carried(hand, cloth, side=int(own.chance(0.5)), size=own.between(0.8, 1.25)))
    return tuple(made)


def _leather(own: Dice, dark: float) -> Fabric:
    color = own.one(SHADES["black"] + SHADES["brown"]) if own.chance(dark) else any_color(own)
    second = any_color(own) if own.chance(0.35) else own.tinted(color, 0.05)
    return Fabric(own.tinted(color), second, pattern=own.one(("plain", "blocks", "plain")), seed=own.number())


def _tights(own: Dice, bottom: Bottom, top: Top) -> RGB | None:
    if bottom.kind != "skirt" and top.kind != "dress":
        return None
    return own.one((None, (0.10, 0.10, 0.11), (0.25, 0.22, 0.22)), (0.55, 0.35, 0.1))  # type: ignore[no-any-return]


def _gait(own: Dice, carried: tuple[Carried, ...]) -> Gait:
    bent = [own.between(0.15, 0.45), own.between(0.15, 0.45)]
    for item in carried:
        if item.kind in ("handbag", "carrier"):
            bent[item.side] = 0.12
    return Gait(
        own.between(0.75, 1.1),
        own.between(0.55, 1.15),
        own.around(0.05, 0.025),
        (bent[0], bent[1]),
        own.between(0.08, 0.2),
    )
