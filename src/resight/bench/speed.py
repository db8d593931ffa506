"""Speed of a recipe: a number of the trainer's own steps, timed."""

from __future__ import annotations

import statistics
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from resight.assembly import build_trainer
from resight.bench.flops import peak_of, training_flops
from resight.bench.isolated import alone, peak_memory
from resight.bench.synthetic_data import MadeUpPixels, made_up
from resight.data.loading.device import PixelsOnDevice
from resight.errors import UsageError
from resight.inference import resolve_device
from resight.models.files.fitting import without_sources
from resight.recipe import Recipe
from resight.training.monitoring.progress import Silent

if TYPE_CHECKING:
    from resight.data import Pixels
    from resight.training.trainer import Trainer

WARM_UP = 3  # steps before the clock counts; with compilation, the first of them pays for it


@dataclass(frozen=True)
class Speed:
    """What a training step of one recipe takes.  Seconds, GiB; TFLOP are 10^12 floating-point operations."""

    recipe: str
    device: str
    threads: int  # of torch, on a processor
    precision: str
    compiled: bool
    channels_last: bool
    batch: int
    size: tuple[int, int]
    steps: int
    images_per_s: float
    step_s: float  # median
    step_s_low: float  # a tenth of the steps were quicker
    step_s_high: float  # a tenth were slower
    waiting: float  # share of the time spent on the next batch's pictures, augmentation included
    first_step_s: float
    compile_s: float | None  # how much longer the first steps took than others, where they compiled
    peak_memory_gib: float
    tflops: float  # per second
    utilisation: float | None  # of the device's peak, where that is known

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def prepared(
    recipe: Recipe | str,
    *,
    precision: str | None = None,
    compiled: bool | None = None,
    channels_last: bool | None = None,
    batch: int | None = None,
    settings: tuple[str, ...] = (),
) -> Recipe:
    """The recipe with some of its switches set; what is None stays.

    Weights are drawn, not fetched, since their values cost no time.

    Args:
        recipe: a recipe, a name or a TOML file.
        precision: train.precision.
        compiled: train.compile.
        channels_last: train.channels_last.
        batch: pictures of a batch.
        settings: KEY=VALUE, as `Recipe.override` takes them.
    """
    loaded = Recipe.load(recipe) if isinstance(recipe, str) else recipe
    changes = list(settings)
    if precision is not None:
        changes.append(f"train.precision={precision}")
    if compiled is not None:
        changes.append(f"train.compile={str(compiled).lower()}")
    if channels_last is not None:
        changes.append(f"train.channels_last={str(channels_last).lower()}")
    if batch is not None:
        changes += [_batch_setting(name, source, batch) for name, source in loaded.feed.items()]
    changed = loaded.override(*changes)
    return replace(changed, model=replace(changed.model, options=without_sources(changed.model.options)))


def measure(
    recipe: Recipe,
    *,
    steps: int = 20,
    device: str = "auto",
    peak_tflops: float | None = None,
    threads: int | None = None,
) -> Speed:
    """Train for some steps after a warm-up, in this process, and save nothing.

    Args:
        recipe: what to train, on made-up pictures of its size.
        steps: measured.
        device: auto, cpu, cuda, cuda:N or mps.
        peak_tflops: TFLOP/s the device could do; where not given, known for common GPUs.
        threads: torch's from here on, where given.

    Raises:
        TrainingError: as in training.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    where, labeled = resolve_device(device), any("attributes" in term.target for term in recipe.objective.terms)
    dataset = made_up(recipe.data.name, attributes=labeled)

    def pixels(size: tuple[int, int]) -> Pixels:
        made = MadeUpPixels(dataset.train, size)
        return PixelsOnDevice(made, where) if recipe.data.pixels == "device" and where.type != "cpu" else made

    with tempfile.TemporaryDirectory() as folder:
        trainer = build_trainer(recipe, dataset, None, Path(folder), where, Silent(), pixels=pixels)
        rng = torch.random.get_rng_state()
        try:
            first = _timed(trainer, WARM_UP)
            trainer.monitor.meter.read()
            took = _timed(trainer, steps)
        finally:
            torch.random.set_rng_state(rng)
    return _speed(recipe, trainer, first, took, training_flops(recipe, dataset), peak_tflops)


def measure_alone(recipe: Recipe, **options: Any) -> Speed:
    """`measure` in a process of its own.  Raises what it raises, TrainingError where memory did not suffice."""
    return alone(recipe.name, measure, recipe, **options)


def _timed(trainer: Trainer, steps: int) -> list[float]:
    """Seconds of each step.  The trainer looks at every loss, so a device cannot fall behind by more than a step."""
    cuda = trainer.feed.device.type == "cuda"
    seconds = []
    for number in range(steps):
        began = time.perf_counter()
        trainer.train_step()
        if cuda and number == steps - 1:
            torch.cuda.synchronize(trainer.feed.device)
        seconds.append(time.perf_counter() - began)
    return seconds


def _speed(
    recipe: Recipe, trainer: Trainer, first: list[float], took: list[float], flops: float, peak_tflops: float | None
) -> Speed:
    device, batch = trainer.feed.device, trainer.monitor.meter.images // len(took)
    step = statistics.median(took)
    tenths = statistics.quantiles(took, n=10, method="inclusive") if len(took) > 1 else [step, step]
    tflops = flops * batch / step / 1e12
    peak = peak_tflops or peak_of(device, trainer.precision)
    return Speed(
        recipe=recipe.name,
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        threads=torch.get_num_threads(),
        precision=trainer.precision,
        compiled=recipe.train.compile,
        channels_last=recipe.train.channels_last,
        batch=batch,
        size=trainer.model.input_size,
        steps=len(took),
        images_per_s=batch / step,
        step_s=step,
        step_s_low=tenths[0],
        step_s_high=tenths[-1],
        waiting=trainer.monitor.meter.read()["waiting"],
        first_step_s=first[0],
        compile_s=max(sum(first) - len(first) * step, 0.0) if recipe.train.compile else None,
        peak_memory_gib=peak_memory(device),
        tflops=tflops,
        utilisation=tflops / peak if peak else None,
    )


def _batch_setting(name: str, source: Any, batch: int) -> str:
    if source.sampler == "random":
        return f"feed.{name}.batch_size={batch}"
    if batch % source.images:
        raise UsageError(
            f"--batch {batch}: feed.{name} draws {source.images} pictures of each person; choose a multiple of that."
        )
    return f"feed.{name}.ids={batch // source.images}"
