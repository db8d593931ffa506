"""From a decided shot to light, by path tracing with Mitsuba 3 (its scalar variant, on the processor).

The only file that imports the renderer.  A crop is a window of the camera's whole frame; nothing outside the window is
traced.  Places are built once per process and kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from resight.errors import MissingExtraError
from resight.synth.body.figure import figure
from resight.synth.body.model import body_model
from resight.synth.camera.cameras import FRAME, Camera, Sun
from resight.synth.camera.framing import Rectangle, Window, bounds, visible_share, window_of
from resight.synth.clothing.fitted import catalog
from resight.synth.scene.denoise import denoise
from resight.synth.scene.environment import panorama, panoramas
from resight.synth.scene.light import dome, sunlight
from resight.synth.scene.scenery import Place, build_place
from resight.synth.scene.surface import Array, Mesh, join
from resight.synth.scene.things import THINGS
from resight.synth.streams import stream

if TYPE_CHECKING:
    from resight.synth.config import SynthConfig
    from resight.synth.scene.shot import Placed, Shot

Solid = tuple[Mesh, ...]  # what is matte and, where there is any, what has a sheen

_LEAST = 0.35  # of a person must be seen
_DEPTH = 2  # straight from the sky or the sun; light between surfaces is in the floor below
_FLOOR = 0.10  # share of the light on the ground that reaches every surface
_GUIDES = "albedo:albedo,normal:sh_normal,depth:depth"


@dataclass(frozen=True)
class Exposed:
    """A crop before the sensor: light (h, w, 3), the window and the person's tight box (left, top, right, bottom)."""

    light: Array
    window: Window
    tight: Rectangle
    visible: float  # share of the person's outline that is inside the window and not hidden


@lru_cache(maxsize=1)
def _mitsuba() -> Any:
    try:
        import drjit
        import mitsuba
    except ImportError as error:
        raise MissingExtraError("resight synth", "synth") from error
    mitsuba.set_variant("scalar_rgb")
    mitsuba.set_log_level(mitsuba.LogLevel.Error)
    drjit.set_thread_count(1)
    return mitsuba


def require_assets(config: SynthConfig) -> None:
    """MissingExtraError where the renderer or the bodies are not installed; an error of the folders asked for."""
    _mitsuba()
    body_model()
    if config.environments:
        panoramas(config.environments)
    if config.garments:
        catalog(config.garments)


def expose(config: SynthConfig, shot: Shot) -> Exposed:
    """Trace one crop.  A thing or passer-by that would hide nearly all of the person is left out."""
    target = _figure(shot.target, config.garments)
    outline = join(target).vertices
    tight = bounds(shot.camera.project(outline))
    window = window_of(shot.box, tight)
    near = [placed for placed in shot.others if _in_view(shot.camera, placed, window)]
    others = [_figure(placed, config.garments) for placed in near] + _obstacle(shot)
    if not shot.shown:
        return Exposed(_trace(config, shot, window, others), window, tight, 0.0)

    def seen(hiding: list[Solid]) -> float:
        return visible_share(shot.camera, outline, [join(solid).vertices for solid in hiding], tight, window)

    others = [some for some in others if seen([some]) >= _LEAST]
    return Exposed(_trace(config, shot, window, [target, *others]), window, tight, seen(others))


def _in_view(camera: Camera, placed: Placed, window: Window) -> bool:
    """Whether somebody standing there can be in the window, a generous outline of them taken."""
    corners = np.array([(x, y, z) for x in (-0.6, 0.6) for y in (-0.6, 0.6) for z in (0.0, 2.0)])
    left, top, right, bottom = bounds(camera.project(corners + np.array((*placed.where, 0.0))))
    return left < window[2] and right > window[0] and top < window[3] and bottom > window[1]


def _trace(config: SynthConfig, shot: Shot, window: Window, figures: list[Solid]) -> Array:
    mi = _mitsuba()
    place, shapes = _built(config.seed, shot.camera.number, config.clutter)
    share = shot.sun.strength * (0.3 if place.indoor else 1.0)  # of the light on the ground
    scene = {
        "type": "scene",
        "integrator": {"type": "aov", "aovs": _GUIDES, "traced": {"type": "path", "max_depth": _DEPTH}},
        "camera": _sensor(shot.camera, window, config.samples),
        "sky": _sky(config, shot.camera, place.indoor),
        "sun": _sun(shot.sun, share / (1 - share)),
        **shapes,
    }
    for number, solid in enumerate(figures):
        scene |= {
            f"figure{number}_{part}": _shape(mesh, shiny=part == 1)
            for part, mesh in enumerate(solid)
            if len(mesh.faces)
        }
    traced = np.array(mi.render(mi.load_dict(scene), spp=config.samples, seed=shot.moment.seed), dtype=float)
    traced[..., :3] += _FLOOR * traced[..., 3:6] * (traced[..., 9:] > 0)
    return denoise(traced) * (1 - share)


def _figure(placed: Placed, garments: str) -> Solid:
    matte, shiny = figure(placed.person, placed.pose, placed.moment, garments)
    where = (*placed.where, 0.0)
    return matte.moved(yaw=placed.yaw, to=where), shiny.moved(yaw=placed.yaw, to=where)


def _obstacle(shot: Shot) -> list[Solid]:
    if shot.obstacle is None:
        return []
    thing = shot.obstacle
    mesh = THINGS[thing.kind](stream(thing.seed, "obstacle")).moved(yaw=thing.yaw, to=(*thing.where, 0.0))
    return [(mesh,)]


def _sensor(camera: Camera, window: Window, samples: int) -> dict[str, Any]:
    mi = _mitsuba()
    left, top, right, bottom = window
    return {
        "type": "perspective",
        "fov_axis": "x",
        "fov": float(np.degrees(2 * np.arctan(FRAME[0] / 2 / camera.focal))),
        "to_world": mi.ScalarTransform4f().look_at(list(camera.eye), list(camera.target), [0, 0, 1]),
        "film": {
            "type": "hdrfilm",
            "width": FRAME[0],
            "height": FRAME[1],
            "rfilter": {"type": "gaussian"},
            "pixel_format": "rgb",
            "crop_offset_x": left,
            "crop_offset_y": top,
            "crop_width": right - left,
            "crop_height": bottom - top,
        },
        "sampler": {"type": "multijitter", "sample_count": samples},
    }


def _shape(mesh: Mesh, *, shiny: bool) -> Any:
    mi = _mitsuba()
    color = {"type": "mesh_attribute", "name": "vertex_color"}
    cloth = {"type": "diffuse", "reflectance": color}
    sheen = {"type": "principled", "base_color": color, "roughness": 0.5, "specular": 0.4}
    properties = mi.Properties()
    properties["bsdf"] = mi.load_dict({"type": "twosided", "bsdf": sheen if shiny else cloth})
    shape = mi.Mesh("mesh", len(mesh.vertices), len(mesh.faces), has_vertex_normals=True, props=properties)
    shape.add_attribute("vertex_color", 3, mesh.colors.astype(np.float32).ravel())
    parts = mi.traverse(shape)
    parts["vertex_positions"] = mesh.vertices.astype(np.float32).ravel()
    parts["vertex_normals"] = mesh.normals.astype(np.float32).ravel()
    parts["faces"] = mesh.faces.astype(np.uint32).ravel()
    parts.update()
    return shape


@lru_cache(maxsize=64)
def _built(seed: int, camera: int, clutter: float) -> tuple[Place, dict[str, Any]]:
    mi = _mitsuba()
    place = build_place(seed, camera, clutter)
    transform = mi.ScalarTransform4f()
    shapes: dict[str, Any] = {
        "ground": mi.load_dict(
            {
                "type": "rectangle",
                "to_world": transform.scale(60),
                "bsdf": _textured(place.ground, 120 / place.tile),
            }
        ),
        "things": _shape(place.things, shiny=False),
    }
    for number, wall in enumerate(place.walls):
        where = transform.translate([*wall.foot, wall.size[1] / 2]).rotate([0, 0, 1], float(np.degrees(wall.yaw)))
        upright = where.rotate([1, 0, 0], 90).scale([wall.size[0] / 2, wall.size[1] / 2, 1])
        shapes[f"wall{number}"] = mi.load_dict(
            {"type": "rectangle", "to_world": upright, "bsdf": _textured(wall.texture, 1.0)}
        )
    return place, shapes


def _textured(picture: Array, repeats: float) -> dict[str, Any]:
    mi = _mitsuba()
    texture = {
        "type": "bitmap",
        "bitmap": mi.Bitmap(picture[::-1].astype(np.float32)),
        "raw": True,
        "to_uv": mi.ScalarTransform3f().scale(repeats),
    }
    return {"type": "twosided", "bsdf": {"type": "diffuse", "reflectance": texture}}


def _panorama(config: SynthConfig, camera: Camera) -> Array | None:
    """The light of a camera's surroundings, turned its way; None where no panoramas were named."""
    if not config.environments:
        return None
    files = panoramas(config.environments)
    light = _decoded(files[int(camera.panorama * len(files))])
    light = light[::2, ::2]
    return np.roll(light, int(camera.turn * light.shape[1]), axis=1)


@lru_cache(maxsize=32)
def _decoded(file: Path) -> Array:
    """A panorama.  Reading EXR waits for ever for a second thread where there is only one."""
    import drjit

    mi = _mitsuba()
    drjit.set_thread_count(2)
    try:
        return panorama(file, mi)
    finally:
        drjit.set_thread_count(1)


@lru_cache(maxsize=64)
def _sky(config: SynthConfig, camera: Camera, indoor: bool) -> Any:
    mi = _mitsuba()
    upright = mi.ScalarTransform4f().rotate([1, 0, 0], 90)  # the renderer's sky has +y up
    light = dome(camera.sun, indoor, _panorama(config, camera))
    return mi.load_dict({"type": "envmap", "bitmap": mi.Bitmap(light.astype(np.float32)), "to_world": upright})


def _sun(sun: Sun, strength: float) -> dict[str, Any]:
    direction, irradiance = sunlight(sun)
    light = {"type": "rgb", "value": [float(value) for value in irradiance * strength]}
    return {"type": "directional", "direction": [float(value) for value in direction], "irradiance": light}
