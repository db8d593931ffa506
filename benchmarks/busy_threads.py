"""Two threads of torch beside two busy processes: what idle spinning costs.

    python benchmarks/busy_threads.py --steps 5

Trains strong_baseline (ResNet-18, 128 x 64, batch 32) on two threads while two processes keep both cores busy, with
libgomp's own waiting, with GOMP_SPINCOUNT=0 as the verbs set it, and on one thread; then the first two on idle cores.
Prints images per second, and each as a ratio to libgomp's own waiting.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import time

WORK = """
import sys, time, torch
from resight import models
torch.set_num_threads(int(sys.argv[1]))
model = models.build("strong_baseline", 100, backbone="resnet18", input_size=[128, 64]).train()
images = torch.rand(32, 3, 128, 64)
def step():
    model(images).logits["identity"].square().mean().backward()
step()
began = time.perf_counter()
for _ in range(int(sys.argv[2])):
    step()
print(32 * int(sys.argv[2]) / (time.perf_counter() - began))
"""
OWN = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
SETTINGS = {"own waiting": (2, OWN), "no spinning": (2, OWN | {"GOMP_SPINCOUNT": "0"}), "one thread": (1, OWN)}


def images_per_second(threads: int, steps: int, environment: dict[str, str]) -> float:
    command = [sys.executable, "-c", WORK, str(threads), str(steps)]
    return float(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


def spin() -> None:
    end = time.monotonic() + 3600
    while time.monotonic() < end:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=5)
    steps = parser.parse_args().steps
    busy = [multiprocessing.Process(target=spin, daemon=True) for _ in range(2)]
    for process in busy:
        process.start()
    beside = {name: images_per_second(threads, steps, env) for name, (threads, env) in SETTINGS.items()}
    for process in busy:
        process.kill()
    idle = {name: images_per_second(2, steps, SETTINGS[name][1]) for name in ("own waiting", "no spinning")}
    for kind, found in (("beside two busy processes", beside), ("idle", idle)):
        ratios = {
            name: {"images_per_s": round(v, 1), "ratio": round(v / found["own waiting"], 2)}
            for name, v in found.items()
        }
        print(json.dumps({kind: ratios}))


if __name__ == "__main__":
    main()
