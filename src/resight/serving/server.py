"""Running the service: uvicorn on one socket, a limit on slow request heads, a stop that finishes what was begun."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from resight.errors import GalleryError, UsageError
from resight.evaluation import Calibration
from resight.gallery import Gallery
from resight.inference.precision import Precision
from resight.serving.app import create_app
from resight.serving.keys import Keys
from resight.serving.limits import Limits

CONNECTIONS = 2000  # open at a time
HOUR = 3600.0


class TimedProtocol(H11Protocol):
    """Closes a connection whose request head does not arrive in time."""

    header_seconds = Limits.header_seconds
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:
            self._stop_waiting()  # a whole head has arrived
        elif self._head_timer is None and getattr(before, "response_complete", True):
            self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait_for_head(self) -> None:
        self._head_timer = self.loop.call_later(self.header_seconds, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


def serve(
    galleries: Mapping[str, Path], model: str | None, *, host: str, port: int, keys: Keys | None,
    hosts: Iterable[str], batch_size: int | None, device: str, precision: Precision, keep_days: float | None,
    limits: Mapping[str, Any], say: Callable[[str], None], calibration_of: Callable[[str, str], Calibration | None],
) -> None:  # fmt: skip
    """Open the galleries and serve them until told to stop.

    calibration_of: the calibration of a model, by its name and fingerprint; hits then carry a probability.

    Raises UsageError where the address cannot be had, GalleryError where a gallery cannot be opened.
    """
    from resight.inference import Extractor
    from resight.models import load_model

    bound = _bind(host, port)
    try:
        name = model or _remembered(galleries)
        loaded = load_model(name)
        calibration = calibration_of(name, loaded.fingerprint())
        extractor = Extractor(loaded, device=device, precision=precision)
        extractor(np.zeros((1, *loaded.input_size, 3), np.uint8))  # chooses the precision before anybody waits
        opened = {
            called: Gallery.open(path, fingerprint=loaded.fingerprint(), calibration=calibration)
            for called, path in galleries.items()
        }
        allowed = Limits(**limits)
        app = create_app(opened, extractor, keys=keys, limits=allowed, hosts=[host, *hosts], batch_size=batch_size)
        config = uvicorn.Config(
            app, http=TimedProtocol, ws="none", lifespan="on", log_config=None, access_log=False, server_header=False,
            proxy_headers=False, limit_concurrency=CONNECTIONS, timeout_keep_alive=15,
            timeout_graceful_shutdown=allowed.stop_seconds, h11_max_incomplete_event_size=32 * 2**10,
        )  # fmt: skip
        _log_to_stderr()
        address = bound.getsockname()
        shown = f"[{address[0]}]" if ":" in address[0] else address[0]
        say(f"model {name}: {extractor.chosen}")
        for called, gallery in opened.items():
            say(f"gallery {called}: {len(gallery):,} records")
        say(f"Open http://{shown}:{address[1]}/ in a browser. Ctrl-C stops." + ("" if keys else " No key is needed."))
        with _retention(opened, keep_days):
            uvicorn.Server(config).run(sockets=[bound])
    finally:
        bound.close()


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(CONNECTIONS)  # who comes while the model is loaded waits for it
    except OSError as error:
        bound.close()
        raise UsageError(f"cannot listen on {host}:{port}: {error.strerror}. Choose another --port.") from error
    return bound


def _remembered(galleries: Mapping[str, Path]) -> str:
    """The model that the first gallery was made with, else the packaged weights."""
    with Gallery.open(next(iter(galleries.values()))) as gallery:
        return str(gallery.settings.get("model") or "synth_small")


@contextlib.contextmanager
def _retention(galleries: Mapping[str, Gallery], days: float | None) -> Iterator[None]:
    """Delete what is older than `days`, at once and every hour, while the block lasts."""
    if days is None:
        yield
        return
    ended, log = threading.Event(), logging.getLogger("resight.serving")

    def work() -> None:
        while True:
            for name, gallery in galleries.items():
                try:
                    log.info("retention: %s records of %s deleted", gallery.expire(days), name)
                except GalleryError as error:
                    log.error("retention: %s", error)
            if ended.wait(HOUR):
                return

    thread = threading.Thread(target=work, name="resight-retention", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _log_to_stderr() -> None:
    """Requests as JSON lines; errors with their cause."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    for name, level in (("resight.requests", logging.INFO), ("resight.serving", logging.INFO),
                        ("uvicorn.error", logging.WARNING)):  # fmt: skip
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)
