"""kill -9 at random moments, then the same command again: do the weights come out as if nothing had happened?

Starts `resight train` of a tiny recipe as a process of its own, with everything a state has to hold switched on and a
save after every step, and kills it: most times somewhere in training, which is as often as not in mid-save, now and
then while it is still starting.  Runs follow one another until all kills are spent; each is then resumed to its end
and its weights are compared, bit for bit, with those of a run that nobody touched.

    python benchmarks/kills.py --kills 50 --seed 0        # about five minutes on one core
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import load_file

EARLY = 0.15  # share of kills that fall into the start-up
RECIPE = """
name = "kills"
[data]
name = "market"
[model]
name = "strong_baseline"
input_size = [32, 32]
[model.backbone]
name = "resnet10"
width = 4
[[objective.terms]]
name = "identity"
loss = "cross_entropy"
on = "logits.identity"
[[objective.terms]]
name = "triplet"
loss = "curriculum_triplet"
on = "features.global"
memory = 64
memory_start = 20
[objective.weighting]
name = "dynamic_focal"
[feed.balanced]
ids = 4
images = 3
[feed.random]
sampler = "random"
batch_size = 12
[augment]
pad = 2
erase = 0.5
patch = 0.5
[optim]
lr = 1e-3
clip_norm = 5.0
[schedule]
name = "cosine"
warmup = 2
[train]
epochs = 30
steps_per_epoch = 10
log_every = 5
save_seconds = 0
precision = "fp32"
ema = 0.9
recover = 1
"""


@dataclass
class Tally:
    """What the kills hit."""

    starting: int = 0
    training: int = 0
    drafts: int = 0  # a half-written file was left
    runs: int = 0
    differing: list[int] = field(default_factory=list)

    @property
    def kills(self) -> int:
        return self.starting + self.training


def write_people(root: Path, people: int = 8, shots: int = 6) -> Path:
    """A Market-1501 tree of coloured noise; the first six people train."""
    draws = np.random.default_rng(0)
    number = 0
    for pid in range(1, people + 1):
        color = draws.integers(30, 225, 3)
        for camera in (1, 2):
            for shot in range(shots // 2):
                number += 1
                split = "bounding_box_train" if pid <= people - 2 else "query" if shot == 0 else "bounding_box_test"
                path = root / split / f"{pid:04d}_c{camera}s1_{number:06d}_00.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                picture = color + draws.normal(0, 20, (32, 32, 3))
                Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(path)
    return root


def start(recipe: Path, people: Path, folder: Path) -> subprocess.Popen[bytes]:
    where = ["--set", f"data.root={people}", "--out", str(folder)]
    command = [sys.executable, "-m", "resight", "train", str(recipe), *where]
    surroundings = os.environ | {"OMP_NUM_THREADS": "1", "RESIGHT_CACHE": str(people / "cache")}
    return subprocess.Popen(command, env=surroundings, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def finish(process: subprocess.Popen[bytes]) -> None:
    """Raises RuntimeError with what it said if it did not end well."""
    _, said = process.communicate()
    if process.returncode:
        raise RuntimeError(f"exit code {process.returncode}: {said.decode().strip().splitlines()[-1]}")


def kill(process: subprocess.Popen[bytes], folder: Path, draws: random.Random, span: float, tally: Tally) -> bool:
    """Kill at a random moment; False if it had ended by then."""
    before, began = _stamp(folder), time.monotonic()
    early = draws.random() < EARLY
    until = began + draws.uniform(0, 3) if early else float("inf")
    while process.poll() is None and time.monotonic() < until:
        if _stamp(folder) != before:
            time.sleep(draws.uniform(0, span))
            break
        time.sleep(0.002)
    if process.poll() is not None:
        finish(process)
        return False
    process.kill()
    process.communicate()
    tally.training += _stamp(folder) != before
    tally.starting += _stamp(folder) == before
    tally.drafts += any(path.name.endswith(".partial") for path in folder.glob(".*"))
    return True


def _stamp(folder: Path) -> int:
    try:
        return (folder / "state.pt").stat().st_mtime_ns
    except OSError:
        return 0


def same(one: Path, two: Path) -> bool:
    first, second = (load_file(folder / "model.safetensors") for folder in (one, two))
    return first.keys() == second.keys() and all(np.array_equal(first[name], second[name]) for name in first)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--span", type=float, default=1.0, help="longest time a run may train between two kills, s")
    options = parser.parse_args()
    draws, tally, began = random.Random(options.seed), Tally(), time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        here = Path(place)
        people, recipe = write_people(here / "people"), here / "kills.toml"
        recipe.write_text(RECIPE)
        finish(start(recipe, people, here / "whole"))
        print(f"unbroken run: {time.monotonic() - began:.0f} s", flush=True)
        while tally.kills < options.kills:
            folder = here / f"run{tally.runs}"
            alive = True
            while alive and tally.kills < options.kills:
                alive = kill(start(recipe, people, folder), folder, draws, options.span, tally)
            finish(start(recipe, people, folder))
            if not same(folder, here / "whole"):
                tally.differing.append(tally.runs)
            tally.runs += 1
            print(f"{tally.kills} kills, {tally.runs} runs ended, {len(tally.differing)} differ", flush=True)
    print(json.dumps({
        "kills": tally.kills, "while starting": tally.starting, "while training": tally.training,
        "half-written files left": tally.drafts, "runs": tally.runs, "runs that differ": tally.differing,
        "seconds": round(time.monotonic() - began), "seed": options.seed,
    }, indent=1))  # fmt: skip
    sys.exit(bool(tally.differing))


if __name__ == "__main__":
    main()
