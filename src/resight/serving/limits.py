"""What one request, one client and the whole service may take."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

CLIENTS = 10_000  # whose rate is kept; the one that asked longest ago is dropped first


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of a service.  What exceeds one is answered with 413, 422, 429 or 503, and nothing is written."""

    body_bytes: int = 16 * 2**20  # of a request
    pictures: int = 16  # in a request
    picture_pixels: int = 32 * 2**20  # of a picture, decoded
    k: int = 500  # hits of a search
    page: int = 500  # records of a list
    requests: int = 128  # at work at a time
    queue: int = 512  # pictures waiting for the model
    per_minute: int = 3000  # requests of one key, or of one address without; a third of them at once
    header_seconds: float = 10.0  # for the head of a request to arrive
    body_seconds: float = 30.0  # for its body
    answer_seconds: float = 60.0  # for the answer to be made
    stop_seconds: int = 30  # for what was taken to be finished after SIGTERM


class RateLimiter:
    """Token bucket per client: `per_minute` requests a minute, a third of them at once."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_minute, self._most, self._clock = per_minute, max(1.0, per_minute / 3), clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # client -> tokens left, at
        self._lock = threading.Lock()

    def wait(self, client: str) -> float:
        """Take one request: 0 where it is admitted, else the seconds until it would be."""
        now, rate = self._clock(), self.per_minute / 60
        with self._lock:
            tokens, at = self._buckets.pop(client, (self._most, now))
            tokens = min(self._most, tokens + (now - at) * rate)
            admitted = tokens >= 1
            self._buckets[client] = (tokens - admitted, now)
            while len(self._buckets) > CLIENTS:
                self._buckets.popitem(last=False)
        return 0.0 if admitted else (1 - tokens) / rate
