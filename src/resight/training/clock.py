"""Clock of a run: step and epoch, read by every schedule."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Clock:
    """`step` optimiser steps done so far; an epoch is a fixed number of steps."""

    steps_per_epoch: int
    step: int = 0

    @property
    def epoch(self) -> int:
        """Whole epochs done, from 0."""
        return self.step // self.steps_per_epoch

    @property
    def progress(self) -> float:
        """Epochs done, as a real number: 1.5 is the middle of the second epoch."""
        return self.step / self.steps_per_epoch

    @property
    def at_epoch_end(self) -> bool:
        """True right after the last step of an epoch."""
        return self.step > 0 and self.step % self.steps_per_epoch == 0

    def tick(self) -> None:
        self.step += 1

    def __str__(self) -> str:
        return f"step {self.step} (epoch {self.progress:.2f})"
