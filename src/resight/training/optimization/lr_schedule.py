"""Learning-rate schedules: warm-up and a curve, as a function of the clock."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from resight.options import NotNegative


@dataclass(frozen=True)
class ScheduleConfig:
    """A warm-up followed by one of four curves.  Times in epochs; `epochs` of the run is an argument.

    step          times `gamma` at each milestone
    cosine        half a cosine from 1 at the end of the warm-up to `floor` at the end
    exponential   1 until `start`, then down to `floor` at the end (Hermans et al. 2017, eq. 10)
    constant      1
    warm-up       from `warmup_factor` to 1, linearly ("linear") or held ("constant"), over `warmup` epochs
    """

    name: Literal["constant", "step", "cosine", "exponential"] = "constant"
    warmup: NotNegative = 0.0
    warmup_factor: NotNegative = 0.1
    warmup_shape: Literal["linear", "constant"] = "linear"
    milestones: tuple[NotNegative, ...] = ()
    gamma: NotNegative = 0.1
    start: NotNegative = 0.0
    floor: NotNegative = 0.0
    # "epoch": the rate changes only between epochs.  "mixed": the warm-up by steps, the curve between epochs.
    per: Literal["step", "epoch", "mixed"] = "step"

    def factor(self, progress: float, epochs: float) -> float:
        """What the base learning rate is multiplied with after `progress` epochs of `epochs`."""
        whole = math.floor(progress)
        curve = self._curve(progress if self.per == "step" else whole, epochs)
        return curve * self._warmup(whole if self.per == "epoch" else progress)

    def _warmup(self, now: float) -> float:
        if now >= self.warmup:
            return 1.0
        if self.warmup_shape == "constant":
            return self.warmup_factor
        return self.warmup_factor + (1.0 - self.warmup_factor) * now / self.warmup

    def _curve(self, now: float, epochs: float) -> float:
        if self.name == "step":
            return self.gamma ** sum(now >= milestone for milestone in self.milestones)
        if self.name == "cosine":
            done = _fraction(now, *self._cosine_span(epochs))
            return self.floor + (1.0 - self.floor) * 0.5 * (1.0 + math.cos(math.pi * done))
        if self.name == "exponential":
            floor = self.floor or 1e-3  # the paper's 0.001
            return float(floor ** _fraction(now, self.start, epochs))
        return 1.0

    def _cosine_span(self, epochs: float) -> tuple[float, float]:
        """Where the cosine begins and ends.  Mixed: whole epochs from the one in which the warm-up ends, MDPR's."""
        if self.per != "mixed":
            return self.warmup, epochs
        begin, after = math.floor(self.warmup), math.ceil(self.warmup)
        return begin, epochs - (after - begin)


def _fraction(now: float, start: float, end: float) -> float:
    """How far `now` is between start and end, held to [0, 1]."""
    return min(max((now - start) / max(end - start, 1e-9), 0.0), 1.0)
