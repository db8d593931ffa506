"""Configuration of training: the `[train]` table of a recipe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from resight.errors import RecipeError
from resight.options import Count, Natural, NotNegative, Share


@dataclass(frozen=True)
class TrainConfig:
    """Epochs, precision, and intervals of logging and saving."""

    epochs: Count = 60
    steps_per_epoch: Count | None = None  # None: training pictures // batch size
    precision: Literal["auto", "fp32", "bf16"] = "auto"  # auto: the faster one in a trial at the start of the run
    ema: Share = 0.0  # decay of the averaged weights; 0: off
    log_every: Count = 10  # steps
    save_seconds: NotNegative = 120.0  # at most so long between two saves; the end and Ctrl-C always save
    tensorboard: bool = False
    channels_last: bool = True
    compile: bool = False
    deterministic: bool = True  # on CUDA, the same bits from the same seed; False: whatever is quickest
    accumulate: Count = 1  # equal shares a batch is walked in, one after the other
    gradient_cache: Natural = 0  # pictures at a time while the loss still sees the whole batch; 0: off
    recover: Natural = 0  # times a run may go back to a good state when the loss or a gradient is no number
    recover_factor: Annotated[float, Field(gt=0, le=1)] = 0.5  # of the rate, each time
    sync_batch_norm: bool = True  # with several processes: statistics of the whole batch, as one process would take
    parallel: Literal["ddp", "fsdp"] = "ddp"  # fsdp: weights, gradients and moments in pieces over the processes

    def __post_init__(self) -> None:
        if self.accumulate > 1 and self.gradient_cache:
            raise RecipeError(
                f"train.accumulate is {self.accumulate} and train.gradient_cache {self.gradient_cache}; shares, or a "
                f"number of pictures, and not both. Metric losses want the cache, which shows them the whole batch."
            )
