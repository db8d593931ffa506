"""Synthetic crops beside real ones, in figures: light, contrast, colour, sharpness.

python benchmarks/synth_beside.py FOLDER [FOLDER ...] [--sheet beside.png]

Each FOLDER holds crops; the bundled people are the first line.  --sheet writes a few of each under one another, to look
at.  Keep such a sheet to yourself where it shows real people.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import numpy as np
from PIL import Image

from resight.synth import sample_root

SIZE = (64, 128)
COLUMNS = ("brightness", "contrast", "saturation", "edges", "white", "black")


def crop(file: Path) -> Image.Image:
    return Image.open(file).convert("RGB").resize(SIZE)


def figures(picture: Image.Image) -> list[float]:
    """Mean and spread of grey, mean saturation, mean step between neighbours, share near white and near black."""
    grey = np.asarray(picture.convert("L"), float) / 255
    colour = np.asarray(picture.convert("HSV"), float)[..., 1] / 255
    step = np.abs(np.diff(grey, axis=1)).mean()
    shares = [(grey > 0.97).mean(), (grey < 0.1).mean()]
    return [float(value) for value in (grey.mean(), grey.std(), colour.mean(), step, *shares)]


def sheet(folders: list[list[Path]], file: Path, columns: int = 18, rows: int = 2) -> None:
    page = Image.new("RGB", (columns * 66, rows * len(folders) * 130), "white")
    for block, files in enumerate(folders):
        chosen = random.Random(0).sample(files, min(columns * rows, len(files)))
        for place, one in enumerate(chosen):
            page.paste(crop(one), (place % columns * 66, (block * rows + place // columns) * 130))
    page.save(file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="*")
    parser.add_argument("--sheet", type=Path)
    options = parser.parse_args()
    roots = [sample_root() / "bounding_box_train", *options.folders]
    files = [sorted(path for path in root.iterdir() if path.suffix in (".jpg", ".png")) for root in roots]
    print(f"{'':36}" + "".join(f"{name:>12}" for name in COLUMNS))
    for root, mine in zip(roots, files, strict=True):
        means = np.mean([figures(crop(file)) for file in mine], axis=0)
        print(f"{'/'.join(root.parts[-2:]):36}" + "".join(f"{value:12.3f}" for value in means))
    if options.sheet:
        sheet(files, options.sheet)


if __name__ == "__main__":
    main()
