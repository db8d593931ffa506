"""How many synthetic pictures a second, by processes and by the size of people.

python benchmarks/synth_speed.py [--pictures 60]
python benchmarks/synth_speed.py --traced

Prints a table; both columns of processes are measured in one run on the same pictures.  --traced: which share of one
process's time is the tracing itself, the part a graphics card could take over.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from resight.synth import PRESETS, SynthConfig, generate
from resight.synth.picture import make
from resight.synth.plan import plan
from resight.synth.scene import render


def measure(config: SynthConfig, workers: int) -> float:
    """Pictures a second, the start of the processes and the building of places included."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        summary = generate(config, Path(folder) / "set", workers=workers)
        return summary.pictures / (time.perf_counter() - began)


def traced(config: SynthConfig, pictures: int = 12) -> float:
    """The renderer's share of the time of some pictures of one camera, its place built beforehand."""
    mitsuba = render._mitsuba()
    trace, spent = mitsuba.render, 0.0

    def timed(*scene: Any, **options: Any) -> Any:
        nonlocal spent
        began = time.perf_counter()
        light = trace(*scene, **options)
        spent += time.perf_counter() - began
        return light

    items = [item for item in plan(config) if item.kind == "person" and item.camera == 1][: pictures + 1]
    make(config, items[0])
    mitsuba.render, began = timed, time.perf_counter()
    try:
        for item in items[1:]:
            make(config, item)
        return spent / (time.perf_counter() - began)
    finally:
        mitsuba.render = trace


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--traced", action="store_true", help="the renderer's share instead")
    parser.add_argument("--pictures", type=int, default=60, help="about how many a measurement")
    options = parser.parse_args()
    if options.traced:
        for name in ("sample", "school", "hard"):
            print(f"{name:12} {PRESETS[name].samples:4} samples  {100 * traced(PRESETS[name]):3.0f} % traced")
        return
    pictures = options.pictures
    cores = os.cpu_count() or 1
    print(f"{'preset':12} {'resolution':>10} {'samples':>8} {'1 process':>10} {cores:>2} processes")
    for name in ("sample", "hard"):
        config = PRESETS[name]
        images = max(1, pictures // (8 * 3))
        small = replace(config, identities=8, cameras=4, images=images, distractors=0, junk=0)
        rates = [measure(small, workers) for workers in (1, cores)]
        print(f"{name:12} {config.resolution:10} {config.samples:8} {rates[0]:10.2f} {rates[1]:12.2f}")


if __name__ == "__main__":
    main()
