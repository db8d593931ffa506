"""Weighting of the terms of the objective, and the batch source of the next step.

`fixed` keeps the recipe's weights.  `dynamic_focal` is Pyramid's dynamic training (Zheng et al., CVPR 2019): two
tasks, one of which, the identity task, is learnt alone on random batches until the other falls quickly enough to be
worth learning too.  docs/methods/pyramid.md, "The controller".
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

import torch
from pydantic import Field
from torch import nn

from resight.dist import average_over_ranks
from resight.errors import RecipeError
from resight.options import Count, NotNegative

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from resight.training.objective.loss_report import LossReport


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


def next_mode_released(fl_id: float, fl_tp: float, delta: float = 0.16) -> Mode:
    """The rule of the authors' later code: FL_tp / FL_id < delta as floating point has it, 0 / 0 and all.

    FL_id = FL_tp = 0 trains both; FL_id = 0 < FL_tp trains ID alone, since FL = -(0) log 1 is minus zero there.
    """
    if fl_id == 0:
        return "joint" if fl_tp == 0 else "id"
    return "id" if fl_tp / fl_id < delta else "joint"


def normalized_weights(fl_id: float, fl_tp: float) -> tuple[float, float]:
    """2 FL_t / (FL_id + FL_tp), which keeps the ratio and restores the scale; 1 and 1 where both are 0."""
    total = fl_id + fl_tp
    return (2 * fl_id / total, 2 * fl_tp / total) if total > 0 else (1.0, 1.0)


@dataclass(frozen=True)
class WeightingConfig:
    """`name` and, for dynamic_focal, its constants; alpha, lam and delta are those of the authors' code."""

    name: Literal["fixed", "dynamic_focal"] = "fixed"
    identity: str = "identity"  # the term of the task learnt first
    metric: str = "triplet"  # the term of the task that joins it
    alone: str = "random"  # batch source while the identity task is alone
    together: str = "balanced"  # batch source while both are learnt
    alpha: Annotated[float, Field(gt=0, le=1)] = 0.25
    lam: NotNegative = 2.0
    delta: NotNegative = 0.16
    combine: Literal["none", "literal", "normalized"] = "none"  # while both are learnt: 1 and 1, FL, or FL scaled
    decide: Literal["before", "after"] = "before"  # a step's mode: from the steps before it, or from its own losses
    start: Literal["loss", "zero"] = "loss"  # the average before the first loss: that loss; or 0, and p = 1/2
    max_hold: Count = 50  # steps alone without a measurement of the other task before one step together is forced
    min_dwell: Count = 1  # steps in a mode before it may change


class Weighting(Protocol):
    """Weights from earlier losses; `state` is what a resumed run needs."""

    @property
    def sampling(self) -> str: ...
    def weights(self, parts: Mapping[str, Tensor]) -> dict[str, float]: ...
    def advance(self, report: LossReport) -> None: ...
    def facts(self) -> dict[str, Any]: ...


class Fixed(nn.Module):
    """The constant weights of the recipe, on one source."""

    def __init__(self, weights: Mapping[str, float], source: str) -> None:
        super().__init__()
        self._weights, self.source = dict(weights), source

    @property
    def sampling(self) -> str:
        return self.source

    def weights(self, parts: Mapping[str, Tensor]) -> dict[str, float]:
        return {name: self._weights[name] for name in parts}

    def advance(self, report: LossReport) -> None:
        """Nothing to follow."""

    def facts(self) -> dict[str, Any]:
        return {}


@dataclass
class _Task:
    """One task's moving average, its chance of no further decrease, and its focal weight."""

    average: float | None = None
    chance: float = 1.0
    focal: float = 0.0

    @property
    def numbers(self) -> tuple[float | None, float, float]:
        """k, p and FL."""
        return self.average, self.chance, self.focal

    def measure(self, loss: float, config: WeightingConfig) -> None:
        before = self.average
        if before is None and config.start == "zero":
            self.average, self.chance = config.alpha * loss, 0.5
        else:
            self.average = moving_average(loss, before, config.alpha)
            self.chance = no_decrease(self.average, before)
        self.focal = focal_weight(self.chance, config.lam)


_Trace = tuple[str, str, dict[str, tuple[float | None, float, float]]]  # mode, source, and each task's numbers


class DynamicFocal(nn.Module):
    """Equations 3 to 7 of the paper, a measurement every step, and two safety rules.

    The mode of a step is decided before its batch is drawn, from the step before.  In mode "id" the metric task is
    measured on the random batch where that has a valid anchor; after `max_hold` steps without one, one step
    together is forced, since an unmeasured task would never be learnt.
    """

    def __init__(self, config: WeightingConfig, weights: Mapping[str, float]) -> None:
        super().__init__()
        self.config, self._weights = config, dict(weights)
        self.tasks = {config.identity: _Task(), config.metric: _Task()}
        self.mode: Mode = "id"
        self.held = 0  # steps since the metric task was last measured
        self.dwelt = 0  # steps in this mode
        self.trace: list[_Trace] = []  # the steps since the journal last asked

    @property
    def sampling(self) -> str:
        return self.config.alone if self.mode == "id" else self.config.together

    def weights(self, parts: Mapping[str, Tensor]) -> dict[str, float]:
        current = {name: self._weights[name] for name in parts}
        if self.mode == "id":
            return current | {self.config.metric: 0.0}
        scale = self._scales()
        return {name: weight * scale.get(name, 1.0) for name, weight in current.items()}

    def advance(self, report: LossReport) -> None:
        """Measure, then choose the next step's mode.  A report is the same on every rank, so all choose alike."""
        config = self.config
        self.tasks[config.identity].measure(float(report.parts[config.identity]), config)
        if int(report.anchors) > 0 and bool(report.parts[config.metric].isfinite()):  # at weight 0 it has no effect
            self.tasks[config.metric].measure(float(report.parts[config.metric]), config)
            self.held = 0
        else:
            self.held += 1
        self.trace.append((self.mode, self.sampling, {name: task.numbers for name, task in self.tasks.items()}))
        self._choose()

    def facts(self) -> dict[str, Any]:
        """For the journal, returned once: the next mode, and of each step since the last line its mode, source,
        and k, p, FL of each task after it."""
        trace, self.trace = self.trace, []
        tasks = {
            name: {key: [numbers[name][row] for *_, numbers in trace] for row, key in enumerate(("k", "p", "FL"))}
            for name in self.tasks
        }
        steps = {"mode": [mode for mode, *_ in trace], "source": [source for _, source, _ in trace], "tasks": tasks}
        return {"mode": self.mode, "source": self.sampling, "steps": steps}

    def get_extra_state(self) -> dict[str, Any]:
        tasks = {name: task.numbers for name, task in self.tasks.items()}
        return {"mode": self.mode, "held": self.held, "dwelt": self.dwelt, "tasks": tasks, "trace": self.trace}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.mode, self.held, self.dwelt = state["mode"], state["held"], state["dwelt"]
        self.tasks = {name: _Task(*values) for name, values in state["tasks"].items()}
        self.trace = list(state["trace"])

    def _scales(self) -> dict[str, float]:
        identity, metric = (self.tasks[name].focal for name in (self.config.identity, self.config.metric))
        if self.config.combine == "none":
            return {}
        if self.config.combine == "normalized":
            identity, metric = normalized_weights(identity, metric)
        return {self.config.identity: identity, self.config.metric: metric}

    def _choose(self) -> None:
        config = self.config
        focal = self.tasks[config.identity].focal, self.tasks[config.metric].focal
        chosen = next_mode(self.mode, *focal, config.delta)
        self.dwelt += 1
        if self.dwelt < config.min_dwell:
            chosen = self.mode
        if self.mode == "id" and self.held >= config.max_hold:
            chosen, self.held = "joint", 0
        if chosen != self.mode:
            self.mode, self.dwelt = chosen, 0


class ReleasedFocal(DynamicFocal):
    """The controller of the authors' later code: each step decides from its own losses, after its forward pass.

    Both losses are measured on every batch; there is no step of lag, no holding and no dwelling.  With several
    processes their losses are averaged first, so that all decide alike.
    """

    def __init__(self, config: WeightingConfig, weights: Mapping[str, float]) -> None:
        super().__init__(config, weights)
        self.mode = "joint"

    def weights(self, parts: Mapping[str, Tensor]) -> dict[str, float]:
        names = (self.config.identity, self.config.metric)
        means = average_over_ranks(torch.stack([parts[name].detach() for name in names])).tolist()
        tasks = [replace(self.tasks[name]) for name in names]
        for task, mean in zip(tasks, means, strict=True):
            task.measure(mean, self.config)
        self.mode = next_mode_released(tasks[0].focal, tasks[1].focal, self.config.delta)
        return super().weights(parts)

    def _choose(self) -> None:
        """The next step decides for itself."""


def build_weighting(config: WeightingConfig, weights: Mapping[str, float], sources: Sequence[str]) -> Weighting:
    """Raises RecipeError where a term or a batch source it needs is not in the recipe."""
    if config.name == "fixed":
        return Fixed(weights, sources[0])
    for key in ("identity", "metric"):
        if getattr(config, key) not in weights:
            known = ", ".join(weights)
            raise RecipeError(f"objective.weighting.{key}: no term {getattr(config, key)!r}; there are {known}.")
    for key in ("alone", "together"):
        if getattr(config, key) not in sources:
            known = ", ".join(sources)
            raise RecipeError(f"objective.weighting.{key}: no source feed.{getattr(config, key)}; there are {known}.")
    return (ReleasedFocal if config.decide == "after" else DynamicFocal)(config, weights)
