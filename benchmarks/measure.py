"""Time and memory of a call, the way the benchmarks here measure them."""

from __future__ import annotations

import ctypes
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

MIB = 2**20


def seconds(call: Callable[[], Any]) -> float:
    """Wall time of one call."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def side_by_side(calls: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """The best of some repeats of each call, taken in turn, so that a busy moment does not hit only one."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            times[name].append(seconds(call))
    return {name: min(values) for name, values in times.items()}


def peak_beyond(call: Callable[[], Any]) -> float:
    """MiB of resident memory a call needed at its peak beyond what was there before.  Linux with glibc.

    What earlier calls freed and the allocator kept is given back first: it would count as there before.
    """
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before = _status("VmRSS")
    call()
    return (_status("VmHWM") - before) / MIB


def peak() -> float:
    """MiB of resident memory at the peak of the last `peak_beyond`, everything counted.  Linux."""
    return _status("VmHWM") / MIB


def _status(key: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status has no {key}")
