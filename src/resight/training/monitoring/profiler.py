"""Profile of a training step, by phase and by operator.  `resight train --profile`."""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch.profiler import ProfilerActivity

from resight.dist import world_size
from resight.errors import UsageError
from resight.files import write_atomically, write_text
from resight.training.monitoring.timing import REST, Stopwatch, phase, watching

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from resight.training.trainer import Trainer

WARM_UP = 3  # steps before anything is measured: first pictures, memory, kernels chosen
RECORDED = 3  # steps in the trace, at most: it grows by some megabytes each
LISTED = 12  # operators
PHASES = ("waiting for data", "augmentation", "forward", "loss", "backward", "optimizer", REST)


@dataclass(frozen=True)
class Operator:
    """One of torch's operators: its own time, without what it calls."""

    name: str
    calls: float  # a step
    seconds: float  # a step


@dataclass(frozen=True)
class TrainingProfile:
    """What `steps` steps took; times are seconds a step."""

    device: str
    precision: str
    steps: int
    images: int  # a step
    seconds: float
    phases: dict[str, float]
    operators: list[Operator]
    trace: str  # open it in chrome://tracing or ui.perfetto.dev

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        speed = f"{1000 * self.seconds:.1f} ms a step, {self.images / self.seconds:.1f} images/s"
        lines = [f"{self.steps} steps of {self.images} images on {self.device}, {self.precision}: {speed}"]
        lines += ["", f"{'phases':<40} {'ms':>9} {'share':>8}"]
        lines += [f"{name:<40} {self._share(value)}" for name, value in self.phases.items()]
        lines += ["", f"{'operators':<40} {'ms':>9} {'share':>8} {'calls':>7}"]
        lines += [f"{o.name[:40]:<40} {self._share(o.seconds)} {o.calls:7.0f}" for o in self.operators]
        return "\n".join([*lines, "", f"trace: {self.trace}"])

    def _share(self, seconds: float) -> str:
        return f"{1000 * seconds:9.1f} {100 * seconds / self.seconds:6.1f} %"


def take_profile(trainer: Trainer, steps: int) -> TrainingProfile:
    """Run the trainer on for `steps` steps with a clock, then a few with torch's profiler; save none of it.

    Writes `profile/` into the trainer's folder.  Where the device works ahead, the clock waits for it at the end of
    each phase.  Raises UsageError with several processes.
    """
    if world_size() > 1:
        raise UsageError("a profile is taken of one process. Leave torchrun away.")
    folder, device = trainer.folder / "profile", trainer.feed.device
    settle: Callable[[], None] | None = None
    if device.type in ("cuda", "mps"):
        settle = partial(torch.cuda.synchronize, device) if device.type == "cuda" else torch.mps.synchronize
    rng = torch.random.get_rng_state()
    first = trainer.clock.step
    trainer.display.begin("profiling", first + WARM_UP + steps + min(steps, RECORDED), first)
    try:
        _go(trainer, WARM_UP)
        with _loss_apart(trainer), watching(Stopwatch(settle)) as watch:
            began = time.perf_counter()
            images = _go(trainer, steps)
            took = time.perf_counter() - began
        recorded = _record(trainer, min(steps, RECORDED), folder / "trace.json")
    finally:
        trainer.display.end()
        torch.random.set_rng_state(rng)
    found = TrainingProfile(
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        precision=trainer.precision,
        steps=steps,
        images=images // steps,
        seconds=took / steps,
        phases={name: watch.seconds.get(name, 0.0) / steps for name in PHASES},
        operators=recorded,
        trace=str(folder / "trace.json"),
    )
    text = json.dumps(found.as_dict(), indent=1)
    write_text(folder / "profile.json", text)
    return found


def _go(trainer: Trainer, steps: int) -> int:
    """So many steps on; how many images that were."""
    before = trainer.monitor.meter.images
    for _ in range(steps):
        trainer.train_step()
        trainer.display.advance(trainer.clock.step)
    return trainer.monitor.meter.images - before


@contextlib.contextmanager
def _loss_apart(trainer: Trainer) -> Iterator[None]:
    """The objective as a phase of its own inside "forward"; under torch.compile the two are one."""
    if trainer.config.compile:
        yield
        return
    open_: list[contextlib.AbstractContextManager[None]] = []

    def begin(*_: Any) -> None:
        open_.append(phase("loss"))
        open_[-1].__enter__()

    def end(*_: Any) -> None:
        open_.pop().__exit__(None, None, None)

    hooks = [
        trainer.objective.register_forward_pre_hook(begin),
        trainer.objective.register_forward_hook(end),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _record(trainer: Trainer, steps: int, trace: Path) -> list[Operator]:
    """The most expensive operators of some steps, and their trace."""
    activities = [ProfilerActivity.CPU]
    if trainer.feed.device.type == "cuda":
        activities.append(ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=activities) as recorded, _loss_apart(trainer), watching(Stopwatch()):
        _go(trainer, steps)
    write_atomically(trace, lambda partial: recorded.export_chrome_trace(str(partial)))
    device = ProfilerActivity.CUDA in activities
    times = {
        event.key: ((event.self_device_time_total if device else event.self_cpu_time_total) / 1e6, event.count)
        for event in recorded.key_averages()
        if event.key not in PHASES
    }
    dearest = sorted(times.items(), key=lambda item: -item[1][0])[:LISTED]
    return [Operator(name, count / steps, seconds / steps) for name, (seconds, count) in dearest if seconds > 0]
