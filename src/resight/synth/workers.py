"""Rendering in several processes; pictures come in the order they finish."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import connection
from typing import TYPE_CHECKING

from resight.synth.picture import Picture, make

if TYPE_CHECKING:
    from resight.synth.config import SynthConfig
    from resight.synth.plan import Item


def made(config: SynthConfig, items: list[Item], workers: int) -> Iterator[Picture]:
    """The pictures as they get ready.  A few at a time wait for a worker, so that a stop is quick."""
    if workers == 1 or len(items) < 3:
        yield from (make(config, item) for item in items)
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(items)), mp_context=spawn, initializer=_prepare_worker) as pool:
        waiting: set[Future[Picture]] = set()
        rest = iter(items)
        try:
            while True:
                for item in rest:
                    waiting.add(pool.submit(make, config, item))
                    if len(waiting) >= 4 * workers:
                        break
                if not waiting:
                    return
                ready, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in ready)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _prepare_worker() -> None:
    """Ctrl-C reaches the whole process group, and only the parent acts on it; a worker does not outlive its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_leave_with, args=(parent.sentinel,), daemon=True).start()


def _leave_with(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)
