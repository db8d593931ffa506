"""Description of a synthetic person: body, face, hair, clothes, belongings; data only, no geometry."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resight.synth.clothing.fabric import RGB, Fabric


@dataclass(frozen=True)
class Body:
    """What does not change between pictures.  Factors are 1 for an average person of that sex; lengths in meters."""

    sex: int  # 0 male, 1 female
    height: float
    girth: float = 1.0  # weight of the whole body
    belly: float = 0.0  # extra front depth at the waist, meters
    shoulders: float = 1.0
    hips: float = 1.0
    stoop: float = 0.0  # radians the upper back leans forward


@dataclass(frozen=True)
class Hair:
    style: str  # bald, cropped, short, parted, bob, long, ponytail, bun, curly
    color: RGB
    seed: int = 0
    mesh: str = ""  # of a folder of garments; none: cut from the body

    @property
    def long(self) -> bool:
        return self.style in ("bob", "long", "ponytail")


@dataclass(frozen=True)
class Top:
    """A garment for the trunk.  hem is a fraction of stature; sleeve is 0 at the wrist, 2 at the shoulder."""

    kind: str
    fabric: Fabric
    hem: float
    sleeve: float
    ease: float  # metres off the skin
    neck: str = "round"  # round, v, collar, hood, high
    open: float = 0.0  # half angle of an unbuttoned front, radians
    flare: float = 0.0  # metres a skirt widens per metre of fall
    belt: bool = False
    padded: bool = False
    sleeves: Fabric | None = None  # of another cloth
    mesh: str = ""  # of a folder of garments; none: cut from the body


@dataclass(frozen=True)
class Bottom:
    """A garment for the legs.  hem is a fraction of stature for a skirt, else 0 at the ankle, 1 at the knee."""

    kind: str  # trousers, shorts, skirt
    fabric: Fabric
    hem: float
    ease: float
    cuff: float = 0.0  # least radius of a trouser leg, metres
    flare: float = 0.0
    mesh: str = ""  # of a folder of garments; none: cut from the body


@dataclass(frozen=True)
class Shoes:
    kind: str  # sneakers, leather, boots, heels
    color: RGB
    sole: RGB
    mesh: str = ""  # of a folder of garments; none: cut from the body


@dataclass(frozen=True)
class Carried:
    kind: str  # backpack, satchel, handbag, carrier, phone, umbrella
    fabric: Fabric
    side: int = 0  # 0 right, 1 left
    size: float = 1.0


@dataclass(frozen=True)
class Hat:
    kind: str  # cap, beanie, brim
    color: RGB


@dataclass(frozen=True)
class Gait:
    stride: float
    swing: float
    lean: float
    bent: tuple[float, float]
    spread: float


@dataclass(frozen=True)
class Person:
    """Everything that stays with an identity."""

    body: Body
    age: int  # 0 child, 1 young, 2 grown up, 3 old
    skin: RGB
    hair: Hair
    top: Top
    outer: Top | None
    bottom: Bottom
    shoes: Shoes
    carried: tuple[Carried, ...]
    hat: Hat | None
    gait: Gait
    glasses: bool = False
    beard: bool = False
    scarf: RGB | None = None
    tights: RGB | None = None
    colors: dict[str, int] = field(default_factory=dict, hash=False)  # upcolor, downcolor

    @property
    def sleeved(self) -> Top:
        """The garment whose sleeves show: the outer one unless it is a vest."""
        return self.outer if self.outer is not None and self.outer.sleeve < 1.99 else self.top
