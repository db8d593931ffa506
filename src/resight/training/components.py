"""Components of a training run, shared by the loop, the monitor and the saved state."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import torch

from resight.training.checkpointing.nan_recovery import Recovery
from resight.training.objective.mutual import MutualStep, TwoNetworks
from resight.training.optimization import backward
from resight.training.optimization.ema import MovingAverage
from resight.training.optimization.precision import faster_precision

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from resight.models import ReIDModel
    from resight.training.batches.feed import Feed
    from resight.training.batches.pseudo_labels import PseudoLabels
    from resight.training.clock import Clock
    from resight.training.config import TrainConfig
    from resight.training.monitoring.progress import Display
    from resight.training.objective.step import Step
    from resight.training.optimization.lr_schedule import ScheduleConfig
    from resight.training.parallel import Parallel


@dataclass(frozen=True)
class Validation:
    """Scores of the model every `every` epochs; the epoch with the highest `by` gives the weights that are kept."""

    every: int
    score: Callable[[ReIDModel], dict[str, float]]
    by: str = "mAP"


class Components:
    """Model, objective, batches, optimizer, schedule and clock of one run, and the folder it is kept in.

    Args:
        step: the model and the objective, on their device.
        seed: of dropout and whatever else is drawn in a step.
        clip_norm: largest norm of all gradients together; None: not limited.
        fingerprint: "RECIPE DATA", the hashes of both; a saved run is continued only where they are the same.
        validation: how the best epoch is found; None: the last one is kept.
        labels: makes the labels anew in training; None: those of the data are used.
    """

    def __init__(
        self,
        step: Step,
        feed: Feed,
        optimizer: torch.optim.Optimizer,
        schedule: ScheduleConfig,
        config: TrainConfig,
        clock: Clock,
        folder: Path,
        parallel: Parallel,
        *,
        seed: int,
        clip_norm: float | None,
        fingerprint: str,
        display: Display,
        validation: Validation | None = None,
        labels: Callable[[Components], PseudoLabels] | None = None,
    ) -> None:
        self.model, self.objective = cast("ReIDModel", step.model), step.objective
        self.feed, self.optimizer, self.parallel = feed, optimizer, parallel
        self.schedule, self.config, self.clock, self.folder = schedule, config, clock, folder
        if config.compile:
            step.compile_parts()
        self.backward = backward.build(config.accumulate, config.gradient_cache, self.autocast)
        self.average = self._average(step) if config.ema else None
        self.step = step if config.gradient_cache else parallel.wrap(step)
        self.seed, self.clip_norm, self.fingerprint = seed, clip_norm, fingerprint
        self.display, self.validation = display, validation
        self.recovery = Recovery(config.recover, config.recover_factor)
        self.labels = labels(self) if labels is not None else None

    @property
    def steps(self) -> int:
        return self.config.epochs * self.clock.steps_per_epoch

    @property
    def described_by(self) -> ReIDModel:
        """The model that describes pictures: the averaged one where an average is kept.  Call it on all processes."""
        return self.parallel.whole_model(cast("ReIDModel", self.average.model) if self.average else self.model)

    @property
    def result(self) -> ReIDModel:
        """The model to save: the same; of two networks the first."""
        found: Any = self.described_by
        return cast("ReIDModel", found.first if isinstance(found, TwoNetworks) else found)

    def _average(self, step: Step) -> MovingAverage:
        average = MovingAverage(self.parallel.copy(), self.config.ema, own_statistics=isinstance(step, MutualStep))
        if isinstance(step, MutualStep):
            step.learn_from(cast("TwoNetworks", average.model))
        return average

    @cached_property
    def precision(self) -> str:
        """fp32 or bf16; with `auto`, the faster in a trial, which a resumed run does not repeat."""
        if self.config.precision != "auto":
            return self.config.precision
        rows = self.config.gradient_cache or self.feed.batch_size // self.config.accumulate
        chosen = faster_precision(self.parallel.copy, self.feed.device, rows)
        self.display.say(f"precision: {chosen}, the faster one here for this model (train.precision sets it).")
        return chosen

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.feed.device.type, torch.bfloat16, enabled=self.precision == "bf16")
