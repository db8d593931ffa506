"""Contact sheet: every query at the left, its hits to the right, in one picture.

Right, wrong and junk differ in colour, in the line of their frame and in a word: the sheet can be printed in
black.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from resight.errors import UsageError
from resight.reporting.ranked_lists import answered_rows, ranked_rows, sample_queries
from resight.reporting.text import FLAG_WORDS, Measure, camera, closeness, person, printable
from resight.reporting.thumbnails import WIDEST, thumbnail

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont, ImageFont

    from resight.inference import Result
    from resight.reporting.ranked_lists import Hit, Picture, RankedRow

PER_LINE = 10  # hits side by side; the rest goes below
MOST_PIXELS = 120_000_000  # a sheet beyond this is no picture anybody opens

Color = tuple[int, int, int]
GROUND, INK, SOFT, EMPTY = (255, 255, 255), (28, 33, 38), (91, 102, 112), (238, 241, 244)
FRAMES: dict[str, tuple[Color, int]] = {  # colour, length of a dash in frame widths (0: solid)
    "query": ((47, 127, 193), 0),
    "right": ((18, 131, 61), 0),
    "wrong": ((192, 38, 38), 4),
    "junk": ((123, 133, 142), 1),
    "unknown": ((176, 184, 191), 0),
}


class Layout:
    """All lengths follow from the height of a picture and its ratio, width over height.

    cell: a picture in its frame with three lines below, and the space around it.
    """

    def __init__(self, height: int, ratio: float) -> None:
        self.height, self.width = height, round(height * ratio)
        self.frame, self.gap = max(2, height // 40), max(6, height // 14)
        self.text = max(10, height // 12)
        self.line = round(1.3 * self.text)
        wide = max(self.width + 2 * self.frame, round(8 * self.text))
        self.cell = (wide + self.gap, height + 2 * self.frame + 3 * self.line + 2 * self.gap)


def contact_sheet(
    rows: Sequence[RankedRow], *, columns: int | None = None, height: int = 192, title: str = ""
) -> Image:
    """Draw queries and their hits as one picture: a query a row, its hits beside it.

    Args:
        rows: the queries and their ranked lists.  A picture that cannot be read is an empty frame.
        columns: hits of a row, at most; None: all.  PER_LINE stand side by side, a longer list is wrapped.
        height: of a picture, in pixels, 16 to 1024.
        title: a line above.

    Returns:
        An RGB image.

    Raises:
        UsageError: there is nothing to show, or too much for one picture.
    """
    from PIL import Image, ImageDraw, ImageFont

    if not rows:
        raise UsageError("a contact sheet needs at least one query.")
    if not 16 <= height <= 1024:
        raise UsageError(f"pictures {height} pixels high: choose 16 to 1024.")
    shown = [row.hits if columns is None else row.hits[:columns] for row in rows]
    pictures = [
        [thumbnail(p.path, height) for p in (row.query, *(h.picture for h in hits))]
        for row, hits in zip(rows, shown, strict=True)
    ]
    layout = Layout(height, _ratio(pictures, height))
    wide, high = layout.cell
    top = 2 * layout.line if title else 0
    lines = [max(1, -(-len(hits) // PER_LINE)) for hits in shown]  # of each row: a long list is wrapped
    size = (
        layout.gap + wide * (1 + min(PER_LINE, max(map(len, shown)))) + 2 * layout.gap,
        layout.gap + top + high * sum(lines),
    )
    if size[0] * size[1] > MOST_PIXELS:
        raise UsageError(
            f"the sheet would be {size[0]} x {size[1]} pixels; show fewer rows or hits, or smaller pictures."
        )
    sheet = Image.new("RGB", size, GROUND)
    pen = _Pen(sheet, ImageDraw.Draw(sheet), layout, ImageFont.load_default(size=layout.text))
    if title:
        pen.write((layout.gap, layout.gap), title, INK, size[0] - 2 * layout.gap)
    y = layout.gap + top
    for row, hits, images, deep in zip(rows, shown, pictures, lines, strict=True):
        pen.query(layout.gap, y, row.query, images[0])
        for line in range(deep):
            pen.rule(layout.gap + wide, y + line * high)
        for place, (hit, image) in enumerate(zip(hits, images[1:], strict=True)):
            line, column = divmod(place, PER_LINE)
            pen.hit(3 * layout.gap + (1 + column) * wide, y + line * high, hit, row.measure, image)
        y += deep * high
    return sheet


def search_sheet(answers: Sequence[Mapping[str, Any]], *, height: int = 192, title: str = "") -> Image:
    """Draw the answers of a search.

    Args:
        answers: as `answered_rows` takes them.
        height: of a picture, in pixels.
        title: a line above.

    Returns:
        An RGB image.

    Raises:
        UsageError: there is nothing to show, or too much for one picture.
    """
    return contact_sheet(answered_rows(answers), height=height, title=title)


def result_sheet(
    result: Result, *, queries: int = 5, k: int = 10, seed: int = 0, height: int = 192, title: str = ""
) -> Image:
    """Draw a seeded sample of evaluated queries with their ranked lists.

    Args:
        result: an evaluation.
        queries: how many to draw.
        k: the lists go down to the k-th picture that counts; at most k are shown.
        seed: of the draw.
        height: of a picture, in pixels.
        title: a line above.

    Returns:
        An RGB image.

    Raises:
        UsageError: there is nothing to show, or too much for one picture.
    """
    drawn = sample_queries(result.report, queries, seed)
    return contact_sheet(ranked_rows(result, drawn, k), columns=k, height=height, title=title)


@dataclass(frozen=True)
class _Pen:
    sheet: Image
    draw: ImageDraw
    layout: Layout
    font: FreeTypeFont | ImageFont

    def query(self, x: int, y: int, picture: Picture, image: Image | None) -> None:
        known = [words for words in (person(picture.pid), camera(picture.camid)) if "?" not in words]
        self.cell(
            x, y, image, "query", ["query", "  ".join(known) or _file(picture), "" if known else _folder(picture)]
        )

    def hit(self, x: int, y: int, hit: Hit, measure: Measure, image: Image | None) -> None:
        place = f"#{hit.rank} " if hit.rank else ""
        flag = FLAG_WORDS[hit.flag]
        who = "  ".join(words for words in (person(hit.picture.pid), camera(hit.picture.camid)) if "?" not in words)
        lines = [f"{place} {closeness(hit.distance, measure)}".strip(), who or _file(hit.picture), flag]
        if not who and not flag:
            lines[2] = _folder(hit.picture)
        if hit.flag == "junk" and image is not None:
            image = _faded(image)
        self.cell(x, y, image, hit.flag, lines)

    def cell(self, x: int, y: int, image: Image | None, kind: str, lines: list[str]) -> None:
        """A framed picture in the middle of its cell, the words below."""
        layout, (color, dash) = self.layout, FRAMES[kind]
        room = layout.cell[0] - layout.gap
        width = image.width if image is not None else layout.width
        left = x + (room - width) // 2
        box = (left - layout.frame, y, left + width + layout.frame, y + layout.height + 2 * layout.frame)
        if image is not None:
            self.sheet.paste(image, (left, y + layout.frame))
        else:
            self.draw.rectangle(box, fill=EMPTY)
            self.write((x, y + layout.height // 2), "no picture", SOFT, room, center=True)
        _frame(self.draw, box, layout.frame, color, dash)
        for number, text in enumerate(lines):
            tint = color if number == 2 or (kind == "query" and number == 0) else INK if number == 0 else SOFT
            self.write((x, box[3] + layout.line // 4 + number * layout.line), text, tint, room, center=True)

    def write(self, at: tuple[int, int], text: str, color: Color, room: int, *, center: bool = False) -> None:
        """One line of text; of what is too long the end is kept, which tells names apart."""
        text = printable(text)
        while len(text) > 1 and self.draw.textlength(text, font=self.font) > room:
            text = "…" + text[2:]
        left = at[0] + (room - int(self.draw.textlength(text, font=self.font))) // 2 if center else at[0]
        self.draw.text((left, at[1]), text, fill=color, font=self.font)

    def rule(self, x: int, y: int) -> None:
        """A line between the query and its list."""
        height = self.layout.height + 2 * self.layout.frame
        self.draw.line((x + self.layout.gap // 2, y, x + self.layout.gap // 2, y + height), fill=EMPTY, width=2)


def _file(picture: Picture) -> str:
    return picture.path.name if picture.path is not None else picture.name


def _folder(picture: Picture) -> str:
    return f"in {picture.path.parent.name}/" if picture.path is not None and picture.path.parent.name else ""


def _ratio(pictures: list[list[Image | None]], height: int) -> float:
    """The widest picture sets the width of a cell; half the height where there is none."""
    widths = [image.width for line in pictures for image in line if image is not None]
    return min(max(widths, default=height // 2) / height, WIDEST)


def _faded(image: Image) -> Image:
    from PIL import Image as Pillow

    return Pillow.blend(image.convert("L").convert("RGB"), Pillow.new("RGB", image.size, GROUND), 0.55)


def _frame(draw: ImageDraw, box: tuple[int, int, int, int], width: int, color: Color, dash: int) -> None:
    """A frame inside `box`, whole or in dashes of `dash` widths."""
    left, top, right, bottom = box
    if not dash:
        draw.rectangle((left, top, right - 1, bottom - 1), outline=color, width=width)
        return
    step, every = dash * width, (dash + max(1, dash // 2)) * width
    for x in range(left, right, every):
        end = min(x + step, right) - 1
        draw.rectangle((x, top, end, top + width - 1), fill=color)
        draw.rectangle((x, bottom - width, end, bottom - 1), fill=color)
    for y in range(top, bottom, every):
        end = min(y + step, bottom) - 1
        draw.rectangle((left, y, left + width - 1, end), fill=color)
        draw.rectangle((right - width, y, right - 1, end), fill=color)
