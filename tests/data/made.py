"""Small data sets made on the spot: pictures of one colour under the names each form asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

SIZE = (8, 16)  # width, height


def picture(path: Path, number: int = 0, size: tuple[int, int] = SIZE) -> Path:
    """A picture whose content depends on `number` alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    colors = np.random.default_rng(number).integers(0, 256, (4, 2, 3), dtype=np.uint8)
    Image.fromarray(colors).resize(size, Image.Resampling.NEAREST).save(path)
    return path


def pictures(root: Path, names: list[str]) -> Path:
    """Pictures, all different, under a root."""
    for number, name in enumerate(names):
        picture(root / name, number)
    return root


MARKET_NAMES = [
    "bounding_box_train/0002_c1s1_000451_03.jpg",
    "bounding_box_train/0002_c2s1_000776_01.jpg",
    "bounding_box_train/0007_c1s1_000001_01.jpg",
    "bounding_box_train/0007_c3s1_000002_01.jpg",
    "bounding_box_train/0010_c4s1_000003_01.jpg",
    "bounding_box_train/0010_c6s1_000004_01.jpg",
    "query/0001_c1s1_001051_00.jpg",
    "query/0003_c5s1_001052_00.jpg",
    "bounding_box_test/0001_c2s1_001053_01.jpg",
    "bounding_box_test/0001_c1s1_001054_02.jpg",
    "bounding_box_test/0003_c6s3_001055_01.jpg",
    "bounding_box_test/0000_c1s1_000151_01.jpg",
    "bounding_box_test/-1_c1s1_000401_03.jpg",
]


def market(root: Path) -> Path:
    """Three persons to learn, two to find, a distractor and a junk box, in Market-1501's names."""
    return pictures(root, MARKET_NAMES)
