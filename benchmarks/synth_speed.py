"""How many synthetic pictures a second, by processes and by the size of people.

python benchmarks/synth_speed.py [--pictures 60]

Prints a table; both columns of processes are measured in one run on the same pictures.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from resight.synth import PRESETS, SynthConfig, generate


def measure(config: SynthConfig, workers: int) -> float:
    """Pictures a second, the start of the processes and the building of places included."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        summary = generate(config, Path(folder) / "set", workers=workers)
        return summary.pictures / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=60, help="about how many a measurement")
    pictures = parser.parse_args().pictures
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
