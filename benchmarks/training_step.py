"""A training step of resight beside a hand-written loop around the same model, in one run.

Both train `strong_baseline` on the same decoded pictures with the same optimiser, precision, flips and crops; the
hand-written loop draws batches with `torch.randperm` and augments with plain torch.  Blocks of steps alternate, so
that whatever else the machine does falls on both.

    uv run python benchmarks/training_step.py --steps 20 --rounds 5
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resight import models
from resight.data import Augment, Augmenter
from resight.losses import TriHard
from resight.training.batches.feed import Feed, TrainingLabels
from resight.training.batches.sources import SourceConfig
from resight.training.clock import Clock
from resight.training.config import TrainConfig
from resight.training.monitoring.progress import Silent
from resight.training.objective.objective import Objective
from resight.training.objective.step import Step
from resight.training.objective.terms import TermConfig, offered
from resight.training.optimization.lr_schedule import ScheduleConfig
from resight.training.optimization.optimizer import OptimConfig, build_optimizer, named_parameters
from resight.training.optimization.precision import supports_bf16
from resight.training.parallel import Parallel
from resight.training.trainer import Trainer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

IDS, PICTURES, SIZE = 40, 16, (128, 64)
OPTIONS: dict[str, Any] = {"backbone": {"name": "resnet18"}, "input_size": list(SIZE)}


class Memory:
    """Pixels already decoded, as the cache holds them."""

    def __init__(self, images: Tensor) -> None:
        self.images = images
        self.samples, self.unreadable, self.size = (), (), SIZE

    def take(self, index: NDArray[np.int64]) -> Tensor:
        return self.images[torch.from_numpy(index)]


def ours(images: Tensor, pids: Tensor, folder: Path) -> Callable[[int], None]:
    """The package's trainer, asked for so many steps more."""
    torch.manual_seed(0)
    model = models.build("strong_baseline", IDS, **OPTIONS)
    offers = offered(models.probe("strong_baseline", IDS, **OPTIONS))
    terms = [
        TermConfig("identity", "cross_entropy", "logits.identity"),
        TermConfig("triplet", "trihard", "features.global"),
    ]
    objective = Objective(terms, offers, IDS)
    labels = TrainingLabels(pids, torch.zeros_like(pids), {})
    augmenter = Augmenter(Augment(flip=0.5, crop="pad", pad=10))
    feed = Feed(Memory(images), labels, {"main": SourceConfig()}, augmenter, seed=0, device=torch.device("cpu"))  # type: ignore[arg-type]
    config = TrainConfig(epochs=10_000, save_seconds=1e9, log_every=10)
    trainer = Trainer(
        Step(model.to(memory_format=torch.channels_last), objective), feed,
        build_optimizer(OptimConfig(), named_parameters(model, objective)), ScheduleConfig(), config, Clock(10),
        folder, Parallel(model, objective), seed=0, clip_norm=None, fingerprint="", display=Silent(),
    )  # fmt: skip

    def run(steps: int) -> None:
        for _ in range(steps):
            trainer.train_step()
        trainer.monitor.meter.read()

    return run


def by_hand(images: Tensor, pids: Tensor) -> Callable[[int], None]:
    """What one writes in an afternoon."""
    torch.manual_seed(0)
    model = models.build("strong_baseline", IDS, **OPTIONS).train().to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), lr=3.5e-4, weight_decay=5e-4)
    identity, triplet = nn.CrossEntropyLoss(), TriHard(margin=0.3)
    bf16 = supports_bf16(torch.device("cpu"))
    rows = torch.arange(len(pids)).view(IDS, PICTURES)

    def batch() -> tuple[Tensor, Tensor]:
        people = torch.randperm(IDS)[:16]
        index = torch.cat([rows[person][torch.randperm(PICTURES)[:4]] for person in people])
        padded = F.pad(images[index].float() / 255, (10, 10, 10, 10))
        crops = []
        for picture in padded:
            top, left = int(torch.randint(21, ())), int(torch.randint(21, ()))
            crop = picture[:, top : top + SIZE[0], left : left + SIZE[1]]
            crops.append(crop.flip(-1) if torch.rand(()) < 0.5 else crop)
        return torch.stack(crops).contiguous(memory_format=torch.channels_last), pids[index]

    def run(steps: int) -> None:
        for _ in range(steps):
            x, y = batch()
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                out = model(x)
                loss = identity(out.logits["identity"], y) + triplet(out.features["global"], y)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (IDS * PICTURES, 3, *SIZE), dtype=torch.uint8, generator=generator)
    pids = torch.arange(IDS).repeat_interleave(PICTURES)
    with tempfile.TemporaryDirectory() as folder:
        sides = {"resight": ours(images, pids, Path(folder)), "by hand": by_hand(images, pids)}
        for run in sides.values():
            run(3)  # warm up
        seconds: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(arguments.rounds):
            for name, run in sides.items():
                began = time.perf_counter()
                run(arguments.steps)
                seconds[name].append((time.perf_counter() - began) / arguments.steps)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    print(json.dumps({
        "step_seconds": {name: round(value, 4) for name, value in median.items()},
        "images_per_s": {name: round(64 / value, 1) for name, value in median.items()},
        "time_ratio_resight_to_by_hand": round(median["resight"] / median["by hand"], 3),
        "torch": torch.__version__, "threads": torch.get_num_threads(),
    }, indent=1))  # fmt: skip


if __name__ == "__main__":
    main()
