"""Maps, boxes and stripes drawn over a picture, and panels of them on one sheet.

A panel's second line gives the range its colours span: a map that is flat is stretched like any other, and the
range is what tells.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from resight.errors import UsageError
from resight.reporting.contact_sheet import GROUND, INK, MOST_PIXELS, SOFT
from resight.reporting.figure import COLORS
from resight.reporting.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont, ImageFont
    from torch import Tensor


DRAWN = 256  # pixels a panel is high before the sheet scales it
STRENGTH = 0.6  # of the colours over the picture


@dataclass(frozen=True)
class Panel:
    """A picture with two lines below it."""

    image: Image
    title: str
    note: str = ""


def plain(image: Tensor, title: str) -> Panel:
    """The picture as the model is given it."""
    return Panel(_picture(image), title)


def heat(image: Tensor, values: NDArray[np.float32], title: str) -> Panel:
    """A map (h, w) from its least value, dark, to its largest, bright."""
    low, high = float(values.min()), float(values.max())
    share = (values - low) / (high - low) if high > low else np.zeros_like(values)
    return Panel(_over(image, share, "inferno"), title, ranging(low, high))


def ranging(low: float, high: float) -> str:
    """`0.2 to 0.75`; where three digits cannot tell them apart, `0.5 and 0.0003 above`."""
    one, two = (f"{round(value, 6):.3g}" for value in (low, high))
    return f"{one} to {two}" if one != two else f"{one} and {high - low:.1g} above"


def signed(image: Tensor, values: NDArray[np.float32], title: str, note: str) -> Panel:
    """A map (h, w) around 0: red for, blue against, both by the largest."""
    reach = float(np.abs(values).max()) or 1.0
    return Panel(_over(image, 0.5 + values / (2 * reach), "RdBu_r"), title, note)


def boxes(image: Tensor, corners: NDArray[np.float32], title: str) -> Panel:
    """Windows (T, 2, 2), corners ((x0, y0), (x1, y1)) as shares of the picture, numbered from 1."""
    from PIL import ImageDraw, ImageFont

    picture = _picture(image)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(size=16)
    for number, ((x0, y0), (x1, y1)) in enumerate(corners):
        color = COLORS[number % len(COLORS)]
        inset = 3 * number % 7  # windows that coincide still show side by side
        left, right = (float(np.clip(x, 0, 1)) * (picture.width - 1) for x in (x0, x1))
        top, bottom = (float(np.clip(y, 0, 1)) * (picture.height - 1) for y in (y0, y1))
        if right - left > 4 * inset and bottom > top:  # what lies outside the picture has no box
            draw.rectangle((left + inset, top, right - inset, bottom), outline=color, width=3)
            spot = (left + inset + 5, top + 3)
            draw.text(spot, str(number + 1), fill=color, font=font, stroke_width=2, stroke_fill="white")
    return Panel(picture, title, f"{len(corners)} windows")


def stripes(image: Tensor, runs: Mapping[tuple[int, int], float], parts: int, title: str) -> Panel:
    """Runs of horizontal parts (first, last) -> similarity, framed side by side, the best outermost."""
    from PIL import ImageDraw

    picture = _picture(image)
    draw = ImageDraw.Draw(picture)
    for number, (first, last) in enumerate(runs):
        top, bottom = first * picture.height // parts, (last + 1) * picture.height // parts
        box = (5 * number, top + 2 * number, picture.width - 1 - 5 * number, bottom - 1 - 2 * number)
        draw.rectangle(box, outline=COLORS[number % len(COLORS)], width=3)
    named = (f"{first}-{last}: {value:.2f}" for (first, last), value in runs.items())
    return Panel(picture, title, "  ".join(named))


def explanation_sheet(shown: Sequence[Explanation], *, height: int = DRAWN, title: str = "") -> Image:
    """One line a picture, its panels side by side.  Raises UsageError on nothing to show, or too much."""
    from PIL import Image, ImageDraw, ImageFont

    if not shown:
        raise UsageError("there is nothing to show: explain at least one picture.")
    if not 32 <= height <= 1024:
        raise UsageError(f"pictures {height} pixels high: choose 32 to 1024.")
    text, gap = max(11, height // 20), max(6, height // 20)
    font = ImageFont.load_default(size=text)
    first = shown[0].panels[0].image
    wide = max(round(height * first.width / first.height), 14 * text)
    top, row = gap + (2 * text if title else 0), height + 3 * text + gap
    size = (gap + (wide + gap) * max(len(each.panels) for each in shown), top + row * len(shown))
    if size[0] * size[1] > MOST_PIXELS:
        raise UsageError(f"the sheet would be {size[0]} x {size[1]} pixels; show fewer pictures, or smaller.")
    sheet = Image.new("RGB", size, GROUND)
    draw = ImageDraw.Draw(sheet)
    if title:
        draw.text((gap, gap // 2), _fitted(title, font, size[0] - 2 * gap), fill=INK, font=font)
    for line, each in enumerate(shown):
        for column, panel in enumerate(each.panels):
            x, y = gap + column * (wide + gap), top + line * row
            small = panel.image.resize((round(height * panel.image.width / panel.image.height), height))
            sheet.paste(small, (x + (wide - small.width) // 2, y))
            said = panel.note or (each.path.name if column == 0 else "")
            draw.text((x, y + height + 2), _fitted(panel.title, font, wide), fill=INK, font=font)
            draw.text((x, y + height + 2 + round(1.2 * text)), _fitted(said, font, wide), fill=SOFT, font=font)
    return sheet


def _picture(image: Tensor) -> Image:
    """(1, 3, H, W) uint8 -> DRAWN pixels high."""
    from PIL import Image as Pillow

    picture = Pillow.fromarray(image[0].permute(1, 2, 0).cpu().numpy())
    return picture.resize((round(DRAWN * picture.width / picture.height), DRAWN))


def _over(image: Tensor, share: NDArray[np.float32], colors: str) -> Image:
    """Values in [0, 1] as colours over the picture in grey."""
    import matplotlib
    from PIL import Image as Pillow

    picture = _picture(image)
    grown = Pillow.fromarray(share.astype(np.float32)).resize(picture.size, Pillow.Resampling.BILINEAR)
    tint = matplotlib.colormaps[colors](np.clip(np.asarray(grown), 0, 1))[..., :3]
    colored = Pillow.fromarray((255 * tint).round().astype(np.uint8))
    return Pillow.blend(picture.convert("L").convert("RGB"), colored, STRENGTH)


def _fitted(text: str, font: FreeTypeFont | ImageFont, room: int) -> str:
    """Cut where the room ends."""
    text = printable(text)
    while len(text) > 1 and font.getlength(text) > room:
        text = text[:-2] + "…"
    return text


@dataclass(frozen=True)
class Explanation:
    """One picture: what to look at, and the numbers behind it by name."""

    path: Path
    panels: tuple[Panel, ...]
    arrays: dict[str, NDArray[np.float32]] = field(default_factory=dict)
