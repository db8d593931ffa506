"""Formatting of numbers and names for the page, the contact sheet and the terminal."""

from __future__ import annotations

import math
from typing import Literal

from resight.inference.embeddings import Vectors
from resight.types import UNKNOWN_CAMERA

Measure = Literal["cosine", "euclidean", "re-ranked", "given"]
MEASURES: dict[Measure, str] = {
    "cosine": "cosine similarity",
    "euclidean": "Euclidean distance (d)",
    "re-ranked": "re-ranked distance (d)",
    "given": "given distance (d)",
}
FLAG_WORDS = {"right": "right", "wrong": "wrong", "junk": "junk", "unknown": ""}
FLAG_SIGNS = {"right": "✓", "wrong": "✗", "junk": "–", "unknown": ""}
NONE = "–"


def percent(share: float | None) -> str:
    """A share in [0, 1] as per cent; a dash where there is none."""
    if share is None or not math.isfinite(share):
        return NONE
    return f"{100 * share:.1f}"


def number(value: float | None, digits: int = 3) -> str:
    """A number with so many significant digits; whole numbers with a comma at the thousands."""
    if value is None or not math.isfinite(value):
        return NONE
    return f"{value:,}" if float(value).is_integer() and abs(value) < 1e12 else f"{value:.{digits}g}"


def closeness(distance: float, measure: Measure) -> str:
    """What people read under a picture: the cosine similarity, or a distance named as such."""
    return f"{1 - distance:.3f}" if measure == "cosine" else f"d {distance:.3f}"


def person(pid: int | None) -> str:
    return "id ?" if pid is None or pid == Vectors.UNKNOWN_PID else f"id {pid}"


def camera(camid: int) -> str:
    return "cam ?" if camid == UNKNOWN_CAMERA else f"cam {camid}"


def spreadsheet_text(text: str) -> str:
    """A spreadsheet takes a text that begins with one of =+-@ for a formula: it gets a quote in front."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def printable(text: object, limit: int = 300) -> str:
    """Text from outside made harmless: no control characters, no broken encoding, not endless."""
    safe = "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in str(text)[: limit + 1])
    return safe if len(safe) <= limit else safe[: limit - 1] + "…"
