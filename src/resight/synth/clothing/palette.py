"""Colours people wear and have, as on a screen, 0..1; and how common each is."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resight.synth.clothing.fabric import RGB
    from resight.synth.streams import Dice

UPPER_COLORS = ("black", "white", "red", "purple", "yellow", "gray", "blue", "green")
LOWER_COLORS = ("black", "white", "pink", "purple", "yellow", "gray", "blue", "green", "brown")

SHADES: dict[str, tuple[RGB, ...]] = {
    "black": ((0.10, 0.10, 0.11), (0.14, 0.14, 0.15), (0.15, 0.14, 0.17), (0.12, 0.14, 0.18)),
    "white": ((0.93, 0.93, 0.92), (0.90, 0.89, 0.85), (0.87, 0.90, 0.93)),
    "red": ((0.75, 0.12, 0.14), (0.55, 0.12, 0.16), (0.85, 0.30, 0.20), (0.48, 0.15, 0.12)),
    "purple": ((0.42, 0.25, 0.55), (0.60, 0.45, 0.70), (0.35, 0.18, 0.35)),
    "yellow": ((0.90, 0.75, 0.25), (0.80, 0.58, 0.16), (0.93, 0.86, 0.58)),
    "gray": ((0.50, 0.50, 0.51), (0.36, 0.37, 0.39), (0.65, 0.65, 0.66), (0.44, 0.45, 0.48)),
    "blue": ((0.16, 0.25, 0.52), (0.28, 0.45, 0.72), (0.55, 0.70, 0.86), (0.12, 0.17, 0.34)),
    "green": ((0.20, 0.42, 0.24), (0.33, 0.38, 0.22), (0.45, 0.65, 0.42), (0.12, 0.30, 0.26)),
    "pink": ((0.88, 0.55, 0.62), (0.93, 0.72, 0.75)),
    "brown": ((0.42, 0.28, 0.18), (0.62, 0.50, 0.36), (0.30, 0.21, 0.16), (0.72, 0.62, 0.48)),
}
UPPER_SHARE = (0.24, 0.20, 0.11, 0.05, 0.07, 0.13, 0.13, 0.07)
LOWER_SHARE = (0.36, 0.05, 0.03, 0.02, 0.02, 0.14, 0.26, 0.04, 0.08)
SKIN: tuple[RGB, ...] = (
    (0.93, 0.76, 0.66),
    (0.88, 0.69, 0.56),
    (0.80, 0.60, 0.46),
    (0.66, 0.46, 0.34),
    (0.46, 0.31, 0.23),
    (0.33, 0.22, 0.17),
)
HAIR: tuple[RGB, ...] = (
    (0.09, 0.08, 0.08),
    (0.13, 0.10, 0.09),
    (0.24, 0.16, 0.11),
    (0.38, 0.25, 0.15),
    (0.62, 0.47, 0.28),
    (0.45, 0.20, 0.12),
)
DENIM: tuple[RGB, ...] = ((0.18, 0.23, 0.36), (0.28, 0.37, 0.52), (0.45, 0.55, 0.68), (0.14, 0.16, 0.22))


def any_color(dice: Dice) -> RGB:
    """A shade of an upper garment's colours, by how common they are."""
    shade: RGB = dice.one(SHADES[dice.one(UPPER_COLORS, UPPER_SHARE)])
    return shade
