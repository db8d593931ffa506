"""A whole person as surfaces: matte ones (cloth, skin, hair) and ones with a sheen (shoes, leather)."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from resight.synth.body import hair
from resight.synth.body.model import Rest, Shape, body_model
from resight.synth.body.parts import Part
from resight.synth.body.pose import Pose, bone_transforms
from resight.synth.body.suit import bare
from resight.synth.clothing import belongings, tailoring
from resight.synth.scene.surface import Mesh, join

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from resight.synth.clothing.wardrobe import Body, Person


def figure(person: Person, pose: Pose, moment: int, garments: str = "") -> tuple[Mesh, Mesh]:
    """(matte, shiny), standing on z = 0 about the origin and looking along +y.  `moment` seeds the passing folds."""
    rest, parts = _dressed(person, garments)
    transforms = bone_transforms(body_model(), rest, pose)
    meshes = [(part.posed(transforms, moment), part.shiny) for part in parts]
    meshes += [(mesh, True) for mesh in belongings.held(person, transforms, rest)]
    ground = min(float(mesh.vertices[:, 2].min()) for mesh, _ in meshes[: len(parts)])
    made = [join([mesh for mesh, shiny in meshes if shiny is kind]) for kind in (False, True)]
    return made[0].moved(to=(0, 0, -ground)), made[1].moved(to=(0, 0, -ground))


@lru_cache(maxsize=64)
def _dressed(person: Person, garments: str) -> tuple[Rest, tuple[Part, ...]]:
    """A person at rest, in their clothes."""
    rest = body_model().rest(shape_of(person))
    parts = tailoring.bottom(rest, person.bottom, garments) + tailoring.footwear(rest, person.shoes, garments)
    if person.outer is None or person.outer.open or person.outer.sleeve > 1.9:
        parts += tailoring.top(rest, person.top, garments)
    if person.outer is not None:
        parts += tailoring.top(rest, person.outer, garments)
    parts += hair.hair_of(rest, person.hair, garments, hat=person.hat is not None)
    parts += [] if person.hat is None else hair.hat_of(rest, person.hat)
    parts += [] if person.scarf is None else tailoring.scarf(rest, person.scarf)
    parts += belongings.worn(rest, person)
    return rest, (hair.skin_of(rest, person, _covered(rest, person)), *parts)


def _covered(rest: Rest, person: Person) -> NDArray[np.bool_]:
    """Skin that lies well under clothes and need not be drawn (V,)."""
    base = bare(rest)
    sleeve, short = person.sleeved.sleeve, person.bottom.kind == "skirt" or person.bottom.hem > 0.6
    level = base.height / rest.stature
    trunk = base.on("trunk") & (level > 0.48) & (level < 0.77)
    shown = 1.5 if person.sleeved.mesh and sleeve > 0.7 else sleeve + 0.15
    arm = base.on("arm") & (base.along > shown) & (base.along < 1.8)
    hem = person.bottom.hem + 0.15 if short else 0.15
    leg = base.on("leg") & (base.along > (hem if person.bottom.kind != "skirt" else 1.9))
    return trunk | arm | leg | (base.on("foot") & (base.height < 0.07))


def shape_of(person: Person) -> Shape:
    """The body model's parameters for a person's body."""
    body: Body = person.body
    heavy = body.girth - 1.0
    age = {0: 0.36 + 0.25 * (body.height - 1.15), 1: 0.62, 2: 0.72, 3: 0.95}[person.age]
    local = (
        ("stomach-pregnant-incr", float(np.clip(4 * body.belly, 0, 0.5))),
        ("hip-scale-horiz-incr", float(np.clip(4 * (body.hips - 1), -0.7, 0.7))),
        ("measure-shoulder-dist-incr", float(np.clip(5 * (body.shoulders - 1), -0.7, 0.7))),
        ("head-fat-incr", float(np.clip(3 * heavy, -0.5, 0.8))),
    )
    weight = float(np.clip(0.5 + 2.4 * heavy, 0.05, 1.0))
    muscle = float(np.clip(0.5 + 3 * (body.shoulders - 1) - (0.15 if body.sex else 0.0), 0.15, 0.9))
    return Shape(0.05 + 0.9 * body.sex, age, muscle, weight, 0.5, body.height, local)
