"""Decoding a data set of crops: the pixel cache against the way it is usually done, in one thread.

The usual way opens each JPEG with Pillow, converts it, and runs torchvision's Resize, ToTensor and Normalize
on it, every epoch anew.  The cache reads, hashes, decodes, resizes and writes to disk, once.  Crops have
Market-1501's size, 64 x 128, and are made here.  Both sides run in turn, several times; each keeps its best.

    python benchmarks/decode.py [--pictures 1000] [--rounds 7] [--json]
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import torch
from PIL import Image
from torchvision import transforms

from resight.data import PixelCache
from resight.data.loading.base import CHUNK, decode_rows
from resight.types import Sample

SIZE = (256, 128)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def crops(folder: Path, number: int) -> list[Path]:
    """JPEGs of 64 x 128, smooth shapes with some grain: about 3 kB each, as Market-1501's are."""
    generator = np.random.default_rng(0)
    paths = [folder / f"{i:05d}.jpg" for i in range(number)]
    for path in paths:
        shapes = Image.fromarray(generator.integers(0, 256, (16, 8, 3), dtype=np.uint8))
        smooth = np.asarray(shapes.resize((64, 128), Image.Resampling.BICUBIC)).astype(int)
        grain = generator.normal(0, 6, smooth.shape)
        Image.fromarray((smooth + grain).clip(0, 255).astype(np.uint8)).save(path, quality=90)
    return paths


def ways(paths: list[Path], scratch: Path) -> dict[str, Callable[[], object]]:
    """Name -> one pass over all pictures."""
    chain = transforms.Compose([transforms.Resize(SIZE), transforms.ToTensor(), transforms.Normalize(MEAN, STD)])
    samples = [Sample(path, 1, 1, "train", "crops") for path in paths]

    def cache() -> None:
        shutil.rmtree(scratch, ignore_errors=True)
        PixelCache(samples, SIZE, folder=scratch, workers=1)

    def each(function: Callable[[Path], object]) -> Callable[[], None]:
        def run() -> None:
            for path in paths:
                function(path)  # the result is dropped, as after a training step

        return run

    def decode_only() -> None:
        for start in range(0, len(paths), CHUNK):
            decode_rows(paths[start : start + CHUNK], SIZE, "bilinear")

    def resize_only(path: Path) -> object:
        return Image.open(path).convert("RGB").resize(SIZE[::-1], Image.Resampling.BILINEAR)

    return {
        "usual": each(lambda path: chain(Image.open(path).convert("RGB"))),
        "usual, resize only": each(resize_only),
        "to the cache": cache,
        "to memory": lambda: PixelCache(samples, SIZE, in_memory=True, workers=1),
        "decode and resize": decode_only,
    }


def measure(number: int, rounds: int) -> dict[str, float]:
    """Best microseconds per picture of each way, the ways taking turns."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "crops").mkdir()
        todo = ways(crops(Path(folder) / "crops", number), Path(folder) / "cache")
        best = dict.fromkeys(todo, float("inf"))
        for _ in range(rounds):
            for name, run in todo.items():
                start = time.perf_counter()
                run()
                best[name] = min(best[name], (time.perf_counter() - start) / number * 1e6)
    return best


@click.command()
@click.option("--pictures", default=1000, show_default=True)
@click.option("--rounds", default=7, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(pictures: int, rounds: int, as_json: bool) -> None:
    """Measure and print microseconds per picture and the ratio to the usual way."""
    best = measure(pictures, rounds)
    usual, bare = best["usual"], best["usual, resize only"]
    rows = {name: {"us": us, "usual": usual / us, "resize only": bare / us} for name, us in best.items()}
    if as_json:
        json.dump({"pictures": pictures, "size": SIZE, "ways": rows}, sys.stdout, indent=2)
        return
    print(f"{pictures} JPEGs of 64 x 128 to {SIZE[1]} x {SIZE[0]}, one thread, best of {rounds}")
    for name, row in rows.items():
        print(f"{name:20s} {row['us']:7.1f} us   {row['usual']:5.2f} x usual   {row['resize only']:5.2f} x resize only")


if __name__ == "__main__":
    main()
