"""The place a camera looks at: ground, walls, things standing about.

A place belongs to its camera and is the same in all its pictures; cameras of one site share its ground and walls.  The
camera stands at (0, -distance, height); people walk around the origin; walls and most things are behind them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from resight.synth.scene.surface import Array, Mesh, join
from resight.synth.scene.textures import GROUNDS, WALLS
from resight.synth.scene.things import THINGS
from resight.synth.streams import stream

PLACES = ("plaza", "park", "hall", "street", "courtyard", "station")


@dataclass(frozen=True)
class Wall:
    """An upright picture: linear colours (h, w, 3), its middle foot point, its size in metres and the way it faces."""

    texture: Array
    foot: tuple[float, float]
    size: tuple[float, float]
    yaw: float


@dataclass(frozen=True)
class Place:
    kind: str
    ground: Array  # linear colours (n, n, 3), repeats every `tile` metres
    tile: float
    walls: tuple[Wall, ...]
    things: Mesh
    indoor: bool


def build_place(seed: int, camera: int, clutter: float) -> Place:
    """The place of camera number `camera`, from 1; `clutter` 0..1 says how much stands about.

    It also says how unlike the cameras' places are: at 0 all look at one site from different corners, at 1 each has a
    site of its own as far as there are kinds.
    """
    kinds = 1 + round(clutter * (len(PLACES) - 1))
    number = (camera - 1) % kinds
    kind = PLACES[stream(seed, "sites").permutation(len(PLACES))[number]]
    site, draw = stream(seed, "site", number), stream(seed, "place", camera)
    ground, tile = GROUNDS[kind](site)
    front = WALLS[kind](site)
    back = float(draw.uniform(4.0, 9.0)) if kind != "park" else 14.0
    walls = [Wall(np.roll(front, int(draw.integers(front.shape[1])), axis=1), (0.0, back), (36.0, 7.0), 0.0)]
    walls += [
        Wall(front[:, :288], (sign * draw.uniform(5.0, 8.0), back - 4.0), (9.0, 6.0), sign * 1.35)
        for sign in (-1.0, 1.0)
        if draw.random() < 0.45
    ]
    return Place(kind, ground, tile, tuple(walls), _things(draw, kind, back, clutter), kind in ("hall", "station"))


def _things(draw: np.random.Generator, kind: str, back: float, clutter: float) -> Mesh:
    usual = {
        "plaza": ("bench", "planter", "pole", "bicycle", "bin", "bush"),
        "park": ("tree", "bush", "bench", "tree", "pole", "bin"),
        "hall": ("pillar", "planter", "bin", "bench", "board"),
        "street": ("car", "pole", "bicycle", "bin", "tree", "board"),
        "courtyard": ("bicycle", "bicycle", "bush", "bin", "planter"),
        "station": ("pillar", "bench", "board", "bin"),
    }[kind]
    made = []
    for _ in range(4 + round(10 * clutter)):
        name = usual[int(draw.integers(len(usual)))]
        where = (draw.uniform(-7.0, 7.0), draw.uniform(2.6, max(back - 0.6, 3.2)), 0.0)
        made.append(THINGS[name](draw).moved(yaw=float(draw.uniform(0, 2 * np.pi)), to=where))
    return join(made)
