"""A whole person as surfaces: matte ones (cloth, skin, hair) and ones with a sheen (shoes, leather)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from resight.synth.body.body import Pose, stand
from resight.synth.body.footwear import footwear
from resight.synth.body.head import heads
from resight.synth.body.limbs import bottoms, sleeves
from resight.synth.clothing.carried import belongings
from resight.synth.clothing.garments import belt, collar, trunk
from resight.synth.scene.surface import Mesh, join, linear

if TYPE_CHECKING:
    from resight.synth.clothing.wardrobe import Person


def figure(person: Person, pose: Pose, moment: int) -> tuple[Mesh, Mesh]:
    """(matte, shiny), standing on z = 0 about the origin and looking along +y.  `moment` seeds the passing folds."""
    stance = stand(person.body, pose)
    matte = heads(stance, person) + bottoms(stance, person, moment) + sleeves(stance, person, moment)
    outermost = person.outer or person.top
    if person.outer is not None and person.outer.open:
        matte += trunk(stance, person.top, person.bottom, moment)
    matte += trunk(stance, outermost, person.bottom, moment, person.top) + collar(stance, person.top)
    if person.outer is not None:
        matte += collar(stance, person.outer)
    shiny = footwear(stance, person.shoes) + belongings(stance, person)
    if person.bottom.kind == "trousers" and outermost.hem > 0.55:
        shiny.append(belt(stance, linear((0.12, 0.09, 0.07))))
    return join(matte), join(shiny)
