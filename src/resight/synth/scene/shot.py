"""Plan of one picture before rendering: positions, occluders, light, box.

Everything here follows from the configuration and the item's own numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from resight.synth.body.pose import Pose
from resight.synth.camera.cameras import Camera, Sun, build_camera
from resight.synth.camera.sensor import Moment
from resight.synth.cast import draw_person
from resight.synth.plan import VISIT, Item, wardrobes
from resight.synth.streams import stream

if TYPE_CHECKING:
    from resight.synth.clothing.wardrobe import Person
    from resight.synth.config import SynthConfig

_CROWD = 60  # how many of them walk about
_STRANGERS = 1_000_000  # numbers from here on belong to people of no identity
_OBSTACLES = ("pole", "bin", "bush", "bench", "bicycle", "board", "bollard", "planter")


@dataclass(frozen=True)
class Placed:
    """A person standing somewhere: yaw in radians, 0 looks along +y, away from the camera."""

    person: Person
    pose: Pose
    yaw: float
    where: tuple[float, float]
    moment: int


@dataclass(frozen=True)
class Obstacle:
    kind: str
    seed: int
    where: tuple[float, float]
    yaw: float


@dataclass(frozen=True)
class Box:
    """A detector's mistake, in heights of the person: shift of the center, and factors on height and width.

    `aspect` is the width of the box over its height, 0 where the box follows the person's own width.
    """

    shift: tuple[float, float]
    tall: float
    wide: float
    aspect: float = 0.0


@dataclass(frozen=True)
class Shot:
    camera: Camera
    target: Placed
    shown: bool  # False leaves the target out: a box around nobody
    others: tuple[Placed, ...]
    obstacle: Obstacle | None
    box: Box
    sun: Sun
    moment: Moment


@lru_cache(maxsize=8)
def _wardrobes(config: SynthConfig) -> dict[int, int]:
    return wardrobes(config)


@lru_cache(maxsize=4096)
def person_of(config: SynthConfig, pid: int) -> Person:
    """Who an identity of this data set is."""
    return draw_person(config.seed, pid, _wardrobes(config).get(pid, pid), config.garments)


def wardrobe_of(config: SynthConfig, pid: int) -> int:
    """The number of the wardrobe an identity dresses from; look-alikes share one."""
    return _wardrobes(config)[pid]


def camera_of(config: SynthConfig, number: int) -> Camera:
    """Camera `number` of this data set."""
    return build_camera(config.seed, number, lighting=config.lighting, resolution=config.resolution)


def take(config: SynthConfig, item: Item) -> Shot:
    """Decide one picture."""
    draw = stream(config.seed, f"shot {item.kind}", item.pid, item.camera, item.index)
    camera = camera_of(config, item.camera)
    if item.kind == "person":
        target = _walking(config, item, draw)
        box, shown = _box(draw, config.misalign, camera.aspect), True
    else:
        number = item.shown if item.kind == "junk" else _STRANGERS + 500_000 + item.index
        target = _stranger(config, number, draw, (draw.uniform(-2, 2), draw.uniform(-2, 2)))
        box, shown = _bad_box(draw), item.kind == "junk" or bool(draw.random() < 0.6)
    camera_yaw = float(np.arctan2(*(camera.eye[:2] - target.where)[::-1]))
    obstacle, blocker = _in_the_way(config, draw, target, camera_yaw)
    others = (*_passers_by(config, draw, target), *blocker)
    sun = replace(
        camera.sun,
        strength=float(np.clip(camera.sun.strength * np.exp(draw.normal(0, 0.6 * config.lighting)), 0, 0.8)),
    )
    return Shot(camera, target, shown, others, obstacle, box, sun, _moment(config, draw))


def _walking(config: SynthConfig, item: Item, draw: np.random.Generator) -> Placed:
    """Along a straight walk past the camera; the pictures of one visit share its course."""
    visit = stream(config.seed, "visit", item.pid, item.camera, item.index // VISIT)
    heading = float(visit.uniform(0, 2 * np.pi))
    middle = visit.uniform([-1.6, -1.2], [1.6, 1.2])
    steps = min(config.images, VISIT)
    along = (item.index % VISIT - (steps - 1) / 2) * min(4.0 / steps, 0.9) + draw.uniform(-0.2, 0.2)
    yaw = heading + draw.normal(0, 0.18)
    where = middle + along * np.array([-np.sin(heading), np.cos(heading)])
    still = bool(visit.random() < 0.10)
    person = person_of(config, item.pid)
    return Placed(
        person,
        _pose(person, draw, still),
        float(yaw),
        (float(where[0]), float(where[1])),
        int(draw.integers(2**31)),
    )


def _pose(person: Person, draw: np.random.Generator, still: bool) -> Pose:
    gait = person.gait
    raised, bent, spread = [0.0, 0.0], list(gait.bent), [gait.spread, gait.spread]
    for item in person.carried:
        if item.kind in ("phone", "umbrella"):
            raised[item.side], bent[item.side] = 0.45, 1.75
        elif item.kind in ("handbag", "carrier"):
            spread[item.side] += 0.08
    free = [side for side in (0, 1) if raised[side] == 0.0]
    if draw.random() < 0.15:  # scratching one's head, holding a strap, a hand in a pocket
        side = free[int(draw.integers(len(free)))]
        raised[side], bent[side] = draw.choice([[0.25, 1.9], [-0.25, 0.7], [0.6, 1.2]])
    swing = gait.swing * (0.35 if person.carried and person.carried[-1].kind in ("handbag", "carrier") else 1.0)
    return Pose(
        phase=float(draw.random()),
        stride=0.05 if still else gait.stride,
        swing=0.2 if still else swing,
        lean=gait.lean + float(draw.normal(0, 0.015)),
        nod=float(draw.normal(0.05, 0.10)),
        look=float(draw.normal(0, 0.3)),
        bent=(float(bent[0]), float(bent[1])),
        raised=(float(raised[0]), float(raised[1])),
        spread=(spread[0], spread[1]),
    )


def _stranger(config: SynthConfig, number: int, draw: np.random.Generator, where: tuple[float, float]) -> Placed:
    person = person_of(config, number)
    pose = _pose(person, draw, bool(draw.random() < 0.2))
    return Placed(person, pose, float(draw.uniform(0, 2 * np.pi)), where, int(draw.integers(2**31)))


def _passers_by(config: SynthConfig, draw: np.random.Generator, target: Placed) -> tuple[Placed, ...]:
    count = int(draw.binomial(3, 0.55 * config.clutter))
    made = []
    for _ in range(count):
        side = draw.choice([-1.0, 1.0]) * draw.uniform(0.35, 1.3)
        where = (float(target.where[0] + side), float(target.where[1] + draw.uniform(0.3, 3.0)))
        made.append(_stranger(config, _STRANGERS + int(draw.integers(_CROWD)), draw, where))
    return tuple(made)


def _in_the_way(
    config: SynthConfig, draw: np.random.Generator, target: Placed, camera_yaw: float
) -> tuple[Obstacle | None, tuple[Placed, ...]]:
    """Something or somebody between the camera and the target."""
    amount = config.occlude
    roll, near, aside = draw.random(), draw.uniform(0.55, 1.3), draw.normal(0, 1)
    towards = np.array([np.cos(camera_yaw), np.sin(camera_yaw)])
    sideways = np.array([-towards[1], towards[0]])
    if roll > 0.85 * amount:
        return None, ()
    offset = np.sign(aside) * (0.55 - 0.35 * amount * abs(np.tanh(aside)))
    if roll < 0.38 * amount:
        where = np.array(target.where) + near * towards + offset * sideways
        return None, (
            _stranger(config, _STRANGERS + int(draw.integers(_CROWD)), draw, (float(where[0]), float(where[1]))),
        )
    kind = _OBSTACLES[int(draw.integers(len(_OBSTACLES)))]
    where = np.array(target.where) + near * towards + 0.7 * offset * sideways
    yaw = float(draw.normal(0, 0.3)) if kind in ("bench", "bicycle", "board") else float(draw.uniform(0, 6.28))
    return Obstacle(kind, int(draw.integers(2**31)), (float(where[0]), float(where[1])), yaw), ()


def _box(draw: np.random.Generator, misalign: float, aspect: float) -> Box:
    """A detector's box: a little loose at dial 0, badly placed at 1."""
    wrong = 0.15 + 0.85 * misalign
    shift = draw.normal(0, 1, 2) * np.array([0.05, 0.075]) * wrong
    tall = 1.07 * np.exp(np.clip(draw.normal(0, 0.20 * wrong), -0.45, 0.45))
    return Box((float(shift[0]), float(shift[1])), float(tall), float(np.exp(draw.normal(0, 0.12 * wrong))), aspect)


def _bad_box(draw: np.random.Generator) -> Box:
    """A box that overlaps the person by less than half: too low, too high, beside, or on a part."""
    kind = int(draw.integers(4))
    if kind == 0:
        return Box((float(draw.choice([-1, 1]) * draw.uniform(0.22, 0.4)), float(draw.normal(0, 0.1))), 1.0, 1.0)
    if kind == 1:
        return Box((0.0, float(draw.choice([-1, 1]) * draw.uniform(0.42, 0.6))), 1.0, 1.0)
    if kind == 2:
        return Box((float(draw.normal(0, 0.05)), float(draw.uniform(-0.3, 0.3))), float(draw.uniform(0.3, 0.5)), 1.0)
    return Box((float(draw.normal(0, 0.15)), float(draw.normal(0, 0.15))), float(draw.uniform(1.7, 2.2)), 1.0)


def _moment(config: SynthConfig, draw: np.random.Generator) -> Moment:
    gains = np.exp(draw.normal(0, 0.045 * config.lighting, 3))
    return Moment(
        exposure=float(np.exp(draw.normal(0, 0.28 * config.lighting))),
        gains=(float(gains[0]), float(gains[1]), float(gains[2])),
        motion=float(max(0.0, draw.normal(0.0, 0.9))),
        blur=float(abs(draw.normal(0, 0.25))),
        seed=int(draw.integers(2**31)),
    )
