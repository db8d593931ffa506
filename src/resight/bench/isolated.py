"""A measurement in a process of its own: fresh memory, nothing compiled before."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import torch

from resight.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Callable

    from resight.bench.speed import Speed
    from resight.recipe import Recipe

P = ParamSpec("P")
T = TypeVar("T")


def measure_alone(recipe: Recipe, **options: object) -> Speed:
    """`measure` with these options.  Raises what it raises, TrainingError where memory did not suffice."""
    from resight.bench.speed import measure

    return alone(recipe.name, measure, recipe, **options)  # type: ignore[arg-type]


def alone(name: str, function: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
    """Call `function` in a fresh process.  Raises what it raises, TrainingError about `name` where memory did not
    suffice."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            return pool.submit(function, *args, **options).result()
        except BrokenProcessPool as error:
            raise TrainingError(
                f"{name}: the measuring process was ended by the system, most likely for memory. Try a smaller --batch."
            ) from error
        except torch.OutOfMemoryError as error:
            raise TrainingError(f"{name} does not fit the device's memory. Try a smaller --batch.") from error
