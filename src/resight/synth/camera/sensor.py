"""From light to file: exposure, cast, tone, blur, noise, sharpening, JPEG."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageFilter

if TYPE_CHECKING:
    from resight.synth.camera.cameras import Sensor
    from resight.synth.scene.surface import Array

_GREY = np.array([0.2126, 0.7152, 0.0722])  # luminance of linear sRGB, Rec. 709


@dataclass(frozen=True)
class Moment:
    """What changes from picture to picture at one camera."""

    exposure: float = 1.0
    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)
    motion: float = 0.0  # pixels of smear, sideways, at a figure of 128
    blur: float = 0.0  # added to the camera's
    seed: int = 0


def develop(light: Array, sensor: Sensor, moment: Moment, tall: float) -> Image.Image:
    """Linear radiance (h, w, 3) -> the camera's picture.  1 is a white sheet, `tall` the figure's height."""
    scale = tall / 128
    gain = sensor.exposure * moment.exposure * np.array(sensor.gains) * np.array(moment.gains)
    grey = (light @ _GREY)[..., None]
    colour = np.clip(grey + sensor.saturation * (light - grey), 0, None) * gain
    picture = _screen(_tone(colour, sensor.contrast))
    soft = _blurred(picture, float(np.hypot(sensor.blur, moment.blur)) * scale, moment.motion * scale)
    if sensor.sharpening:
        soft = soft.filter(ImageFilter.UnsharpMask(radius=1.2, percent=int(80 * sensor.sharpening), threshold=0))
    return _noisy(soft, sensor.noise, moment.seed)


def _tone(light: Array, contrast: float) -> Array:
    """A shoulder that saves highlights, then contrast about middle grey."""
    light = np.where(light > 0.7, 0.7 + 0.3 * np.tanh((light - 0.7) / 0.45), light)
    return np.asarray(np.clip(0.18 * (light / 0.18) ** contrast if contrast != 1 else light, 0, 1))


def _screen(light: Array) -> Image.Image:
    value = np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 1e-9) ** (1 / 2.4) - 0.055)
    return Image.fromarray((np.clip(value, 0, 1) * 255 + 0.5).astype(np.uint8), "RGB")


def _blurred(picture: Image.Image, sigma: float, smear: float) -> Image.Image:
    soft = picture.filter(ImageFilter.GaussianBlur(sigma)) if sigma > 0.2 else picture
    steps = round(smear)
    if steps < 1:
        return soft
    pixels = np.asarray(soft, float)
    padded = np.pad(pixels, ((0, 0), (steps, steps), (0, 0)), mode="edge")
    mean = np.mean([padded[:, k : k + pixels.shape[1]] for k in range(2 * steps + 1)], axis=0)
    return Image.fromarray((mean + 0.5).astype(np.uint8), "RGB")


def _noisy(picture: Image.Image, noise: float, seed: int) -> Image.Image:
    draw = np.random.default_rng(seed)
    pixels = np.asarray(picture, float) / 255
    grain = draw.normal(size=pixels.shape) * 0.5 + draw.normal(size=pixels.shape[:2])[..., None] * 0.87
    pixels = pixels + noise * (1.3 - 0.6 * pixels) * grain
    return Image.fromarray((np.clip(pixels, 0, 1) * 255 + 0.5).astype(np.uint8), "RGB")


def jpeg(picture: Image.Image, quality: int) -> bytes:
    """The bytes of the file, chroma subsampled as cameras do."""
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality, subsampling=2)
    return out.getvalue()
