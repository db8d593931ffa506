"""Cameras and what they do to the light."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from resight.synth.camera.cameras import FRAME, Sensor, build_camera
from resight.synth.camera.sensor import Moment, develop, jpeg

CAMERA = build_camera(3, 1, lighting=0.5, resolution=0.3)
PLAIN = Sensor(
    exposure=1.0,
    gains=(1.0, 1.0, 1.0),
    contrast=1.0,
    saturation=1.0,
    knee=1.0,
    lift=0.0,
    blur=0.0,
    noise=0.0,
    sharpening=0.0,
    halo=1.2,
    video=0,
    interlaced=False,
    quality=90,
)
GRAY = np.full((32, 16, 3), 0.2)  # what the exposure meter aims at, its floor included


def mean(sensor: Sensor, moment: Moment | None = None) -> list[float]:
    return list(np.asarray(develop(GRAY, sensor, moment or Moment(), 128.0), float).mean(axis=(0, 1)))


def test_the_point_looked_at_is_in_the_middle_of_the_frame() -> None:
    np.testing.assert_allclose(CAMERA.project(CAMERA.target[None])[0], np.array(FRAME) / 2, atol=1e-6)


def test_up_is_up_and_right_is_right_and_a_person_has_the_promised_size() -> None:
    feet, head, right = CAMERA.project(np.array([[0, 0, 0.0], [0, 0, 1.75], [1.0, 0, 0]]))
    assert head[1] < feet[1]
    assert right[0] > feet[0]
    assert feet[1] - head[1] == pytest.approx(CAMERA.tall, rel=0.12)  # seen from above, a little shorter


def test_resolution_makes_people_small() -> None:
    fine, coarse = (build_camera(3, 1, lighting=0.5, resolution=dial).tall for dial in (0.0, 1.0))
    assert fine / coarse == pytest.approx(190 / 40)


def test_lighting_sets_cameras_apart() -> None:
    def spread(dial: float) -> float:
        gains = [build_camera(3, number, lighting=dial, resolution=0.3).sensor.gains for number in range(1, 30)]
        return float(np.std(gains, axis=0).mean())

    assert spread(1.0) > 2 * spread(0.0)


def test_a_neutral_sensor_follows_the_screen_standard() -> None:
    assert mean(PLAIN) == pytest.approx([124, 124, 124], abs=1)  # 0.2 linear is 0.484 on a screen


def test_gains_tint_and_exposure_brightens() -> None:
    red, green, blue = mean(replace(PLAIN, gains=(1.2, 1.0, 0.8)))
    assert red > green > blue
    assert mean(PLAIN, Moment(exposure=1.5))[0] > mean(PLAIN)[0] + 15


def test_blur_and_motion_soften() -> None:
    stripes = np.where(np.arange(16)[None, :, None] % 4 < 2, 0.1, 0.5) * np.ones((32, 1, 3))

    def contrast(sensor: Sensor, moment: Moment) -> float:
        return float(np.asarray(develop(stripes, sensor, moment, 128.0), float).std())

    sharp = contrast(PLAIN, Moment())
    assert contrast(replace(PLAIN, blur=1.5), Moment()) < 0.6 * sharp
    assert contrast(PLAIN, Moment(motion=2.0)) < 0.6 * sharp


def test_the_same_moment_has_the_same_grain() -> None:
    noisy = replace(PLAIN, noise=0.03)
    one, two, other = (develop(GRAY, noisy, Moment(seed=seed), 128.0).tobytes() for seed in (1, 1, 2))
    assert one == two != other


def test_quality_costs_bytes() -> None:
    grain = develop(GRAY, replace(PLAIN, noise=0.05), Moment(), 128.0)
    small, large = jpeg(grain, 40), jpeg(grain, 95)
    assert len(small) < len(large)
    assert Image.open(io.BytesIO(small)).size == (16, 32)
