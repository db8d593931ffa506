"""Saving and resuming of a run, bit for bit."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from resight.dist import rank, world_size
from resight.dist.processes import on_rank_zero
from resight.errors import CheckpointError, DatasetError, NotFiniteError
from resight.training.checkpointing.checkpoint import load_state, save_state
from resight.training.checkpointing.nan_recovery import check_weights
from resight.training.optimization.precision import supports_bf16

if TYPE_CHECKING:
    from resight.training.components import Components
    from resight.training.monitoring.monitor import Monitor


class RunState:
    """The state of `run`, in memory and in its folder."""

    def __init__(self, run: Components, monitor: Monitor) -> None:
        self.run, self.monitor = run, monitor
        self.resumed = False
        self._saved = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether it is time to save; only rank 0 saves."""
        return rank() == 0 and time.monotonic() - self._saved >= self.run.config.save_seconds

    def capture(self) -> dict[str, Any]:
        """The state, every tensor whole; complete on rank 0."""
        run, parallel = self.run, self.run.parallel
        return {
            "recipe": self.run.fingerprint,
            "step": run.clock.step,
            "precision": run.precision,
            "model": parallel.state(run.model),
            "objective": parallel.state(run.objective),
            "optimizer": parallel.optimizer_state(run.optimizer),
            "feed": run.feed.state_dict(),
            "augment": run.feed.augment.state_dict(),
            "average": parallel.state(run.average.model) if run.average else None,
            "meter": self.monitor.meter.state_dict(),
            "best": self.monitor.best,
            **({"labels": run.labels.state_dict()} if run.labels else {}),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from `state`, whole on every process, captured by any number of processes."""
        run, parallel = self.run, self.run.parallel
        run.clock.step = state["step"]
        run.precision = state["precision"] if "precision" in state else _earlier_precision(run)
        parallel.load(run.model, state["model"])
        parallel.load(run.objective, state["objective"])
        parallel.load_optimizer(run.optimizer, state["optimizer"])
        run.feed.load_state_dict(state["feed"])
        run.feed.augment.load_state_dict(state["augment"])
        self.monitor.meter.load_state_dict(state["meter"])
        self.monitor.best = state["best"]
        if run.average:
            parallel.load(run.average.model, state["average"])
        if run.labels and "labels" in state:
            run.labels.load_state_dict(state["labels"])

    def save(self) -> None:
        """Write state.pt.  Raises NotFiniteError, and writes nothing, where a weight is not finite."""
        run = self.run
        check_weights(run.model, run.objective, run.clock)
        state = {**self.capture(), "recovery": run.recovery.state_dict()}
        on_rank_zero(lambda: save_state(run.folder / "state.pt", state))
        self._saved = time.monotonic()

    def resume(self, *, same_recipe: bool = False) -> None:
        """Continue from the folder's state, if there is one.  Raises CheckpointError if it is another recipe's.

        same_recipe: the folder's recipe is known to be this one, whatever its hash was in the version that began it.
        """
        run = self.run
        state = on_rank_zero(lambda: load_state(run.folder / "state.pt"))
        if state is None:
            return
        self._refuse_other_runs(state["recipe"], same_recipe)
        self.restore(state)
        self.resumed = True
        if "recovery" in state:
            run.recovery.load_state_dict(state["recovery"])
        if "recovered_from" in state:
            self.monitor.display.say(f"state.pt is damaged; going on from {state['recovered_from']}.")
        self.monitor.display.say(f"going on from {run.clock}.")

    def go_back(self, error: NotFiniteError) -> None:
        """Restore the last good state and lower the learning rate.  Raises the error where no recovery is left."""
        broke, good = self.run.clock.step, self.run.recovery.back(error)
        self.restore(on_rank_zero(lambda: good))
        self.save()
        self.monitor.recovered(broke, error)

    def without_data(self, error: DatasetError) -> DatasetError:
        """The error to raise where pictures can no longer be read.  The run so far is saved."""
        if world_size() == 1:  # with several processes the others would wait for it
            self.save()
        return type(error)(
            f"{error} Training stopped at {self.run.clock}; what was saved is in {self.run.folder}. Bring the "
            f"pictures back and give the same command to go on."
        )

    def _refuse_other_runs(self, found: str, same_recipe: bool) -> None:
        recipe, *data = found.split()
        own, *own_data = self.run.fingerprint.split()
        other = recipe != own and not same_recipe
        if other or data != own_data:
            what = "another recipe" if other else "the same recipe on other pictures"
            raise CheckpointError(
                f"{self.run.folder} holds a run of {what}. Choose another --out, or give --fresh to throw that run "
                f"away."
            )


def _earlier_precision(run: Components) -> str:
    """Of states that do not say: `auto` was bf16 wherever the device has it."""
    given = run.config.precision
    return ("bf16" if supports_bf16(run.feed.device) else "fp32") if given == "auto" else given
