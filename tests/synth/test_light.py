"""The sky and the sun each give a white sheet its brightness, and the sun throws shadows away from itself."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resight.errors import ResightError, UsageError
from resight.synth.camera.cameras import Sun
from resight.synth.scene.denoise import denoise
from resight.synth.scene.environment import panorama, panoramas
from resight.synth.scene.light import dome, sunlight

NOON = Sun(azimuth=0.0, elevation=0.7, strength=0.8, sky=(1.0, 1.0, 1.0), warmth=0.0)


def on_the_ground(light: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    rows, columns = light.shape[:2]
    polar = (np.arange(rows) + 0.5) / rows * np.pi
    weight = np.maximum(np.cos(polar), 0) * np.sin(polar) * (np.pi / rows) * (2 * np.pi / columns)
    return np.asarray((light * weight[:, None, None]).sum(axis=(0, 1)) / np.pi)


@pytest.mark.parametrize("indoor", [False, True])
def test_a_white_sheet_under_the_sky_reflects_one(indoor: bool) -> None:
    assert on_the_ground(dome(NOON, indoor)).mean() == pytest.approx(1.0, abs=0.03)


def test_a_panorama_is_balanced_but_keeps_a_little_of_its_color() -> None:
    light = np.full((16, 32, 3), 0.5) * [2.0, 1.0, 0.5]
    light[4, 7] = 1e6  # the sun in it
    red, green, blue = on_the_ground(dome(NOON, False, light))
    assert 1.05 < red / green < 1.3
    assert 1.05 < green / blue < 1.3
    assert (red + green + blue) / 3 == pytest.approx(1.0, abs=0.1)


def test_a_sheet_in_the_sun_reflects_one_and_a_warm_sun_is_redder() -> None:
    direction, irradiance = sunlight(NOON)
    assert irradiance.mean() * -direction[2] / np.pi == pytest.approx(1.0)
    red, _, blue = sunlight(Sun(0.0, 0.7, 0.8, (1.0, 1.0, 1.0), 0.4))[1]
    assert red > 1.05 * blue


def test_the_renderer_sees_the_same_sun() -> None:
    """A ball over a white ground, seen from above with +x to the right: the sun is at +x, so the shadow lies at -x."""
    mi = pytest.importorskip("mitsuba", reason="the renderer is not installed")
    from resight.synth.scene import render

    render._mitsuba()
    look = mi.ScalarTransform4f().look_at([0, 0, 10], [0, 0, 0], [0, 1, 0])
    film = {"type": "hdrfilm", "width": 64, "height": 64, "pixel_format": "rgb"}
    scene: dict[str, Any] = {
        "type": "scene",
        "integrator": {"type": "path", "max_depth": 2},
        "camera": {"type": "perspective", "fov": 40, "to_world": look, "film": film},
        "ground": {
            "type": "rectangle",
            "to_world": mi.ScalarTransform4f().scale(50),
            "bsdf": {"type": "diffuse", "reflectance": 1.0},
        },
        "ball": {"type": "sphere", "center": [0, 0, 1.5], "radius": 0.4},
        "sun": render._sun(NOON, 1.0),
    }
    light = np.array(mi.render(mi.load_dict(scene), spp=16)).mean(axis=2)
    left, right = light[24:40, :26], light[24:40, 38:]
    shadow, lit = (left, right) if runs_right(mi, scene) else (right, left)
    assert np.median(lit) == pytest.approx(1.0, abs=0.05)
    assert shadow.min() < 0.05


def runs_right(mi: Any, scene: dict[str, Any]) -> bool:
    """Whether +x lies on the right of the picture: where a lamp at +x is seen."""
    lamp = {"type": "sphere", "center": [2, 0, 0.2], "radius": 0.2, "emitter": {"type": "area", "radiance": 1.0}}
    alone = {name: part for name, part in scene.items() if name not in ("sun", "ball", "ground")} | {"lamp": lamp}
    light = np.array(mi.render(mi.load_dict(alone), spp=4)).mean(axis=2)
    return bool(light[:, 32:].sum() > light[:, :32].sum())


def traced(albedo: np.ndarray[Any, Any], light: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    h, w = light.shape
    normal = np.broadcast_to([0.0, 0.0, 1.0], (h, w, 3))
    return np.concatenate([albedo * light[..., None], albedo, normal, np.full((h, w, 1), 5.0)], axis=-1)


def test_noise_goes_and_print_stays() -> None:
    draw = np.random.default_rng(0)
    albedo = np.where(np.arange(24)[None, :, None] % 4 < 2, 0.1, 0.8) * np.ones((24, 24, 3))
    noisy = 1 + 0.15 * draw.normal(size=(24, 24))
    smooth = denoise(traced(albedo, noisy)) / albedo
    assert smooth.std() < 0.35 * noisy.std()
    assert smooth.mean() == pytest.approx(1.0, abs=0.02)


def test_the_edge_of_a_shadow_stays() -> None:
    light = np.where(np.arange(24)[None, :] < 12, 0.1, 1.0) * np.ones((24, 24))
    smooth = denoise(traced(np.full((24, 24, 3), 0.5), light))[..., 0]
    assert smooth[:, :10].max() < 0.1
    assert smooth[:, 14:].min() > 0.4


def test_nothing_but_sky_stays_as_it_is() -> None:
    sky = np.concatenate([np.random.default_rng(1).random((8, 8, 3)), np.zeros((8, 8, 7))], axis=-1)
    np.testing.assert_array_equal(denoise(sky), sky[..., :3])


def test_a_folder_without_panoramas_says_what_is_wanted(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="pmndrs"):
        panoramas(str(tmp_path))


@pytest.mark.parametrize("module", [False, True])
def test_a_panorama_is_read_from_a_file_and_from_a_module(tmp_path: Path, module: bool) -> None:
    mi = pytest.importorskip("mitsuba", reason="the renderer is not installed")
    import drjit

    from resight.synth.scene import render

    render._mitsuba()
    drjit.set_thread_count(2)  # writing EXR, like reading it, waits for a second thread
    wanted = np.random.default_rng(2).random((8, 16, 3)).astype(np.float32)
    file = tmp_path / "hall.exr"
    mi.Bitmap(wanted).write(str(file))
    if module:
        text = base64.b64encode(file.read_bytes()).decode()
        file = tmp_path / "street.exr.js"
        file.write_text(f"export default 'data:application/exr;base64,{text}';")
    assert file in panoramas(str(tmp_path))
    np.testing.assert_allclose(render._decoded(file), wanted, rtol=2e-3, atol=1e-3)


def test_a_broken_module_is_a_sentence(tmp_path: Path) -> None:
    mi = pytest.importorskip("mitsuba", reason="the renderer is not installed")
    file = tmp_path / "x.exr.js"
    file.write_text("export default 3")
    with pytest.raises(ResightError, match="intact file"):
        panorama(file, mi)
