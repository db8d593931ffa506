"""Attribute labels of a synthetic person, named as in the Market-1501 attributes.

The names and meanings are those of Lin et al., "Improving person re-identification by attribute and identity learning"
(Pattern Recognition 2019), counted from 0 where that file counts from 1:

gender 0 male 1 female; hair 0 short 1 long; up 0 long 1 short sleeves; down 0 long 1 short; clothes 0 skirt or dress
1 trousers; hat, backpack, bag, handbag 0 no 1 yes; age 0 child 1 young 2 grown up 3 old; upcolor and downcolor index
UPPER_COLORS and LOWER_COLORS of `resight.synth.clothing.palette`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resight.synth.clothing.wardrobe import Person

NAMES = (
    "gender",
    "age",
    "hair",
    "hat",
    "up",
    "down",
    "clothes",
    "backpack",
    "bag",
    "handbag",
    "upcolor",
    "downcolor",
)


def attributes(person: Person) -> dict[str, int]:
    """Name -> class of every attribute."""
    kinds = {item.kind for item in person.carried}
    skirt = person.bottom.kind == "skirt"
    return {
        "gender": person.body.sex,
        "age": person.age,
        "hair": int(person.hair.long),
        "hat": int(person.hat is not None),
        "up": int(person.sleeved.sleeve > 0.8),
        "down": int(_short(person, skirt)),
        "clothes": int(not skirt),
        "backpack": int("backpack" in kinds),
        "bag": int(bool({"satchel", "carrier"} & kinds)),
        "handbag": int("handbag" in kinds),
        **person.colors,
    }


def _short(person: Person, skirt: bool) -> bool:
    """Whether the legs show from about the knee down."""
    if not skirt:
        return person.bottom.hem > 0.6
    hem = min(person.top.hem, person.bottom.hem)
    return hem > 0.2
