"""The sky gives a white sheet its brightness, and the sun throws shadows away from itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from resight.synth.camera.cameras import Sun
from resight.synth.scene.light import sky

NOON = Sun(azimuth=0.0, elevation=0.7, strength=0.8, sky=(1.0, 1.0, 1.0), warmth=0.0)


@pytest.mark.parametrize("indoor", [False, True])
@pytest.mark.parametrize("strength", [0.0, 0.7])
def test_a_white_sheet_on_the_ground_reflects_one(indoor: bool, strength: float) -> None:
    light = sky(Sun(1.0, 0.8, strength, (1.0, 1.0, 1.0), 0.0), indoor)
    rows, columns = light.shape[:2]
    polar = (np.arange(rows) + 0.5) / rows * np.pi
    weight = np.maximum(np.cos(polar), 0) * np.sin(polar) * (np.pi / rows) * (2 * np.pi / columns)
    assert float((light.mean(axis=2) * weight[:, None]).sum() / np.pi) == pytest.approx(1.0)


def test_a_warm_sun_is_redder() -> None:
    red, _, blue = sky(Sun(0.0, 0.7, 0.8, (1.0, 1.0, 1.0), 0.4), False).sum(axis=(0, 1))
    assert red > 1.05 * blue


def test_the_renderer_sees_the_same_sun() -> None:
    """A ball over a white ground, seen from above: the sun is at +x, so the shadow lies at -x."""
    mi = pytest.importorskip("mitsuba", reason="the renderer is not installed")
    from resight.synth.scene import render

    render._mitsuba()
    look = mi.ScalarTransform4f().look_at([0, 0, 10], [0, 0, 0], [0, 1, 0])
    film = {"type": "hdrfilm", "width": 64, "height": 64, "pixel_format": "rgb"}
    white = {"type": "diffuse", "reflectance": 1.0}
    scene: dict[str, Any] = {
        "type": "scene",
        "integrator": {"type": "path", "max_depth": 2},
        "camera": {"type": "perspective", "fov": 40, "to_world": look, "film": film},
        "ground": {"type": "rectangle", "to_world": mi.ScalarTransform4f().scale(50), "bsdf": white},
        "ball": {"type": "sphere", "center": [0, 0, 1.5], "radius": 0.4},
        "sky": render._emitter(NOON, indoor=False),
    }
    light = np.array(mi.render(mi.load_dict(scene), spp=32)).mean(axis=2)
    left, right = light[24:40, :26], light[24:40, 38:]
    shadow, lit = (left, right) if runs_right(mi, scene) else (right, left)
    assert lit.mean() == pytest.approx(1.0, abs=0.1)
    assert shadow.min() < 0.5
    assert lit.min() > 0.7


def runs_right(mi: Any, scene: dict[str, Any]) -> bool:
    """Whether +x lies on the right of the picture: where a lamp at +x is seen."""
    lamp = {"type": "sphere", "center": [2, 0, 0.2], "radius": 0.2, "emitter": {"type": "area", "radiance": 1.0}}
    alone = {name: part for name, part in scene.items() if name not in ("sky", "ball", "ground")} | {"lamp": lamp}
    light = np.array(mi.render(mi.load_dict(alone), spp=4)).mean(axis=2)
    return bool(light[:, 32:].sum() > light[:, :32].sum())
