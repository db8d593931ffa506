"""Synthetic crops beside real ones, in figures: light, contrast, color, sharpness; and whether they are told apart.

python benchmarks/synth_beside.py FOLDER [FOLDER ...] [--real FOLDER] [--sheet beside.png]

Each FOLDER holds crops; the bundled people are the first line.  --real adds two columns: how far the mean color
histogram lies from that of the real crops (half the sum of absolute differences, 0 to 1), and how many held-out crops a
linear classifier on ImageNet features sorts rightly into rendered and real (0.5: it cannot; needs resight[lite]).
Pictures of one person, by the number their name begins with, are never on both sides of that test.  --sheet writes a
few of each under one another, to look at.  Keep such a sheet to yourself where it shows real people.
"""

from __future__ import annotations

import argparse
import random
import zlib
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from resight import models
from resight.synth import sample_root
from resight.synth.scene.surface import Array

SIZE = (64, 128)
MOST = 600  # crops taken of a folder
COLUMNS = ("brightness", "contrast", "saturation", "edges", "white", "black")


def crops(root: Path) -> list[Path]:
    """A sample of the people's crops in a folder."""
    files = sorted(path for path in root.iterdir() if path.suffix in (".jpg", ".png") and path.name[0].isdigit())
    return random.Random(0).sample(files, min(MOST, len(files)))


def crop(file: Path) -> Image.Image:
    return Image.open(file).convert("RGB").resize(SIZE)


def figures(picture: Image.Image) -> list[float]:
    """Mean and spread of grey, mean saturation, mean step between neighbours, share near white and near black."""
    gray = np.asarray(picture.convert("L"), float) / 255
    color = np.asarray(picture.convert("HSV"), float)[..., 1] / 255
    step = np.abs(np.diff(gray, axis=1)).mean()
    shares = [(gray > 0.97).mean(), (gray < 0.1).mean()]
    return [float(value) for value in (gray.mean(), gray.std(), color.mean(), step, *shares)]


def histogram(files: list[Path]) -> Array:
    """Share of pixels in each of 4 x 4 x 4 boxes of RGB."""
    total = np.zeros(64)
    for file in files:
        level = np.asarray(crop(file)) // 64
        total += np.bincount((level @ np.array([16, 4, 1])).ravel(), minlength=64)
    return np.asarray(total / total.sum())


def told_apart(rendered: list[Path], real: list[Path]) -> float:
    """Accuracy of a linear classifier on ImageNet features, on crops of people it was not fitted to."""
    few = [rendered, real]
    sides = [[zlib.crc32(file.name.split("_")[0].encode()) % 2 == 0 for file in files] for files in few]
    x = torch.cat([features(files) for files in few])
    y = torch.cat([torch.full((len(files),), float(label)) for label, files in enumerate(few)])
    fit = torch.tensor([side for part in sides for side in part])
    x = (x - x[fit].mean(dim=0)) / (x[fit].std(dim=0) + 1e-6)
    weight = torch.zeros(x.shape[1] + 1, requires_grad=True)
    share = torch.where(y[fit] > 0, 0.5 / (y[fit] > 0).sum(), 0.5 / (y[fit] == 0).sum())
    descent = torch.optim.LBFGS([weight], max_iter=60)

    def closure() -> float:
        descent.zero_grad()
        score = x[fit] @ weight[1:] + weight[0]
        loss = (share * F.binary_cross_entropy_with_logits(score, y[fit], reduction="none")).sum()
        loss = loss + 0.01 * weight[1:].square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return float(loss)

    descent.step(closure)  # type: ignore[no-untyped-call]
    right = ((x[~fit] @ weight[1:] + weight[0]) > 0) == (y[~fit] > 0)
    return float(np.mean([right[y[~fit] == label].float().mean().item() for label in (0, 1)]))


@torch.no_grad()
def features(files: list[Path]) -> torch.Tensor:
    """Pooled ImageNet features (N, D) of crops."""
    options = {"name": "tf_efficientnet_lite0", "pretrained": "efficientnet_lite0"}
    model = models.build("baseline", num_ids=0, input_size=[SIZE[1], SIZE[0]], backbone=options).eval()
    pixels = [torch.from_numpy(np.array(crop(file))).permute(2, 0, 1) for file in files]
    return torch.cat([model.embed(torch.stack(pixels[at : at + 64]).float() / 255) for at in range(0, len(pixels), 64)])


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
    parser.add_argument("--real", type=Path, help="real crops to measure the gap to")
    parser.add_argument("--sheet", type=Path)
    options = parser.parse_args()
    roots = [sample_root() / "bounding_box_train", *options.folders]
    files = [crops(root) for root in roots]
    real = crops(options.real) if options.real else []
    print(f"{'':36}" + "".join(f"{name:>12}" for name in (*COLUMNS, *(("histogram", "told apart") if real else ()))))
    for root, mine in zip(roots, files, strict=True):
        means = np.mean([figures(crop(file)) for file in mine], axis=0)
        gap = [float(np.abs(histogram(mine) - histogram(real)).sum() / 2), told_apart(mine, real)] if real else []
        print(f"{'/'.join(root.parts[-2:]):36}" + "".join(f"{value:12.3f}" for value in (*means, *gap)))
    if options.sheet:
        sheet(files, options.sheet)


if __name__ == "__main__":
    main()
