"""The loop.  It knows a step, a feed, an optimiser and a clock; it has never heard of any method."""

from __future__ import annotations

import contextlib
import math
import signal
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

import torch
from torch import Tensor, nn

from resight.errors import CheckpointError, Interrupted
from resight.models import save_model
from resight.training.checkpoint import load_state, save_state
from resight.training.ema import MovingAverage
from resight.training.feed import mix
from resight.training.journal import Journal
from resight.training.optim import set_rate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import FrameType

    from resight.models import ReIDModel
    from resight.training.clock import Clock
    from resight.training.display import Display
    from resight.training.feed import Feed
    from resight.training.objective import LossReport, Step
    from resight.training.schedule import ScheduleConfig

COLLAPSED = 1e-3  # spread under which all descriptors are practically one


@dataclass(frozen=True)
class TrainConfig:
    """How long, how exact, how often."""

    epochs: int = 60
    steps_per_epoch: int | None = None  # None: training pictures // batch size
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    ema: float = 0.0  # decay of the averaged weights; 0: off
    log_every: int = 10  # steps
    save_seconds: float = 120.0  # at most so long between two saves; the end and Ctrl-C always save
    tensorboard: bool = False
    channels_last: bool = True
    compile: bool = False


@dataclass(frozen=True)
class Judge:
    """Looks at the model every `every` epochs; `score` is better when higher."""

    every: int
    score: Callable[[ReIDModel], dict[str, float]]
    by: str = "mAP"


class Trainer:
    """Trains `model` through `step` until `config.epochs`, from the state in `folder` if there is one.

    Same seed, same machine: same weights, whether interrupted or not.  `folder` receives state.pt,
    model.safetensors (the best on the judge's word, else the last) and journal.jsonl.
    """

    def __init__(
        self,
        model: ReIDModel,
        step: Step,
        feed: Feed,
        optimizer: torch.optim.Optimizer,
        schedule: ScheduleConfig,
        config: TrainConfig,
        clock: Clock,
        folder: Path,
        *,
        seed: int,
        clip_norm: float | None,
        fingerprint: str,
        display: Display,
        judge: Judge | None = None,
    ) -> None:
        self.model, self.feed, self.optimizer = model, feed, optimizer
        self.objective = step.objective
        self.step = cast("Step", torch.compile(step)) if config.compile else step
        self.schedule, self.config, self.clock, self.folder = schedule, config, clock, folder
        self.seed, self.clip_norm, self.fingerprint = seed, clip_norm, fingerprint
        self.display, self.judge = display, judge
        self.average = MovingAverage(model, config.ema) if config.ema else None
        self.precision = resolve_precision(config.precision, feed.device)
        self.best = -math.inf
        self.meter = Meter()
        self._warned = False
        self._saved = time.monotonic()

    @property
    def steps(self) -> int:
        return self.config.epochs * self.clock.steps_per_epoch

    @property
    def result(self) -> ReIDModel:
        """The weights to keep: the averaged ones where an average is kept."""
        return cast("ReIDModel", self.average.model) if self.average else self.model

    def resume(self) -> None:
        """Take up the state in the folder, if there is one.  Raises CheckpointError if it is another recipe's."""
        state = load_state(self.folder / "state.pt")
        if state is None:
            return
        if state["recipe"] != self.fingerprint:
            raise CheckpointError(
                f"{self.folder} holds a run of another recipe (or other data). Choose another --out, "
                f"or give --fresh to throw that run away."
            )
        self.clock.step = state["step"]
        self.model.load_state_dict(state["model"])
        self.objective.load_state_dict(state["objective"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.feed.load_state_dict(state["feed"])
        self.feed.augment.load_state_dict(state["augment"])
        self.meter.load_state_dict(state["meter"])
        self.best = state["best"]
        if self.average:
            self.average.load_state_dict(state["average"])
        if "recovered_from" in state:
            self.display.say(f"state.pt is damaged; going on from {state['recovered_from']}.")
        self.display.say(f"going on from {self.clock}.")

    def run(self) -> None:
        """Raises TrainingError on a loss that is not finite, Interrupted when asked to stop."""
        journal = Journal(self.folder / "journal.jsonl", step=self.clock.step, tensorboard=self.config.tensorboard)
        rng = torch.random.get_rng_state()
        self.display.begin("training", self.steps, self.clock.step)
        try:
            with stop_on_signal() as stop:
                self._loop(journal, stop)
        finally:
            torch.random.set_rng_state(rng)
            self.display.end()
            journal.close()

    def _loop(self, journal: Journal, stop: threading.Event) -> None:
        while self.clock.step < self.steps:
            report = self._one_step()
            self.clock.tick()
            self.objective.advance(report)
            if self.average:
                self.average.update(self.model, self.clock.step)
            if self.clock.step % self.config.log_every == 0 or self.clock.step == self.steps:
                self._log(journal)
            if self.clock.at_epoch_end:
                self._end_of_epoch(journal)
            elif time.monotonic() - self._saved >= self.config.save_seconds:
                self._save()
            if stop.is_set() and self.clock.step < self.steps:
                self._save()
                raise Interrupted(
                    f"stopped at {self.clock}; everything is in {self.folder}. The same command goes on from there."
                )

    def _one_step(self) -> LossReport:
        began = time.perf_counter()
        torch.manual_seed(
            mix(self.seed, self.clock.step, self.feed.rank, 1)
        )  # dropout and the like, the same after a resume
        self.step.train()
        self.objective.set_clock(self.clock)
        set_rate(self.optimizer, self.schedule.factor(self.clock.progress, self.config.epochs))
        batch = self.feed.next(self.objective.sampling, self.clock.step)
        waited = time.perf_counter() - began
        with torch.autocast(self.feed.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            report: LossReport = self.step(batch)
        report.check_finite(self.clock)
        self.optimizer.zero_grad(set_to_none=True)
        report.total.backward()  # type: ignore[no-untyped-call]
        if self.clip_norm is not None:
            nn.utils.clip_grad_norm_(
                [p for group in self.optimizer.param_groups for p in group["params"]], self.clip_norm
            )
        self.optimizer.step()
        self.meter.add(report, len(batch.pids), waited, time.perf_counter() - began)
        return report

    def _log(self, journal: Journal) -> None:
        values = self.meter.read()
        lr = max(group["lr"] for group in self.optimizer.param_groups)
        journal.write(
            "train",
            self.clock.step,
            epoch=round(self.clock.progress, 4),
            lr=lr,
            **values,
            **self.objective.weighting.facts(),
        )
        parts = "  ".join(f"{name} {value:.3f}" for name, value in values["parts"].items())
        epoch = f"epoch {min(self.clock.epoch + 1, self.config.epochs)}/{self.config.epochs}"
        self.display.advance(self.clock.step, f"{epoch}  {parts}  {values['images_per_s']:.0f} images/s")
        if values["spread"] < COLLAPSED and not self._warned:
            self._warned = True
            journal.write("warning", self.clock.step, warning="collapse", spread=values["spread"])
            self.display.say(
                f"Warning: at {self.clock} every picture gets nearly one descriptor (spread {values['spread']:.1e}): "
                f"the features have collapsed. A lower optim.lr, a warm-up or a softer margin usually helps."
            )

    def _end_of_epoch(self, journal: Journal) -> None:
        last = self.clock.step == self.steps
        if self.judge and (last or self.clock.epoch % self.judge.every == 0):
            scores = self.judge.score(self.result)
            journal.write("validation", self.clock.step, epoch=self.clock.epoch, **scores)
            self.display.say(f"epoch {self.clock.epoch}: " + ", ".join(f"{k} {100 * v:.1f}" for k, v in scores.items()))
            if scores[self.judge.by] > self.best:
                self.best = scores[self.judge.by]
                self._export("model.safetensors")
        if last:
            self._export("last.safetensors" if self.judge else "model.safetensors")
            self._save()

    def _export(self, name: str) -> None:
        save_model(self.result, self.folder / name)

    def _save(self) -> None:
        save_state(
            self.folder / "state.pt",
            {
                "recipe": self.fingerprint,
                "step": self.clock.step,
                "model": self.model.state_dict(),
                "objective": self.objective.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "feed": self.feed.state_dict(),
                "augment": self.feed.augment.state_dict(),
                "average": self.average.state_dict() if self.average else None,
                "meter": self.meter.state_dict(),
                "best": self.best,
            },
        )
        self._saved = time.monotonic()


class Meter:
    """Means since the last line of the journal.  Tensors are summed where they are and read once a line."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.count, self.images, self.waited, self.took = 0, 0, 0.0, 0.0

    def add(self, report: LossReport, images: int, waited: float, took: float) -> None:
        values = {"total": report.total.detach(), "spread": report.spread}
        values |= {f"part.{name}": part for name, part in report.parts.items()}
        for name, value in values.items():
            self.sums[name] = self.sums[name] + value.float() if name in self.sums else value.float()
        self.count, self.images = self.count + 1, self.images + images
        self.waited, self.took = self.waited + waited, self.took + took

    def read(self) -> dict[str, Any]:
        means = {name: float(value) / self.count for name, value in self.sums.items()}
        values = {
            "total": means["total"],
            "parts": {name.removeprefix("part."): v for name, v in means.items() if name.startswith("part.")},
            "spread": means["spread"],
            "images_per_s": round(self.images / max(self.took, 1e-9), 1),
            "waiting": round(self.waited / max(self.took, 1e-9), 4),
        }
        self.__init__()  # type: ignore[misc]
        return values

    def state_dict(self) -> dict[str, Any]:
        return {
            "sums": self.sums,
            "count": self.count,
            "images": self.images,
            "waited": self.waited,
            "took": self.took,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


def resolve_precision(precision: str, device: torch.device) -> str:
    """`auto`: bf16 where the processor multiplies in bf16, else fp32."""
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    if device.type == "cpu" and torch.cpu._is_avx512_bf16_supported():
        return "bf16"
    return "fp32"


@contextlib.contextmanager
def stop_on_signal() -> Iterator[threading.Event]:
    """The first Ctrl-C or SIGTERM sets the event; a second Ctrl-C ends the process as usual."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def handle(number: int, _: FrameType | None) -> None:
        if stop.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.set()

    for number in before:
        signal.signal(number, handle)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
