"""Configuration of training: the `[train]` table of a recipe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from resight.errors import RecipeError


@dataclass(frozen=True)
class TrainConfig:
    """Epochs, precision, and intervals of logging and saving."""

    epochs: int = 60
    steps_per_epoch: int | None = None  # None: training pictures // batch size
    precision: Literal["auto", "fp32", "bf16"] = "auto"  # auto: the faster one in a trial at the start of the run
    ema: float = 0.0  # decay of the averaged weights; 0: off
    log_every: int = 10  # steps
    save_seconds: float = 120.0  # at most so long between two saves; the end and Ctrl-C always save
    tensorboard: bool = False
    channels_last: bool = True
    compile: bool = False
    deterministic: bool = True  # on CUDA, the same bits from the same seed; False: whatever is quickest
    accumulate: int = 1  # equal shares a batch is walked in, one after the other
    gradient_cache: int = 0  # pictures at a time while the loss still sees the whole batch; 0: off
    recover: int = 0  # times a run may go back to a good state when the loss or a gradient is no number
    recover_factor: float = 0.5  # of the rate, each time
    sync_batch_norm: bool = True  # with several processes: statistics of the whole batch, as one process would take
    parallel: Literal["ddp", "fsdp"] = "ddp"  # fsdp: weights, gradients and moments in pieces over the processes

    def __post_init__(self) -> None:
        counts = {"epochs": self.epochs, "log_every": self.log_every}
        if self.steps_per_epoch is not None:
            counts["steps_per_epoch"] = self.steps_per_epoch
        for name, count in counts.items():
            if count < 1:
                raise RecipeError(f"train.{name} is {count}; at least 1.")
        if not 0 <= self.ema < 1 or self.save_seconds < 0:
            raise RecipeError(
                f"train.ema is {self.ema} and train.save_seconds {self.save_seconds}; a share of at least 0 and below "
                f"1 (0: off), and seconds."
            )
        if self.accumulate < 1 or self.gradient_cache < 0 or (self.accumulate > 1 and self.gradient_cache):
            raise RecipeError(
                f"train.accumulate is {self.accumulate} and train.gradient_cache {self.gradient_cache}; at least 1 "
                f"share, or a number of pictures (0: off), and not both. Metric losses want the cache, which shows "
                f"them the whole batch."
            )
        if self.recover < 0 or not 0 < self.recover_factor <= 1:
            raise RecipeError(
                f"train.recover is {self.recover} and train.recover_factor {self.recover_factor}; a number of times "
                f"(0: off), and a factor above 0 and up to 1."
            )
