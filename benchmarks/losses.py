"""Speed of the losses, forward and backward, beside their peers in the same run.

    uv run --group peers python benchmarks/losses.py           # batch 1024 of 2048-d features, one thread
    uv run --group peers python benchmarks/losses.py --rows 256 --device cuda

Each row first checks that the two losses and their gradients agree, then takes turns between them, so that
whatever else the machine does falls on both, and prints the median of each and their ratio.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from peers import MISSING, torchreid_file
from resight.losses import Lifted, PairwiseCircle, TriHard, Triplet

LossFunction = Callable[[Tensor, Tensor], Tensor]

LISTED = {"triplet", "lifted"}  # the peer lists all their triplets one by one: beyond 256 rows too many


@dataclass(frozen=True)
class Row:
    loss: str
    peer: str
    ours_ms: float
    theirs_ms: float
    ratio: float


def torchreid_triplet() -> nn.Module | None:
    """torchreid's TripletLoss from its own file: importing the package would want its data-set readers."""
    module = torchreid_file("losses/hard_mine_triplet_loss")
    if module is None:
        return None
    loss: nn.Module = module.TripletLoss(margin=0.3)
    return loss


def peers() -> list[tuple[str, str, LossFunction, LossFunction]]:
    """(loss, peer, ours, theirs) for every peer that is installed."""
    rows: list[tuple[str, str, LossFunction, LossFunction]] = []
    if importlib.util.find_spec("pytorch_metric_learning"):
        from pytorch_metric_learning import distances, losses, miners, reducers

        plain = distances.LpDistance(normalize_embeddings=False)
        hard = miners.BatchHardMiner(distance=plain)
        triplet = losses.TripletMarginLoss(margin=0.3, distance=plain, reducer=reducers.MeanReducer())
        circle = losses.CircleLoss(m=0.25, gamma=128)
        lifted = losses.LiftedStructureLoss(neg_margin=1, pos_margin=0, distance=plain)
        name = "pytorch-metric-learning"
        rows += [
            ("trihard", name, TriHard(), lambda f, y: triplet(f, y, hard(f, y))),
            ("pairwise_circle", name, PairwiseCircle(), circle),
            ("lifted", name, Lifted(), lifted),
            ("triplet", name, Triplet(), triplet),
        ]
    else:
        print("pytorch-metric-learning is not installed: its rows are left out", file=sys.stderr)
    reference = torchreid_triplet()
    if reference is not None:
        rows.append(("trihard", "torchreid", TriHard(), reference))
    else:
        print(f"torchreid is {MISSING}", file=sys.stderr)
    return rows


def once(loss: LossFunction, features: Tensor, pids: Tensor) -> tuple[float, Tensor, Tensor]:
    """Seconds of one forward and backward pass, the value and the gradient."""
    leaf = features.clone().requires_grad_()
    _wait(features)
    start = time.perf_counter()
    value = loss(leaf, pids)
    (gradient,) = torch.autograd.grad(value, leaf)
    _wait(features)
    return time.perf_counter() - start, value.detach(), gradient


def _wait(tensor: Tensor) -> None:
    if tensor.is_cuda:
        torch.cuda.synchronize()


def compare(ours: LossFunction, theirs: LossFunction, features: Tensor, pids: Tensor, repeats: int) -> Any:
    """Medians in milliseconds, taken in turns after one warm-up that checks they agree."""
    _, value, gradient = once(ours, features, pids)
    _, expected, reference = once(theirs, features, pids)
    torch.testing.assert_close(value, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(gradient, reference, rtol=1e-2, atol=1e-2 * float(reference.abs().max()))
    pairs = [(once(ours, features, pids)[0], once(theirs, features, pids)[0]) for _ in range(repeats)]
    return [1000 * statistics.median(column) for column in zip(*pairs, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1024, help="batch size, 4 images of each identity")
    parser.add_argument("--dim", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--only", help="one loss by name")
    parser.add_argument("--json", type=Path, help="also write the rows here")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    draws = torch.Generator().manual_seed(0)
    pids = torch.arange(options.rows // 4).repeat_interleave(4).to(options.device)
    centers = torch.randn(options.rows // 4, options.dim, generator=draws)
    noise = torch.randn(options.rows, options.dim, generator=draws)
    features = (centers.repeat_interleave(4, dim=0) + noise).to(options.device)
    print(
        f"{options.rows} x {options.dim} float32, {options.device}, {options.threads} thread(s), "
        f"median of {options.repeats}, torch {torch.__version__}"
    )
    rows = []
    for name, peer, ours, theirs in peers():
        if options.only not in (None, name) or (name in LISTED and options.rows > 256):
            continue
        mine, other = compare(ours, theirs, features, pids, options.repeats)
        rows.append(Row(name, peer, mine, other, other / mine))
        print(f"{name:16} {mine:9.1f} ms   {peer:24} {other:9.1f} ms   {other / mine:6.2f} x")
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))


if __name__ == "__main__":
    main()
