"""A figure: its drawing, its text alternative, and its data.

The SVG takes its ink from the page (`currentColor`), so that one drawing serves light, dark and print.  Equal
numbers give equal bytes.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from resight.reporting.text import printable, spreadsheet_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

INK = "#1c2126"
COLORS = (
    "#2f7fc1",
    "#d9762b",
    "#2a9d74",
    "#b5559d",
    "#8a8f2a",
    "#6a6fd0",
    "#c4554d",
    "#4aa3b8",
)  # seen on both grounds
DASHES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")
_STYLE: Any = {
    "svg.fonttype": "none",  # text stays text: searched, read aloud, in the page's letters
    "svg.hashsalt": "resight",
    "text.parse_math": False,  # a name with a dollar sign is a name
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "axes.titlesize": 9,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.linewidth": 0.8,
    "lines.linewidth": 1.6,
}


@dataclass(frozen=True)
class Figure:
    """`columns` name -> values: what was drawn, before any thinning."""

    name: str  # letters and hyphens: a file name and the start of every id
    title: str
    alt: str
    columns: Mapping[str, Sequence[Any]]
    canvas: Canvas
    caption: str = ""

    def svg(self) -> str:
        """One <svg> element, without prolog or links, its ids beginning with the figure's name."""
        return _clean(self._saved("svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type"))).decode(), self)

    def png(self) -> bytes:
        """At 200 dots an inch on white, for slides."""
        return self._saved("png", dpi=200, facecolor="white", metadata={"Software": None})

    def csv(self) -> str:
        """The columns side by side; NaN is an empty cell."""
        return as_csv(self.columns)

    def json(self) -> str:
        """Title, alternative text and columns; NaN is null."""
        return as_json(self.columns, title=self.title, alt=self.alt)

    def _saved(self, kind: str, **options: Any) -> bytes:
        import matplotlib

        buffer = io.BytesIO()
        with matplotlib.rc_context(_STYLE):
            self.canvas.savefig(buffer, format=kind, **({"transparent": True} if kind == "svg" else {}), **options)
        return buffer.getvalue()


class Drawing:
    """`with Drawing() as axes:` empty axes in our style on a canvas of their own; nothing global is left.

    panels: so many axes side by side, all in `panels`; the first is the one `with` gives.
    """

    def __init__(self, height: float = 3.0, *, square: bool = False, panels: int = 1) -> None:
        self.size = ((height if square else 5.2) * panels, height)
        self.count = panels
        self.panels: list[Axes] = []
        self.canvas: Canvas

    def __enter__(self) -> Axes:
        import matplotlib
        from matplotlib.figure import Figure as Canvas

        self._context = matplotlib.rc_context(_STYLE)
        self._context.__enter__()
        self.canvas = Canvas(figsize=self.size, layout="constrained")
        self.panels = list(self.canvas.subplots(1, self.count, squeeze=False)[0])
        for axes in self.panels:
            axes.spines[["top", "right"]].set_visible(False)
            axes.grid(color=INK, alpha=0.12, linewidth=0.6)
            axes.set_axisbelow(True)
        return self.panels[0]

    def __exit__(self, *error: object) -> None:
        self._context.__exit__(None, None, None)


def as_csv(columns: Mapping[str, Sequence[Any]]) -> str:
    """Columns side by side, the short ones filled up with empty cells."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_cell(name) for name in columns)
    length = max((len(values) for values in columns.values()), default=0)
    for row in range(length):
        writer.writerow(_cell(values[row]) if row < len(values) else "" for values in columns.values())
    return text.getvalue()


def as_json(columns: Mapping[str, Sequence[Any]], **about: str) -> str:
    """{"title": ..., "columns": {name: [values]}}, NaN as null."""
    plain = {name: [_plain(value) for value in values] for name, values in columns.items()}
    return json.dumps({**about, "columns": plain}, indent=1)


def legend(axes: Axes, names: Sequence[object], *, below: bool = False) -> None:
    """One entry a line drawn, in order; a leading underscore is part of the name."""
    shown = [f"\N{ZERO WIDTH SPACE}{printable(name, 40)}" for name in names]
    handles = [*axes.lines, *axes.collections][: len(shown)]
    where: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.06)} if below else {}
    columns = 5 if below else 2 if len(shown) > 4 else 1
    axes.legend(handles, shown, frameon=False, fontsize=8, ncols=columns, columnspacing=1.2, **where)


def styles() -> Iterator[dict[str, Any]]:
    """Colour and dash together, so that lines are told apart without colour too."""
    number = 0
    while True:
        yield {"color": COLORS[number % len(COLORS)], "linestyle": DASHES[number % len(DASHES)]}
        number += 1


def _clean(svg: str, figure: Figure) -> str:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<style type=\"text/css\">.*?</style>", "", svg, flags=re.DOTALL)
    svg = svg.replace('xmlns:xlink="http://www.w3.org/1999/xlink"', "").replace("xlink:href", "href")
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{figure.name}-\1"', svg)
    svg = re.sub(r'href="#([^"]+)"', rf'href="#{figure.name}-\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{figure.name}-\1)", svg)
    svg = svg.replace(INK, "currentColor")
    described = f'<svg role="img" aria-label="{_attribute(figure.alt)}" stroke-linejoin="round" '
    return svg.replace("<svg ", described, 1).strip()


def _attribute(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace(">", "&gt;")


def _plain(value: Any) -> Any:
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _cell(value: Any) -> Any:
    plain = _plain(value)
    return spreadsheet_text(plain) if isinstance(plain, str) else "" if plain is None else plain
