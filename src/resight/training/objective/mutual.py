"""Two networks that teach each other: what mutual mean-teaching changes in a step.  docs/methods/unsupervised.md

The model of the run is `TwoNetworks`, and the moving average of its weights, which every run may keep, is the two
teachers.  Batches hold every picture twice, changed differently.  The losses are `mutual_identity` and
`mutual_triplet`; what the run leaves is the first network's average.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from resight.errors import RecipeError
from resight.training.objective.objective import Objective
from resight.training.objective.step import Step
from resight.types import Batch, ReIDOutput

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from resight.models import ReIDModel
    from resight.training.config import TrainConfig
    from resight.types import Metric


class TwoNetworks(nn.Module):
    """Two models of one kind.  In training each sees its half of the pictures, else both see all.

    Shapes: images (2 B, 3, H, W) -> features (2 B, D) in training; (B, 3, H, W) -> (B, D), the mean of both, else.
    """

    def __init__(self, first: ReIDModel, second: ReIDModel) -> None:
        super().__init__()
        self.first, self.second = first, second

    @property
    def mean(self) -> Tensor:
        return self.first.mean

    @property
    def input_size(self) -> tuple[int, int]:
        return self.first.input_size

    @property
    def metric(self) -> Metric:
        return self.first.metric

    def descriptor(self, features: Mapping[str, Tensor]) -> Tensor:
        return self.first.descriptor(features)

    def fingerprint(self) -> str:
        """Of both."""
        return f"{self.first.fingerprint()} {self.second.fingerprint()}"

    def forward(self, images: Tensor) -> ReIDOutput:
        if self.training:
            one, two = images.chunk(2)
            return _each(lambda *rows: torch.cat(rows), self.first(one), self.second(two))
        return _each(self._middle, self.first(images), self.second(images))

    def _middle(self, one: Tensor, two: Tensor) -> Tensor:
        if self.metric == "cosine":
            one, two = nn.functional.normalize(one, dim=1), nn.functional.normalize(two, dim=1)
        return (one + two) / 2


class MutualStep(Step):
    """A step whose output has the rows of both networks and of both averages, (4 B, D)."""

    model: TwoNetworks
    teachers: TwoNetworks

    def learn_from(self, teachers: TwoNetworks) -> None:
        """The averages, in training mode too: they normalize by the batch, and keep statistics of their own."""
        self.teachers = teachers

    def look(self, batch: Batch) -> ReIDOutput:
        with self.domains(batch):
            output: ReIDOutput = self.model(batch.images)
            with torch.no_grad():
                taught: ReIDOutput = self.teachers(batch.images)
        return _each(lambda *rows: torch.cat(rows), output, taught)


def check_mutual(objective: Objective, config: TrainConfig, *, clusters: bool) -> None:
    """Raises RecipeError where two networks are asked for, and something else in the recipe does not allow them."""
    if objective.networks == 1:
        return
    found = {
        "labels.source": ("clusters", clusters),
        "train.ema": ("0.999", config.ema > 0),
        "train.accumulate": ("1", config.accumulate == 1),
        "train.gradient_cache": ("0", config.gradient_cache == 0),
        "train.parallel": ("ddp", config.parallel == "ddp"),
        "train.sync_batch_norm": ("true", config.sync_batch_norm),
    }
    for key, (wanted, holds) in found.items():
        if not holds:
            raise RecipeError(f"{key}: mutual teaching, whose losses the objective has, wants it to be {wanted}.")


def _each(how: Callable[..., Tensor], one: ReIDOutput, two: ReIDOutput) -> ReIDOutput:
    """`how` on every feature; logits and maps are not compared."""
    return ReIDOutput({name: how(rows, two.features[name]) for name, rows in one.features.items()})
