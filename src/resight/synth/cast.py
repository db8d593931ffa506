"""Drawing people: who identity number so-and-so is, and who dresses like whom.

Two streams make a person: one for the body (shape, face, hair, shoes, what is carried) and one for the wardrobe.
Look-alikes share the wardrobe's stream and so kind, cut and colours of their clothes; everything else is theirs.
"""

from __future__ import annotations

from resight.synth.body.body import Body
from resight.synth.clothing.fabric import RGB, Fabric
from resight.synth.clothing.outfits import outfit
from resight.synth.clothing.palette import HAIR, SHADES, SKIN, any_colour
from resight.synth.clothing.wardrobe import Bottom, Carried, Gait, Hair, Hat, Person, Shoes, Top
from resight.synth.streams import Dice, stream

_PLASTIC: tuple[RGB, ...] = ((0.9, 0.9, 0.9), (0.85, 0.84, 0.8), (0.75, 0.2, 0.2), (0.35, 0.6, 0.85), (0.2, 0.2, 0.22))


def draw_person(seed: int, pid: int, wardrobe: int) -> Person:
    """Identity `pid`, dressed from wardrobe number `wardrobe` (their own pid, or the one they share)."""
    clothes, own = Dice(stream(seed, "wardrobe", wardrobe)), Dice(stream(seed, "person", pid))
    sex = int(clothes.chance(0.48))  # people of one wardrobe are of one sex, or the cut would tell them apart
    age = int(own.one((0, 1, 2, 3), (0.04, 0.42, 0.46, 0.08)))
    body = _body(own, sex, age)
    top, outer, bottom, colours = outfit(clothes, own, sex)
    carried = _carried(own, sex)
    hair = _hair(own, sex, age)
    return Person(
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
        scarf=own.tinted(any_colour(own)) if outer is not None and own.chance(0.15) else None,
        tights=_tights(own, bottom, top),
        colours=colours,
    )


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
        head=own.around(1.0, 0.025),
    )


def _hair(own: Dice, sex: int, age: int) -> Hair:
    if sex == 0:
        style = own.one(
            ("bald", "cropped", "short", "parted", "curly", "bob"),
            (0.08, 0.2, 0.42, 0.22, 0.05, 0.03) if age else (0, 0.3, 0.5, 0.2, 0, 0),
        )
    else:
        style = own.one(("long", "bob", "ponytail", "bun", "curly", "short"), (0.36, 0.17, 0.25, 0.1, 0.06, 0.06))
    colour = own.tinted(own.one(HAIR, (0.38, 0.27, 0.16, 0.09, 0.06, 0.04)), 0.01)
    if age == 3:
        grey = own.between(0.45, 0.8)
        colour = own.tinted((grey, grey, grey), 0.01)
    return Hair(style, colour, own.number())


def _hat(own: Dice) -> Hat | None:
    # the chance is thrown before the kind, which nobody without a hat needs
    if not own.chance(0.10):
        return None
    return Hat(own.one(("cap", "beanie", "brim"), (0.55, 0.25, 0.2)), own.tinted(any_colour(own)))


def _shoes(own: Dice, sex: int) -> Shoes:
    kind = own.one(("sneakers", "leather", "boots", "heels"), (0.58, 0.22, 0.12, 0.13 * sex))
    colour = own.tinted(any_colour(own) if kind == "sneakers" else own.one(SHADES["black"] + SHADES["brown"]))
    white = kind == "sneakers" and own.chance(0.6)
    return Shoes(kind, colour, (0.88, 0.88, 0.86) if white else tuple(0.5 * c for c in colour))  # type: ignore[arg-type]


def _carried(own: Dice, sex: int) -> tuple[Carried, ...]:
    made = []
    if own.chance(0.26):
        made.append(Carried("backpack", _leather(own, 0.65), size=own.between(0.8, 1.12)))
    elif own.chance(0.22 if sex == 0 else 0.34):
        made.append(Carried("satchel", _leather(own, 0.8), side=int(own.chance(0.5)), size=own.between(0.75, 1.25)))
    hand = own.one(("", "handbag", "carrier", "phone"), (0.62, 0.04 + 0.14 * sex, 0.10, 0.12))
    if hand:
        cloth = Fabric(own.tinted(own.one(_PLASTIC))) if hand == "carrier" else _leather(own, 0.6)
        made.append(Carried(hand, cloth, side=int(own.chance(0.5)), size=own.between(0.8, 1.25)))
    return tuple(made)


def _leather(own: Dice, dark: float) -> Fabric:
    colour = own.one(SHADES["black"] + SHADES["brown"]) if own.chance(dark) else any_colour(own)
    second = any_colour(own) if own.chance(0.35) else own.tinted(colour, 0.05)
    return Fabric(own.tinted(colour), second, pattern=own.one(("plain", "blocks", "plain")), seed=own.number())


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
