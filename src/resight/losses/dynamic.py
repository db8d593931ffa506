"""Which of two losses to train now: the arithmetic of Pyramid's dynamic training.  Zheng et al., CVPR 2019.

A task whose moving average still falls quickly has a low probability p of "no further decrease" and a high
focal weight.  Plain numbers in, plain numbers out; who keeps them from step to step is the objective.
"""

from __future__ import annotations

import math
from typing import Literal

Mode = Literal["id", "joint"]


def moving_average(loss: float, previous: float | None, alpha: float = 0.25) -> float:
    """k_r = alpha L_r + (1 - alpha) k_{r-1};  k_{-1} = L_0, so the first value is the loss itself."""
    return loss if previous is None else alpha * loss + (1 - alpha) * previous


def no_decrease(average: float, previous: float | None) -> float:
    """p_r = min(k_r, k_{r-1}) / k_{r-1}, in [0, 1]; 1 where there is no previous value, or it is 0."""
    if previous is None or previous <= 0:
        return 1.0
    return min(average, previous) / previous


def focal_weight(p: float, exponent: float = 2.0) -> float:
    """FL(p) = -(1 - p)^lambda log p: 0 at p = 1 and growing without bound towards p = 0."""
    if p >= 1:
        return 0.0
    doubt: float = (1 - p) ** exponent
    return -doubt * math.log(max(p, 1e-300))


def next_mode(mode: Mode, fl_id: float, fl_tp: float, delta: float = 0.16) -> Mode:
    """ID only while FL_tp / FL_id < delta, otherwise both; with both weights 0 nothing is known: stay."""
    if fl_id == 0:
        return mode if fl_tp == 0 else "joint"
    return "id" if fl_tp / fl_id < delta else "joint"


def normalised_weights(fl_id: float, fl_tp: float) -> tuple[float, float]:
    """2 FL_t / (FL_id + FL_tp), which keeps the ratio and restores the scale; 1 and 1 where both are 0."""
    total = fl_id + fl_tp
    return (2 * fl_id / total, 2 * fl_tp / total) if total > 0 else (1.0, 1.0)
