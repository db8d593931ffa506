"""Cameras: where each stands, how it sees, and what it does to the light.

A camera's character (place, lens, exposure, colour cast, sharpness, compression) belongs to its number and the seed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from resight.synth.scene.surface import Array, unit
from resight.synth.streams import stream

FRAME = (1920, 1080)  # pixels of the whole picture a crop is cut from


@dataclass(frozen=True)
class Sun:
    """Where the light comes from; angles in radians, azimuth counter-clockwise from +x."""

    azimuth: float
    elevation: float
    strength: float  # share of the light on the ground that comes from the sun: 0 overcast, 0.8 clear
    sky: tuple[float, float, float]
    warmth: float  # redness of the sun


@dataclass(frozen=True)
class Sensor:
    exposure: float  # what a white sheet on the ground is multiplied with
    gains: tuple[float, float, float]  # color cast
    contrast: float
    saturation: float
    knee: float  # light from which highlights are compressed; 1 cuts them off
    lift: float  # haze: what black is shown as, of 1
    blur: float  # standard deviation, pixels at a figure of 128
    noise: float  # of the darkest tones, of 1
    sharpening: float
    halo: float  # radius of the sharpening, pixels
    video: int  # quality of the video's blocks, as of a JPEG; 0 for still pictures
    interlaced: bool
    quality: int  # of the JPEG


@dataclass(frozen=True)
class Camera:
    number: int
    height: float  # metres
    distance: float  # metres, over ground, to the middle of where people walk
    aim: float  # height looked at, metres
    tall: float  # pixels of a person 1.75 m tall in the middle
    aspect: float  # width over height of its detector's boxes; 0 where they follow the person
    panorama: float  # 0..1, which of the panoramas lights it
    turn: float  # 0..1, how far the panorama is turned
    sun: Sun
    sensor: Sensor

    @property
    def eye(self) -> Array:
        return np.array([0.0, -self.distance, self.height])

    @property
    def target(self) -> Array:
        return np.array([0.0, 0.0, self.aim])

    @property
    def focal(self) -> float:
        """In pixels."""
        return float(self.tall * np.linalg.norm(self.eye - self.target) / 1.75)

    def project(self, points: Array) -> Array:
        """World (N, 3) -> pixels (N, 2) of the frame, x right and y down."""
        ahead = unit(self.target - self.eye)
        right = unit(np.cross(ahead, [0.0, 0.0, 1.0]))
        down = np.cross(ahead, right)
        seen = (points - self.eye) @ np.stack([right, down, ahead], axis=1)
        return self.focal * seen[:, :2] / np.maximum(seen[:, 2:], 0.1) + np.array(FRAME) / 2


def build_camera(seed: int, number: int, *, lighting: float, resolution: float) -> Camera:
    """Camera `number`, from 1.  The two dials, 0..1, set how far cameras differ in light and how small people are."""
    draw = stream(seed, "camera", number)
    unlike = 0.35 + 0.65 * lighting
    clear = bool(draw.random() < 0.5)
    sun = Sun(
        azimuth=float(draw.uniform(0, 2 * np.pi)),
        elevation=float(draw.uniform(0.45, 1.15)),
        strength=float(draw.uniform(0.5, 0.75) if clear else draw.uniform(0.05, 0.35)),
        sky=tuple(np.array([0.85, 0.95, 1.12]) + draw.normal(0, 0.04, 3)),
        warmth=float(draw.uniform(0.0, 0.35)),
    )
    cast = np.exp(unlike * (draw.normal(0, 0.07, 3) + draw.choice([-1.0, 1.0]) * np.array([0.05, 0.0, -0.05])))
    sensor = _sensor(draw, unlike, cast / cast.mean())
    tall = float(190 * (40 / 190) ** resolution * np.exp(draw.uniform(-0.22, 0.22)))
    height = float(draw.uniform(2.3, 5.8))
    down = np.radians(6 + 32 * draw.random() ** 1.7)
    return Camera(
        number,
        height,
        float(np.clip((height - 0.9) / np.tan(down), 4.0, 18.0)),
        float(draw.uniform(0.7, 1.1)),
        tall,
        float(draw.uniform(0.40, 0.52)) if draw.random() < 0.6 else 0.0,
        float(draw.random()),
        float(draw.random()),
        sun,
        sensor,
    )


def _sensor(draw: np.random.Generator, unlike: float, cast: Array) -> Sensor:
    """The electronics of a camera; `unlike` says how far from the usual they may be."""
    return Sensor(
        exposure=float(np.exp(unlike * draw.normal(0.0, 0.25)) * 1.1),
        gains=(float(cast[0]), float(cast[1]), float(cast[2])),
        contrast=float(1.0 + unlike * draw.uniform(-0.10, 0.45)),
        saturation=float(1.0 + unlike * draw.uniform(-0.75, 0.0)),
        knee=float(draw.uniform(0.6, 1.0)),
        lift=float(max(0.0, unlike * draw.normal(0.01, 0.035))),
        blur=float(draw.uniform(0.15, 0.6)),
        noise=float(draw.uniform(0.002, 0.013)),
        sharpening=float(draw.choice([0.0, 0.5, 1.0, 1.6])),
        halo=float(draw.uniform(0.8, 1.8)),
        video=int(draw.integers(35, 75)) if draw.random() < 0.6 else 0,
        interlaced=bool(draw.random() < 0.12),
        quality=int(draw.integers(68, 93)),
    )
