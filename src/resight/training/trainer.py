"""The loop.  It knows a step, a feed, an optimiser and a clock; it has never heard of any method."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from resight.dist import rank, world_size
from resight.dist.processes import max_over_ranks, on_rank_zero
from resight.errors import CheckpointError, DatasetError, Interrupted, NotFiniteError
from resight.models import save_model
from resight.training import backward
from resight.training.batches import mix
from resight.training.checkpoint import load_state, save_state
from resight.training.config import resolve_precision
from resight.training.determinism import repeatable
from resight.training.ema import MovingAverage
from resight.training.journal import Journal, Meter, Unwritten
from resight.training.nan_recovery import Recovery, all_finite
from resight.training.optimizer import named_parameters, set_rate
from resight.training.signals import stop_on_signal
from resight.training.timing import phase

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from pathlib import Path

    from resight.models import ReIDModel
    from resight.training.batches import Feed
    from resight.training.clock import Clock
    from resight.training.config import TrainConfig
    from resight.training.loss_report import LossReport
    from resight.training.lr_schedule import ScheduleConfig
    from resight.training.objective import Step
    from resight.training.parallel import Parallel
    from resight.training.progress import Display
    from resight.training.pseudo_labels import PseudoLabels

GO_ON, SAVE, STOP = range(3)
COLLAPSED = 1e-3  # spread under which all descriptors are practically one


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
        parallel: Parallel,
        judge: Judge | None = None,
        labels: Callable[[Trainer], PseudoLabels] | None = None,
    ) -> None:
        self.model, self.feed, self.optimizer, self.parallel = model, feed, optimizer, parallel
        self.objective = step.objective
        self.step = parallel.wrap(step.compiled() if config.compile else step)
        self.schedule, self.config, self.clock, self.folder = schedule, config, clock, folder
        self.seed, self.clip_norm, self.fingerprint = seed, clip_norm, fingerprint
        self.display, self.judge = display, judge
        self.average = MovingAverage(parallel.copy(), config.ema) if config.ema else None
        self.precision = resolve_precision(config.precision, feed.device)
        self.way = backward.build(config.accumulate, config.gradient_cache, self.autocast)
        self.recovery = Recovery(config.recover, config.recover_factor)
        self.labels = labels(self) if labels is not None else None
        self.best = -math.inf
        self.meter = Meter()
        self._warned = self._resumed = False
        self._saved = time.monotonic()

    @property
    def steps(self) -> int:
        return self.config.epochs * self.clock.steps_per_epoch

    @property
    def result(self) -> ReIDModel:
        """The weights to keep: the averaged ones where an average is kept.  All processes ask together."""
        return self.parallel.whole_model(cast("ReIDModel", self.average.model) if self.average else self.model)

    def resume(self) -> None:
        """Take up the state in the folder, if there is one.  Raises CheckpointError if it is another recipe's."""
        state = on_rank_zero(lambda: load_state(self.folder / "state.pt"))
        if state is None:
            return
        if state["recipe"] != self.fingerprint:
            theirs, ours = state["recipe"].split(), self.fingerprint.split()
            what = "another recipe" if theirs[0] != ours[0] else "the same recipe on other pictures"
            raise CheckpointError(
                f"{self.folder} holds a run of {what}. Choose another --out, or give --fresh to throw that run away."
            )
        self._take(state)
        self._resumed = True
        if "recovery" in state:
            self.recovery.load_state_dict(state["recovery"])
        if "recovered_from" in state:
            self.display.say(f"state.pt is damaged; going on from {state['recovered_from']}.")
        self.display.say(f"going on from {self.clock}.")

    def run(self) -> None:
        """Raises TrainingError on a loss that is not finite, Interrupted when asked to stop."""
        journal = self._journal()
        rng = torch.random.get_rng_state()
        self.display.begin("training", self.steps, self.clock.step)
        try:
            with stop_on_signal() as stop:
                self._loop(journal, stop)
        finally:
            torch.random.set_rng_state(rng)
            self.display.end()
            journal.close()

    def _journal(self) -> Journal | Unwritten:
        if rank() > 0:
            return Unwritten()
        step = self.clock.step if self._resumed else None
        return Journal(self.folder / "journal.jsonl", step=step, tensorboard=self.config.tensorboard)

    def _loop(self, journal: Journal | Unwritten, stop: threading.Event) -> None:
        if self.recovery.wanted and not self.recovery.ready:
            self.recovery.keep(self._state())
        while self.clock.step < self.steps:
            try:
                self.advance()
                self._after_step(journal, stop)
            except NotFiniteError as error:
                self._go_back(error, journal)
            except DatasetError as error:
                raise self._without_data(error) from error

    def _after_step(self, journal: Journal | Unwritten, stop: threading.Event) -> None:
        """What is written.  Raises NotFiniteError with nothing broken on the disk, Interrupted when asked to stop."""
        last = self.clock.step == self.steps
        if self.labels and (news := self.labels.news()):
            self._say_clusters(news, journal)
        if last or self.clock.step % self.config.log_every == 0:
            self._log(journal)
        if self.clock.at_epoch_end:
            self._end_of_epoch(journal)
        order = GO_ON if last else max_over_ranks(self._wish(stop))
        if order > GO_ON:
            self._save()
        if order == STOP:
            raise Interrupted(
                f"stopped at {self.clock}; everything is in {self.folder}. The same command goes on from there."
            )

    def _wish(self, stop: threading.Event) -> int:
        """What this process wants; the most that any of them wants is done."""
        if stop.is_set():
            return STOP
        due = rank() == 0 and time.monotonic() - self._saved >= self.config.save_seconds
        return SAVE if due else GO_ON

    def advance(self) -> None:
        """One step, and what follows it; nothing is written.  Raises NotFiniteError with no weight changed."""
        with repeatable(self.feed.device, self.config.deterministic):
            if self.labels and self.labels.due(self.clock):
                self.labels.renew(self.result)
                self.parallel.put_away()
            report = self._one_step()
        self.clock.tick()
        self.objective.advance(report)
        if self.average:
            self.average.update(self.model, self.clock.step)

    def _one_step(self) -> LossReport:
        began = time.perf_counter()
        torch.manual_seed(mix(self.seed, self.clock.step, rank(), 1))  # dropout and the like, the same after a resume
        self.step.train()
        self.objective.set_clock(self.clock)
        set_rate(self.optimizer, self.recovery.rate * self.schedule.factor(self.clock.progress, self.config.epochs))
        with phase("waiting for data"):
            batch = self.feed.next(self.objective.sampling, self.clock.step)
        waited = time.perf_counter() - began
        self.optimizer.zero_grad(set_to_none=True)
        report = self.way(self.step, batch, self.clock)
        self.parallel.finish_gradients()
        with phase("optimiser"):
            self._descend()
        self.parallel.finish_step()
        self.meter.add(report, world_size() * len(batch.pids), waited, time.perf_counter() - began)
        return report

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.feed.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def _descend(self) -> None:
        """The optimiser's step.  A gradient is looked at where its length is known anyway or the run can go back.

        Elsewhere the device would have to be waited for; what it breaks shows in the next loss or before it is saved.
        """
        if self.clip_norm is not None or self.recovery.wanted:
            parameters = [p for group in self.optimizer.param_groups for p in group["params"] if p.grad is not None]
            norm = self.parallel.length(parameters)
            self._check_gradient(norm)
            if self.clip_norm is not None:
                self.parallel.shorten(parameters, self.clip_norm, norm)
        self.optimizer.step()

    def _check_gradient(self, norm: Tensor) -> None:
        """Raises NotFiniteError, on all processes alike, before a broken gradient reaches the weights."""
        if not max_over_ranks(int(not bool(torch.isfinite(norm)))):
            return
        named = named_parameters(self.model, self.objective)
        broken = [name for name, p in named if p.grad is not None and not all_finite([p.grad])]
        raise NotFiniteError(
            f"the loss is finite at {self.clock}, its gradient is not: {', '.join(broken[:3]) or 'its length'} broke. "
            f"Lower optim.lr, or train with train.precision = 'fp32'."
        )

    def _check_weights(self) -> None:
        """Raises NotFiniteError, on all processes alike, where the last step left a weight that is no number."""
        kept = {**self.model.state_dict(), **self.objective.state_dict()}
        broken = [name for name, value in kept.items() if isinstance(value, Tensor) and not all_finite([value])]
        if max_over_ranks(int(bool(broken))):
            raise NotFiniteError(
                f"a weight is no longer a number at {self.clock}: {', '.join(broken[:3]) or 'on another process'}. "
                f"Lower optim.lr, or limit the gradient with optim.clip_norm."
            )

    def _go_back(self, error: NotFiniteError, journal: Journal | Unwritten) -> None:
        """To the last good state, with a lower rate from here on; raises the error where that was tried enough."""
        broke = self.clock.step
        good = self.recovery.back(error)
        self._take(on_rank_zero(lambda: good))
        self._save()
        journal.rewind(self.clock.step)
        journal.write(
            "recovery", self.clock.step, broke=broke, number=self.recovery.used, rate=self.recovery.rate, why=str(error)
        )
        self.display.say(
            f"{error} Going back to {self.clock} and on at {self.recovery.rate:g} of the rate "
            f"(recovery {self.recovery.used} of {self.recovery.times})."
        )

    def _without_data(self, error: DatasetError) -> DatasetError:
        """The same error, everything done so far saved, and a word on how to go on."""
        if world_size() == 1:  # alone on this process, the others would wait for it
            self._save()
        return type(error)(
            f"{error} Training stopped at {self.clock}; what was saved is in {self.folder}. Bring the pictures back "
            f"and give the same command to go on."
        )

    def _say_clusters(self, news: dict[str, Any], journal: Journal | Unwritten) -> None:
        journal.write("clusters", self.clock.step, epoch=self.clock.epoch, **news)
        self.display.say(
            f"epoch {self.clock.epoch + 1}: {news['clusters']} groups, {news['left_out']:.0%} left out, "
            f"radius {news['eps']:g}, silhouette {news['silhouette']:.2f}"
        )

    def _log(self, journal: Journal | Unwritten) -> None:
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

    def _end_of_epoch(self, journal: Journal | Unwritten) -> None:
        self._check_weights()
        last = self.clock.step == self.steps
        if self.judge and (last or self.clock.epoch % self.judge.every == 0):
            scores = self.judge.score(self.result)
            self.parallel.put_away()
            journal.write("validation", self.clock.step, epoch=self.clock.epoch, **scores)
            self.display.say(f"epoch {self.clock.epoch}: " + ", ".join(f"{k} {100 * v:.1f}" for k, v in scores.items()))
            if scores[self.judge.by] > self.best:
                self.best = scores[self.judge.by]
                self._export("model.safetensors")
        if self.recovery.wanted:
            self.recovery.keep(self._state())  # with the best score so far, whose weights are on the disk
        if last:
            self._export("last.safetensors" if self.judge else "model.safetensors")
            self._save()

    def _export(self, name: str) -> None:
        result = self.result
        on_rank_zero(lambda: save_model(result, self.folder / name))

    def _save(self) -> None:
        self._check_weights()
        state = {**self._state(), "recovery": self.recovery.state_dict()}
        on_rank_zero(lambda: save_state(self.folder / "state.pt", state))
        self._saved = time.monotonic()

    def _state(self) -> dict[str, Any]:
        """Everything a run needs to go on from here as if nothing had happened; whole on rank 0."""
        return {
            "recipe": self.fingerprint,
            "step": self.clock.step,
            "model": self.parallel.state(self.model),
            "objective": self.parallel.state(self.objective),
            "optimizer": self.parallel.optimizer_state(self.optimizer),
            "feed": self.feed.state_dict(),
            "augment": self.feed.augment.state_dict(),
            "average": self.parallel.state(self.average.model) if self.average else None,
            "meter": self.meter.state_dict(),
            "best": self.best,
        }

    def _take(self, state: dict[str, Any]) -> None:
        """Go on from `state`, whole on every process and however many there were."""
        self.clock.step = state["step"]
        self.parallel.load(self.model, state["model"])
        self.parallel.load(self.objective, state["objective"])
        self.parallel.load_optimizer(self.optimizer, state["optimizer"])
        self.feed.load_state_dict(state["feed"])
        self.feed.augment.load_state_dict(state["augment"])
        self.meter.load_state_dict(state["meter"])
        self.best = state["best"]
        if self.average:
            self.parallel.load(self.average.model, state["average"])
