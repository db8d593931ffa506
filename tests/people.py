"""Made-up training data for tests: coloured rectangles with names, small enough to train on in a second."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def write_people(
    root: Path, *, train_ids: int = 6, test_ids: int = 4, cameras: int = 2, shots: int = 3, seed: int = 0
) -> Path:
    """A Market-1501 tree: each person is two coloured halves, each camera adds a cast and each shot noise."""
    rng = np.random.default_rng(seed)
    casts = rng.normal(0, 12, (cameras + 1, 3))
    number = 0
    for pid in range(1, train_ids + test_ids + 1):
        colors = rng.integers(30, 225, (2, 3))
        for camera in range(1, cameras + 1):
            for shot in range(shots):
                number += 1
                split = "bounding_box_train" if pid <= train_ids else "query" if shot == 0 else "bounding_box_test"
                picture = np.repeat(colors, 32, axis=0)[:, None, :] + casts[camera] + rng.normal(0, 9, (64, 32, 3))
                path = root / split / f"{pid:04d}_c{camera}s1_{number:06d}_00.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(path, quality=90)
    return root
