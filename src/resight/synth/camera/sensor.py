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

_METERED, _AUTOMATIC = 0.22, 0.6  # what the exposure aims at, and how far it gets there
_GRAY = np.array([0.2126, 0.7152, 0.0722])  # luminance of linear sRGB, Rec. 709


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
    metered = float(np.exp(np.log(light @ _GRAY + 0.02).mean()))
    automatic = (_METERED / metered) ** _AUTOMATIC
    gain = automatic * sensor.exposure * moment.exposure * np.array(sensor.gains) * np.array(moment.gains)
    gray = (light @ _GRAY)[..., None]
    color = np.clip(gray + sensor.saturation * (light - gray), 0, None) * gain
    picture = _screen(_tone(color, sensor))
    smear = moment.motion * scale
    soft = _blurred(picture, float(np.hypot(sensor.blur, moment.blur)) * scale, smear)
    if sensor.interlaced and smear >= 0.5:
        soft = _interlaced(soft, round(2 * smear))
    soft = _noisy(soft, sensor.noise, moment.seed)
    if sensor.sharpening:
        soft = soft.filter(ImageFilter.UnsharpMask(sensor.halo, percent=int(80 * sensor.sharpening), threshold=0))
    return _video(soft, sensor.video, moment.seed) if sensor.video else soft


def _tone(light: Array, sensor: Sensor) -> Array:
    """A shoulder that saves some highlights, contrast about middle gray, haze over the blacks."""
    knee = sensor.knee
    over = knee + (1 - knee) * np.tanh((light - knee) / max(1.5 * (1 - knee), 1e-6))
    light = np.where(light > knee, over, light) if knee < 1 else light
    toned = np.clip(0.18 * (np.maximum(light, 0) / 0.18) ** sensor.contrast, 0, 1)
    return np.asarray(sensor.lift**1.5 + (1 - sensor.lift**1.5) * toned)


def _interlaced(picture: Image.Image, shift: int) -> Image.Image:
    """Every other line as it was a moment earlier."""
    pixels = np.asarray(picture).copy()
    pixels[1::2] = np.roll(pixels[1::2], shift, axis=1)
    return Image.fromarray(pixels)


def _video(picture: Image.Image, quality: int, seed: int) -> Image.Image:
    """Blocks of a compressed video, on a grid independent of the crop."""
    draw = np.random.default_rng([seed, 1])
    left, top = (int(value) for value in draw.integers(0, 16, 2))
    pixels = np.pad(np.asarray(picture), ((top, 15), (left, 15), (0, 0)), mode="edge")
    with Image.open(io.BytesIO(jpeg(Image.fromarray(pixels), quality))) as coded:
        return coded.convert("RGB").crop((left, top, left + picture.width, top + picture.height))


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
