"""One picture: plan the shot, trace it, apply the sensor; and its row in the table."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from resight.synth.attributes import NAMES, attributes
from resight.synth.camera.sensor import develop, jpeg
from resight.synth.config import DIALS, SynthConfig
from resight.synth.scene.render import Exposed, expose
from resight.synth.scene.shot import Shot, take, wardrobe_of

if TYPE_CHECKING:
    from resight.synth.plan import Item

_KNOWN = (
    "sequence",
    "view",
    "phase",
    "height",
    "visible",
    "overlap",
    "obstacle",
    "passers_by",
    "wardrobe",
    "exposure",
    "red",
    "green",
    "blue",
    "sun",
    "blur",
    "motion",
    "noise",
    "quality",
)
COLUMNS = (
    "path",
    "pid",
    "camid",
    "split",
    "frame",
    *(f"attr.{name}" for name in NAMES),
    *_KNOWN,
    *(f"dial.{name}" for name in DIALS),
    "sha256",
)
Row = dict[str, str | int | float]


@dataclass(frozen=True)
class Picture:
    """A finished picture: where it goes, the bytes of the file, its row."""

    path: str
    data: bytes
    row: Row


def make(config: SynthConfig, item: Item) -> Picture:
    """Make one picture; equal arguments give equal bytes."""
    shot = take(config, item)
    exposed = expose(config, shot)
    tall = exposed.tight[3] - exposed.tight[1]
    data = jpeg(develop(exposed.light, shot.camera.sensor, shot.moment, tall), shot.camera.sensor.quality)
    row: Row = {
        "path": item.path,
        "pid": item.pid,
        "camid": item.camera,
        "split": item.split,
        "frame": item.frame,
    }
    if item.kind == "person":
        row |= {f"attr.{name}": value for name, value in attributes(shot.target.person).items()}
        row["wardrobe"] = wardrobe_of(config, item.pid)
    row |= _known(item, shot, exposed)
    row |= {f"dial.{name}": getattr(config, name) for name in DIALS}
    row["sha256"] = hashlib.sha256(data).hexdigest()
    return Picture(item.path, data, row)


def _known(item: Item, shot: Shot, exposed: Exposed) -> Row:
    sensor, moment = shot.camera.sensor, shot.moment
    gains = np.array(sensor.gains) * np.array(moment.gains)
    known: Row = {
        "sequence": item.sequence,
        "obstacle": shot.obstacle.kind if shot.obstacle else "",
        "passers_by": len(shot.others),
        "exposure": round(sensor.exposure * moment.exposure, 3),
        "red": round(float(gains[0]), 3),
        "green": round(float(gains[1]), 3),
        "blue": round(float(gains[2]), 3),
        "sun": round(shot.sun.strength, 3),
        "blur": round(float(np.hypot(sensor.blur, moment.blur)), 2),
        "motion": round(moment.motion, 2),
        "noise": round(sensor.noise, 4),
        "quality": sensor.quality,
    }
    if shot.shown:
        known |= {
            "view": round(_view(shot)),
            "phase": round(shot.target.pose.phase, 3),
            "visible": round(exposed.visible, 3),
            "height": round(exposed.tight[3] - exposed.tight[1]),
            "overlap": round(_overlap(exposed), 3),
        }
    return known


def _view(shot: Shot) -> float:
    """Degrees between where the person looks and the camera: 0 from the front, 90 their right side, 180 the back."""
    x, y = np.array(shot.camera.eye[:2]) - shot.target.where
    looks = shot.target.yaw + np.pi / 2
    away = np.degrees(looks - np.arctan2(y, x))
    return float((away + 180) % 360 - 180)


def _overlap(exposed: Exposed) -> float:
    """Intersection over union of the window and the person's tight box."""
    a, b = np.array(exposed.window, float), np.array(exposed.tight)
    common = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None).prod()
    return float(common / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - common))
