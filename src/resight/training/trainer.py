"""The training loop.  The loop does not depend on a method; recipes choose one.

`Trainer.train_step` is the algorithm; `Trainer.run` repeats it.  Beside the loop, each in a room of its own: batches,
objective, optimization, checkpointing (saving, resuming, going back, signals), monitoring (what is written and shown).
"""

from __future__ import annotations

import contextlib
from functools import cached_property
from typing import TYPE_CHECKING

import torch

from resight.dist import rank
from resight.dist.processes import max_over_ranks
from resight.errors import DatasetError, Interrupted, NotFiniteError
from resight.training.checkpointing.nan_recovery import check_weights, finite_gradients
from resight.training.checkpointing.run_state import RunState
from resight.training.checkpointing.signals import stop_on_signal
from resight.training.components import Components
from resight.training.determinism import mix, repeatable
from resight.training.monitoring.monitor import Monitor
from resight.training.monitoring.timing import phase
from resight.training.optimization.optimizer import set_rate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from threading import Event

    from resight.training.objective.loss_report import LossReport

CONTINUE, SAVE, STOP = range(3)


class Trainer(Components):
    """Trains the model until `config.epochs`, from the state in `folder` if there is one.

    Same seed, same machine: same weights, whether interrupted or not.  `folder` receives state.pt,
    model.safetensors (the best in validation, else the last) and journal.jsonl.
    """

    @cached_property
    def monitor(self) -> Monitor:
        return Monitor(self)

    @cached_property
    def state(self) -> RunState:
        return RunState(self, self.monitor)

    def run(self) -> None:
        """Train to the end.

        Raises:
            TrainingError: a loss, a gradient or a weight is not finite, and no recovery is left.
            DatasetError: the pictures can no longer be read.
            Interrupted: SIGINT or SIGTERM; everything is saved.
        """
        with self._session() as stop:
            while self.clock.step < self.steps:
                try:
                    self.train_step()
                    self.after_step(stop)
                except NotFiniteError as error:
                    self.state.go_back(error)
                except DatasetError as error:
                    raise self.state.without_data(error) from error

    def train_step(self) -> LossReport:
        """One optimizer step; nothing is written.  Raises NotFiniteError with no weight changed."""
        with repeatable(self.feed.device, self.config.deterministic):
            self._renew_labels()
            self._begin_step()
            with phase("waiting for data"):
                batch = self.feed.next(self.objective.sampling, self.clock.step)
            self.monitor.arrived(batch)
            self.optimizer.zero_grad(set_to_none=True)
            report = self.backward(self.step, batch, self.clock)  # autocast, forward, check_finite, backward
            self.parallel.finish_gradients()
            with phase("optimizer"):
                self._clip_gradients()
                self.optimizer.step()
            self.parallel.finish_step()
            self.monitor.measure(report)
        self.clock.tick()
        self.objective.advance(report)
        if self.average:
            self.average.update(self.model, self.clock.step)
            self.objective.follow(self.average.at(self.clock.step))
        return report

    def after_step(self, stop: Event) -> None:
        """Log, validate and save where it is time.  Raises NotFiniteError before anything not finite is saved."""
        last = self.clock.step == self.steps
        if self.labels and (news := self.labels.news()):
            self.monitor.clusters(news, self.labels)
        if last or self.clock.step % self.config.log_every == 0:
            self.monitor.log()
        if self.clock.at_epoch_end:
            check_weights(self.model, self.objective, self.clock)
            self.monitor.validate(last=last)
            if self.recovery.wanted:
                self.recovery.keep(self.state.capture())  # after validation: with the best score so far
            if last:
                self.monitor.export_last()
                self.state.save()
        order = CONTINUE if last else max_over_ranks(STOP if stop.is_set() else SAVE if self.state.due else CONTINUE)
        if order > CONTINUE:
            self.state.save()
        if order == STOP:
            raise Interrupted(
                f"stopped at {self.clock}; everything is in {self.folder}. The same command goes on from there."
            )

    @contextlib.contextmanager
    def _session(self) -> Iterator[Event]:
        """The journal and the display are open, signals are caught, and torch's generator is put back afterwards."""
        if self.recovery.wanted and not self.recovery.ready:
            self.recovery.keep(self.state.capture())
        rng = torch.random.get_rng_state()
        try:
            with self.monitor.opened(resumed=self.state.resumed), stop_on_signal() as stop:
                yield stop
        finally:
            torch.random.set_rng_state(rng)

    def _renew_labels(self) -> None:
        """Where labels are clusters and the step begins an epoch of new ones."""
        if self.labels and self.labels.due(self.clock):
            self.labels.renew(self.described_by)
            self.parallel.put_away()
            for parameter in self.labels.parameters():
                self.optimizer.state.pop(parameter, None)  # whose rows stand for other clusters now

    def _begin_step(self) -> None:
        """What depends on the time: the seed of dropout and the like, the losses' schedules, the learning rate."""
        self.monitor.begin_step()
        torch.manual_seed(mix(self.seed, self.clock.step, rank(), 1))  # the same after a resume
        self.step.train()
        self.objective.set_clock(self.clock)
        set_rate(self.optimizer, self.recovery.rate * self.schedule.factor(self.clock.progress, self.config.epochs))

    def _clip_gradients(self) -> None:
        """Gradients are checked where their norm is known anyway or the run can go back.

        Elsewhere the device would have to be waited for; what is not finite shows in the next loss or before saving.
        """
        if self.clip_norm is None and not self.recovery.wanted:
            return
        parameters = [p for group in self.optimizer.param_groups for p in group["params"] if p.grad is not None]
        norm = finite_gradients(self.parallel.length(parameters), self.model, self.objective, self.clock)
        if self.clip_norm is not None:
            self.parallel.shorten(parameters, self.clip_norm, norm)
