"""A measurement in a process of its own: fresh memory, nothing compiled before, and a crash stays there."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING

import torch

from resight.errors import TrainingError

if TYPE_CHECKING:
    from resight.bench.speed import Speed
    from resight.recipe import Recipe


def measure_alone(recipe: Recipe, **options: object) -> Speed:
    """`measure` with these options.  Raises what it raises, TrainingError where memory did not suffice."""
    from resight.bench.speed import measure

    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            return pool.submit(measure, recipe, **options).result()  # type: ignore[arg-type]
        except BrokenProcessPool as error:
            raise TrainingError(
                f"{recipe.name}: the measuring process was ended by the system, most likely for memory. "
                f"Try a smaller --batch."
            ) from error
        except torch.OutOfMemoryError as error:
            raise TrainingError(f"{recipe.name} does not fit the device's memory. Try a smaller --batch.") from error
