"""Step time and memory of the classifier for very many identities, on one process.

    python benchmarks/classifier.py                             # 512-d, batch 128: 10k, 100k, 1M sampled at 1 %
    python benchmarks/classifier.py --classes 1000 20000:0.1    # seconds, to see that it runs

Each size runs in a process of its own, whose peak resident memory is read at the end.  A step is forward,
backward and a plain SGD update of the classifier; the full forms are dense, the sampled one sparse.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import statistics
import time
from typing import Any

CASES = ["10000", "100000", "1000000:0.01"]


def measure(num_ids: int, rate: float, dim: int, rows: int, steps: int, threads: int) -> dict[str, Any]:
    """Median seconds of a step, and peak memory beyond what importing takes, in GiB."""
    import torch

    from resight.losses import ShardedClassifier

    torch.set_num_threads(threads)
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    loss = ShardedClassifier(num_ids, dim, head="cosface", rate=rate, sparse=rate < 1)
    optimizer = torch.optim.SGD(loss.parameters(), lr=0.1)
    draws, taken = torch.Generator().manual_seed(0), []
    for step in range(steps + 1):
        features = torch.randn(rows, dim, generator=draws).requires_grad_()
        pids = torch.randint(num_ids, (rows,), generator=draws)
        loss.set_clock(step, 0.0)
        start = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        loss(features, pids).backward()
        optimizer.step()
        taken.append(time.perf_counter() - start)
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base) / 2**20
    return {"seconds": statistics.median(taken[1:]), "peak": peak}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", nargs="+", default=CASES, metavar="NUMBER[:RATE]", help="rate 1: all are scored")
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--rows", type=int, default=128)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    print("| classes | rate | step | peak memory | weight alone |\n| --- | --- | --- | --- | --- |")
    for case in options.classes:
        number, _, share = case.partition(":")
        num_ids, rate = int(number), float(share or 1)
        arguments = (num_ids, rate, options.dim, options.rows, options.steps, options.threads)
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            seen = pool.apply(measure, arguments)
        weight = num_ids * options.dim * 4 / 2**30
        print(
            f"| {num_ids:,} | {rate:g} | {1000 * seen['seconds']:.0f} ms | {seen['peak']:.2f} GiB | {weight:.2f} GiB |"
        )


if __name__ == "__main__":
    main()
