"""Contact sheet of a data set: a row per person, a few pictures each."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from PIL import Image

from resight.data.loading.decode import Pixels8, decode
from resight.errors import DatasetError, ImageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from resight.types import Sample

T = TypeVar("T")
TILE = (128, 64)  # (H, W)
GAP = 2
PERSONS, PICTURES = 10, 10


def contact_sheet(samples: Sequence[Sample]) -> Image.Image:
    """Draw PERSONS rows, spread over all persons, of up to PICTURES pictures, spread over each person's."""
    people: dict[int, list[Sample]] = defaultdict(list)
    for sample in samples:
        if sample.pid > 0:
            people[sample.pid].append(sample)
    if not people:
        raise DatasetError("there is no picture of a person to show.")
    rows = [_spread(people[pid], PICTURES) for pid in _spread(sorted(people), PERSONS)]
    height, width = TILE[0] + GAP, TILE[1] + GAP
    canvas = np.full((height * len(rows) + GAP, width * max(map(len, rows)) + GAP, 3), 255, np.uint8)
    for y, row in enumerate(rows):
        for x, sample in enumerate(row):
            top, left = y * height + GAP, x * width + GAP
            canvas[top : top + TILE[0], left : left + TILE[1]] = _tile(sample)
    return Image.fromarray(canvas)


def _spread(things: Sequence[T], number: int) -> list[T]:
    return [things[i * len(things) // number] for i in range(number)] if len(things) > number else list(things)


def _tile(sample: Sample) -> Pixels8:
    try:
        return decode(sample.path, TILE)
    except ImageError:
        return np.full((*TILE, 3), 128, np.uint8)
