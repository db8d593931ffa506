"""Timing of the phases of a step; almost free while nothing is measured.

with phase("backward"):
    total.backward()

with watching(Stopwatch()) as watch:      # `resight train --profile`
    ...
watch.seconds                             # {"backward": 1.23, ...}
"""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from typing import TYPE_CHECKING

from torch.profiler import record_function

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REST = "the rest"


class Stopwatch:
    """Seconds by phase: every moment is charged to the innermost phase that is open, or to `the rest`.

    settle: called before the clock is read; on a device that works ahead, waits until it is done.
    """

    def __init__(self, settle: Callable[[], None] | None = None) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._settle, self._open = settle, [REST]
        self._since = time.perf_counter()

    def begin(self, name: str) -> None:
        self.charge()
        self._open.append(name)

    def end(self) -> None:
        self.charge()
        self._open.pop()

    def charge(self) -> None:
        """Book the time since the last look to the phase that is open."""
        if self._settle:
            self._settle()
        now = time.perf_counter()
        self.seconds[self._open[-1]] += now - self._since
        self._since = now


_watch: Stopwatch | None = None


@contextlib.contextmanager
def watching(watch: Stopwatch) -> Iterator[Stopwatch]:
    """Context in which phases are timed by `watch`."""
    global _watch
    before, _watch = _watch, watch
    try:
        yield watch
        watch.charge()
    finally:
        _watch = before


@contextlib.contextmanager
def phase(name: str) -> Iterator[None]:
    """The block is part `name` of the step; phases may lie inside one another."""
    watch = _watch
    if watch is None:
        yield
        return
    watch.begin(name)
    try:
        with record_function(name):
            yield
    finally:
        watch.end()
