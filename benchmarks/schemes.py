"""Which way of spreading a metric loss over processes gives the gradient one process would have found.

    python benchmarks/schemes.py            # 2 and 4 gloo processes on this machine

A linear layer 5 -> 4, 16 rows of 4 identities in blocks, batch-hard triplets with margin 1.5, float64.  For each
scheme the ranks' gradients are averaged, as data-parallel training does, and compared with the gradient of one
process that holds all rows: the ratio of their lengths, and the cosine between them.  Exact is 1 and 1.  Where
pytorch-metric-learning is installed its own wrappers are run as well.
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as c10d
import torch.multiprocessing as mp
from torch import Tensor

from resight.dist import gather, gather_labels, rank, world_size
from resight.losses import TriHard

MARGIN = 1.5
Scheme = Callable[[Tensor, Tensor], Tensor]


def plain(features: Tensor, pids: Tensor) -> Tensor:
    """Batch-hard triplets of the rows given, by this process alone."""
    return against(features, features, pids, pids, torch.eye(len(pids), dtype=torch.bool))


def against(own: Tensor, everyone: Tensor, pids: Tensor, theirs: Tensor, itself: Tensor) -> Tensor:
    """Mean over anchors `own` of the hinge against `everyone`; 0 where nobody has a negative."""
    distance = torch.cdist(own, everyone)
    same = pids[:, None] == theirs[None, :]
    valid = (same & ~itself).any(1) & (~same).any(1)
    far = distance.masked_fill(~same | itself, -torch.inf).amax(1)
    near = distance.masked_fill(same, torch.inf).amin(1)
    hinge: Tensor = (far - near + MARGIN).relu().masked_fill(~valid, 0).sum()
    return hinge / valid.sum().clamp_min(1)


def spliced(features: Tensor) -> Tensor:
    """Everybody's rows without gradient, the own ones put back alive."""
    blocks = list(gather_labels(features).chunk(world_size()))
    blocks[rank()] = features
    return torch.cat(blocks)


def gathered_dead(features: Tensor, pids: Tensor) -> Tensor:
    """A. Remote rows carry no gradient; every rank computes the whole loss."""
    return plain(spliced(features), gather_labels(pids))


def gathered_alive(features: Tensor, pids: Tensor) -> Tensor:
    """B. The gather's backward sums over ranks; every rank computes the whole loss."""
    return plain(gather(features), gather_labels(pids))


def local_anchors_dead(features: Tensor, pids: Tensor) -> Tensor:
    """E. Own anchors against everybody, remote rows without gradient."""
    itself = torch.eye(world_size() * len(pids), dtype=torch.bool).chunk(world_size())[rank()]
    return against(features, spliced(features), pids, gather_labels(pids), itself)


def ours(features: Tensor, pids: Tensor) -> Tensor:
    """D. Own anchors against everybody, the gather's backward sums over ranks: resight's."""
    loss: Tensor = TriHard(MARGIN)(features, pids)
    return loss


def times_ranks(scheme: Scheme) -> Scheme:
    """The loss multiplied by the number of processes."""
    return lambda features, pids: world_size() * scheme(features, pids)


# C, a gather whose backward returns the own slice alone (fast-reid, SimCLR), has the gradient of A.
SCHEMES: dict[str, tuple[str, Scheme]] = {
    "A": ("gather without gradient, full loss", gathered_dead),
    "A x W": ("the same, times W (pytorch-metric-learning, efficient=False)", times_ranks(gathered_dead)),
    "B": ("gather with summed gradient, full loss", gathered_alive),
    "B x W": ("the same, times W", times_ranks(gathered_alive)),
    "D": ("gather with summed gradient, local anchors (resight)", ours),
    "E": ("local anchors, remote rows detached", local_anchors_dead),
    "E x W": ("the same, times W (pytorch-metric-learning, efficient=True)", times_ranks(local_anchors_dead)),
    "F": ("no gather, local batch only", plain),
}


class Wrapped:
    """pytorch-metric-learning's own code: its hard miner and triplet loss in its wrappers for several processes."""

    def __init__(self, *, efficient: bool) -> None:
        self.efficient = efficient

    def __call__(self, features: Tensor, pids: Tensor) -> Tensor:
        from pytorch_metric_learning import distances, losses, miners, reducers
        from pytorch_metric_learning.utils.distributed import DistributedLossWrapper, DistributedMinerWrapper

        straight = distances.LpDistance(normalize_embeddings=False)
        triplet = losses.TripletMarginLoss(margin=MARGIN, distance=straight, reducer=reducers.MeanReducer())
        miner = DistributedMinerWrapper(miners.BatchHardMiner(distance=straight), efficient=self.efficient)
        value: Tensor = DistributedLossWrapper(triplet, efficient=self.efficient)(features, pids, miner(features, pids))
        return value


LIBRARY: dict[str, tuple[str, Scheme]] = {
    "their A x W": ("pytorch-metric-learning itself, efficient=False", Wrapped(efficient=False)),
    "their E x W": ("pytorch-metric-learning itself, efficient=True", Wrapped(efficient=True)),
}


def everybody() -> dict[str, tuple[str, Scheme]]:
    """The schemes, and the library's where it is installed."""
    return SCHEMES | (LIBRARY if importlib.util.find_spec("pytorch_metric_learning") else {})


def data() -> tuple[Tensor, Tensor, Tensor]:
    """Weights (4, 5), rows (16, 5), identities (16,) in blocks of four."""
    draws = torch.Generator().manual_seed(0)
    rows = torch.randn(16, 5, generator=draws, dtype=torch.float64)
    return torch.randn(4, 5, generator=draws, dtype=torch.float64), rows, torch.arange(4).repeat_interleave(4)


def gradient(scheme: Scheme, averaged: bool) -> Tensor:
    """What training would step along: of this rank's share of the rows, averaged over ranks."""
    weight, rows, pids = data()
    weight.requires_grad_()
    mine = slice(rank() * 16 // world_size(), (rank() + 1) * 16 // world_size())
    value = scheme(rows[mine] @ weight.T, pids[mine])
    if value.requires_grad:
        value.backward()  # type: ignore[no-untyped-call]
    found = torch.zeros_like(weight) if weight.grad is None else weight.grad
    if averaged:
        c10d.all_reduce(found)
    return found / world_size()


def compare(found: Tensor, reference: Tensor) -> tuple[float, float]:
    """(|g| / |reference|, cosine between them); the cosine is 1 for a zero gradient."""
    length = float(found.norm() / reference.norm())
    return length, float(torch.cosine_similarity(found.flatten(), reference.flatten(), dim=0)) if length else 1.0


def _work(process: int, world: int, folder: str) -> None:
    torch.set_num_threads(1)
    where = f"file://{folder}/meeting"
    c10d.init_process_group("gloo", init_method=where, rank=process, world_size=world, timeout=timedelta(seconds=60))
    found = {name: gradient(scheme, averaged=True) for name, (_, scheme) in everybody().items()}
    if process == 0:
        torch.save(found, Path(folder) / "gradients.pt")
    c10d.destroy_process_group()


def measure(world: int) -> dict[str, tuple[float, float]]:
    """(length ratio, cosine) of every scheme on `world` processes."""
    reference = gradient(plain, averaged=False)
    with tempfile.TemporaryDirectory() as folder:
        mp.spawn(_work, (world, folder), nprocs=world)  # type: ignore[attr-defined, no-untyped-call]
        found: dict[str, Any] = torch.load(Path(folder) / "gradients.pt", weights_only=True)
    return {name: compare(tensor, reference) for name, tensor in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks", type=int, nargs="+", default=[2, 4])
    measured = {world: measure(world) for world in parser.parse_args().ranks}
    print("| scheme | | " + " | ".join(f"W = {world}" for world in measured) + " |")
    print("| --- | --- |" + " --- |" * len(measured))
    for name, (what, _) in everybody().items():
        found = [m[name] for m in measured.values()]
        cells = [f"{length:.3f}, cos {cosine:.3f}" if length else "0" for length, cosine in found]
        print(f"| {name} | {what} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
