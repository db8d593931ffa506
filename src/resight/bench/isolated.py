"""A measurement in a process of its own, with fresh memory and nothing compiled before, and the memory it takes."""

from __future__ import annotations

import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import torch

from resight.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")

GIB = 2**30
STATUS = Path("/proc/self/status")


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


def peak_memory(device: torch.device) -> float:
    """GiB: what torch has had allocated on a CUDA device at once, elsewhere the process's largest resident set."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / GIB
    return _peak_resident() / GIB


def _peak_resident() -> int:
    """Bytes.  Linux keeps it beside the process; what getrusage says there includes the parent's at its birth."""
    for line in STATUS.read_text("utf-8").splitlines() if STATUS.exists() else ():
        if line.startswith("VmHWM:"):  # which some sandboxes leave out
            return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
