"""Random streams, one for each thing that is drawn.

A person, a place, a shot each have their own stream, derived from the seed and the numbers that name them.  Nothing
depends on the order of drawing elsewhere, so pictures can be made in any order, by any number of processes, and a
person keeps their face when the rest of the city changes.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np


def stream(seed: int, what: str, *numbers: int) -> np.random.Generator:
    """The generator for `what` (a word) and its numbers; equal arguments give equal draws on every machine."""
    key = [zlib.crc32(what.encode()), *(number & 0xFFFFFFFF for number in numbers)]
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=tuple(key)))


class Dice:
    """A stream with the throws used in drawing people."""

    def __init__(self, draw: np.random.Generator) -> None:
        self.draw = draw

    def one(self, things: tuple[Any, ...], weights: tuple[float, ...] | None = None) -> Any:
        share = None if weights is None else np.array(weights) / sum(weights)
        return things[int(self.draw.choice(len(things), p=share))]

    def chance(self, probability: float) -> bool:
        return bool(self.draw.random() < probability)

    def between(self, low: float, high: float) -> float:
        return float(self.draw.uniform(low, high))

    def around(self, mean: float, spread: float) -> float:
        return float(mean + spread * np.clip(self.draw.normal(), -2, 2))

    def number(self) -> int:
        return int(self.draw.integers(0, 2**31))

    def tinted(self, color: tuple[float, float, float], spread: float = 0.025) -> tuple[float, float, float]:
        r, g, b = np.clip(np.array(color) + self.draw.normal(0, spread, 3), 0.04, 0.95)
        return float(r), float(g), float(b)
