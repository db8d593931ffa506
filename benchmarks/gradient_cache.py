"""Memory and time of a large metric batch: the plain step beside the two-pass one, chunk by chunk.

ResNet-18 on small crops with batch-hard triplets over the whole batch.  Each way runs in a process of its own, since
freed memory would flatter whoever comes second; the step that is timed follows the one whose memory is measured.  On
the processor the time is the processor's, whatever else it does.

    python benchmarks/gradient_cache.py                                  # batch 1024 at 64 x 32, under a minute
    python benchmarks/gradient_cache.py --device cuda --size 256 128     # where there is one
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import time
from typing import TYPE_CHECKING, Any

import torch

from measure import MIB, peak_beyond
from resight import models
from resight.training.clock import Clock
from resight.training.objective.objective import Objective
from resight.training.objective.step import Step
from resight.training.objective.terms import TermConfig, offered
from resight.training.optimization.backward import FullBatch, GradientCache
from resight.types import Batch

if TYPE_CHECKING:
    from resight.training.optimization.backward import GradientStrategy

PICTURES = 4  # of each identity


def measure(chunk: int, rows: int, size: tuple[int, int], device: str) -> dict[str, float]:
    """One step: MiB at its peak beyond model and batch, and seconds.  chunk 0: the plain step."""
    torch.set_num_threads(1)
    options: dict[str, Any] = {"backbone": {"name": "resnet18"}, "input_size": list(size)}
    torch.manual_seed(0)
    model = models.build("baseline", rows // PICTURES, **options)
    term = TermConfig("triplet", "trihard", "features.global")
    objective = Objective([term], offered(models.probe("baseline", rows // PICTURES, **options)), rows // PICTURES)
    step = Step(model, objective).to(device).train()
    pids = torch.arange(rows // PICTURES).repeat_interleave(PICTURES).to(device)
    batch = Batch(torch.rand(rows, 3, *size, device=device), pids, torch.zeros_like(pids), torch.arange(rows))
    way: GradientStrategy = GradientCache(chunk, contextlib.nullcontext) if chunk else FullBatch(contextlib.nullcontext)

    def once() -> None:
        step.zero_grad(set_to_none=True)
        way(step, batch, Clock(1))
        if device == "cuda":
            torch.cuda.synchronize()

    peak, clock = _peak(once, device), time.perf_counter if device == "cuda" else time.process_time
    began = clock()
    once()
    return {"MiB": round(peak), "seconds": round(clock() - began, 2)}


def _peak(call: Any, device: str) -> float:
    if device != "cuda":
        return peak_beyond(call)
    call()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    call()
    return (torch.cuda.max_memory_allocated() - before) / MIB


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1024)
    parser.add_argument("--chunks", type=int, nargs="+", default=[64])
    parser.add_argument("--size", type=int, nargs=2, default=[64, 32])
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    found = {}
    for chunk in (0, *options.chunks):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            found[chunk] = pool.apply(measure, (chunk, options.rows, tuple(options.size), options.device))
    plain = found.pop(0)
    ratios = {
        f"chunk {chunk}": {
            **cost,
            "memory of plain": round(cost["MiB"] / plain["MiB"], 3),
            "time of plain": round(cost["seconds"] / plain["seconds"], 2),
        }
        for chunk, cost in found.items()
    }
    print(json.dumps({"rows": options.rows, "size": options.size, "plain": plain, **ratios}, indent=1))


if __name__ == "__main__":
    main()
