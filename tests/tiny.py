"""The tiny recipe of all tests that train: a network of seconds on made-up people."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from resight.recipe import Recipe
from resight.run import Run, train
from resight.training.monitoring.progress import Silent

TINY = """
name = "tiny"
[data]
name = "market"
[model]
name = "strong_baseline"
input_size = [64, 32]
[model.backbone]
name = "resnet10"
width = 4
[[objective.terms]]
name = "identity"
loss = "cross_entropy"
on = "logits.identity"
[[objective.terms]]
name = "triplet"
loss = "trihard"
on = "features.global"
[augment]
pad = 4
[feed.main]
ids = 3
images = 2
[optim]
lr = 3e-3
[train]
epochs = 4
steps_per_epoch = 3
log_every = 2
save_seconds = 0
precision = "fp32"
"""


def tiny(people: Path | str, *settings: str) -> Recipe:
    """The recipe over the Market-1501 tree `people`, with overrides."""
    return Recipe.from_toml(TINY).override(f'data.root="{people}"', *settings)


def train_tiny(people: Path, folder: Path, *settings: str, **options: Any) -> Run:
    return train(tiny(people, *settings), folder, **options)


class StopAt(Silent):
    """Presses Ctrl-C, once, when training has got so far."""

    def __init__(self, step: int) -> None:
        self.step = step

    def advance(self, done: int, note: str = "") -> None:
        if note and done >= self.step:
            self.step = 10**9
            os.kill(os.getpid(), signal.SIGINT)
