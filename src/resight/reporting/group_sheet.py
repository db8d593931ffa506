"""Contact sheet of a group: its pictures with a word under each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from resight.reporting.thumbnails import WIDEST, thumbnail

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from PIL.Image import Image

MOST = 60  # pictures on a sheet
COLUMNS = 10
HEIGHT = 128  # of a picture
GAP, TEXT = 6, 12


def group_sheet(paths: Sequence[Path], captions: Sequence[str], doubtful: Sequence[bool], title: str) -> Image:
    """Draw the first MOST pictures of a group under a title; doubtful ones in a red frame.

    Args:
        paths: of the pictures, in the order to show them.
        captions: (N,) what stands under each.
        doubtful: (N,) whether it may not belong here.
        title: a line above.

    Returns:
        An RGB image.
    """
    from PIL import Image, ImageDraw, ImageFont

    shown = [thumbnail(path, HEIGHT) for path in paths[:MOST]]
    wide = min(max((image.width for image in shown if image is not None), default=HEIGHT // 2), round(WIDEST * HEIGHT))
    columns = min(COLUMNS, len(shown))
    lines = -(-len(shown) // columns)
    cell = (wide + GAP, HEIGHT + GAP + TEXT + 4)
    sheet = Image.new("RGB", (max(columns * cell[0] + GAP, 320), lines * cell[1] + 3 * TEXT), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=TEXT)
    draw.text((GAP, GAP), title, fill=(28, 33, 38), font=font)
    for place, (image, caption, doubt) in enumerate(zip(shown, captions, doubtful, strict=False)):
        x, y = GAP + place % columns * cell[0], 2 * TEXT + 4 + place // columns * cell[1]
        if image is not None:
            sheet.paste(image, (x, y))
        if doubt:
            draw.rectangle((x, y, x + wide - 1, y + HEIGHT - 1), outline=(192, 38, 38), width=3)
        draw.text((x, y + HEIGHT + 1), caption, fill=(91, 102, 112), font=font)
    return sheet
