"""Monitoring of a run: journal, progress display, validation, best weights."""

from __future__ import annotations

import contextlib
import math
import time
from typing import TYPE_CHECKING, Any

from resight.clustering.history import save_groups
from resight.dist import rank, world_size
from resight.dist.processes import on_rank_zero
from resight.models import save_model
from resight.training.monitoring.journal import Journal, Meter, Unwritten

if TYPE_CHECKING:
    from collections.abc import Iterator

    from resight.training.batches.pseudo_labels import PseudoLabels
    from resight.training.components import Components
    from resight.training.objective.loss_report import LossReport
    from resight.types import Batch

COLLAPSED = 1e-3  # spread below which all descriptors are practically one


class Monitor:
    """Measures the steps of `run`, writes the journal and updates the display.  Only rank 0 writes."""

    def __init__(self, run: Components) -> None:
        self.run, self.display, self.validation = run, run.display, run.validation
        self.journal: Journal | Unwritten = Unwritten()
        self.meter = Meter()
        self.best = -math.inf
        self._warned = False
        self._began = self._waited = 0.0
        self._images = 0

    @contextlib.contextmanager
    def opened(self, *, resumed: bool) -> Iterator[None]:
        """The journal and the display, while training runs."""
        run = self.run
        if rank() == 0:
            step = run.clock.step if resumed else None
            path = run.folder / "journal.jsonl"
            self.journal = Journal(path, step=step, tensorboard=run.config.tensorboard)
        self.display.begin("training", run.steps, run.clock.step)
        try:
            yield
        finally:
            self.display.end()
            self.journal.close()

    def begin_step(self) -> None:
        self._began = time.perf_counter()

    def arrived(self, batch: Batch) -> None:
        """Called when the step has its batch: books the waiting time."""
        self._waited = time.perf_counter() - self._began
        self._images = world_size() * len(batch.pids)

    def measure(self, report: LossReport) -> None:
        """Called when the step is done."""
        self.meter.add(report, self._images, self._waited, time.perf_counter() - self._began)

    def log(self) -> None:
        """The means since the last line: to the journal and the display; a warning where descriptors collapsed."""
        run, clock, values = self.run, self.run.clock, self.meter.read()
        progress, facts = round(clock.progress, 4), run.objective.weighting.facts()
        lr = max(group["lr"] for group in run.optimizer.param_groups)
        self.journal.write("train", clock.step, epoch=progress, lr=lr, **values, **facts)
        parts = "  ".join(f"{name} {value:.3f}" for name, value in values["parts"].items())
        epoch = f"epoch {min(clock.epoch + 1, run.config.epochs)}/{run.config.epochs}"
        self.display.advance(clock.step, f"{epoch}  {parts}  {values['images_per_s']:.0f} images/s")
        if values["spread"] < COLLAPSED and not self._warned:
            self._warned = True
            self.journal.write("warning", clock.step, warning="collapse", spread=values["spread"])
            self.display.say(
                f"Warning: at {clock} all pictures get nearly the same descriptor (spread {values['spread']:.1e}): "
                f"the features have collapsed. A lower optim.lr, a warm-up or a softer margin usually helps."
            )

    def validate(self, *, last: bool) -> None:
        """Score the model where it is time, and keep its weights where they are the best so far."""
        validation, clock = self.validation, self.run.clock
        if validation is None or not (last or clock.epoch % validation.every == 0):
            return
        scores = validation.score(self.run.result)
        self.run.parallel.put_away()
        self.journal.write("validation", clock.step, epoch=clock.epoch, **scores)
        self.display.say(f"epoch {clock.epoch}: " + ", ".join(f"{k} {100 * v:.1f}" for k, v in scores.items()))
        if scores[validation.by] > self.best:
            self.best = scores[validation.by]
            self._export("model.safetensors")

    def export_last(self) -> None:
        """The weights of the last step, which are the run's where nothing was validated."""
        self._export("last.safetensors" if self.validation else "model.safetensors")

    def recovered(self, broke: int, error: Exception) -> None:
        """The run went back from step `broke` to the clock's; what was written in between is removed."""
        recovery, clock = self.run.recovery, self.run.clock
        facts: dict[str, Any] = {"broke": broke, "number": recovery.used, "rate": recovery.rate, "why": str(error)}
        self.journal.rewind(clock.step)
        self.journal.write("recovery", clock.step, **facts)
        self.display.say(
            f"{error} Going back to {clock} and on at {recovery.rate:g} of the rate "
            f"(recovery {recovery.used} of {recovery.times})."
        )

    def clusters(self, facts: dict[str, Any], labels: PseudoLabels) -> None:
        """New pseudo labels: what they are like to the journal, the groups themselves to clusters/."""
        clock = self.run.clock
        on_rank_zero(lambda: save_groups(self.run.folder, clock.epoch, labels.found, labels.pictures))
        self.journal.write("clusters", clock.step, epoch=clock.epoch, **facts)
        self.display.say(
            f"epoch {clock.epoch + 1}: {facts['clusters']} groups, {facts['left_out']:.0%} left out, "
            f"radius {facts['eps']:g}, silhouette {facts['silhouette']:.2f}"
        )

    def _export(self, name: str) -> None:
        result = self.run.result
        on_rank_zero(lambda: save_model(result, self.run.folder / name))
