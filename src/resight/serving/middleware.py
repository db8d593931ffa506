"""What every request passes: host and origin, concurrency, size and time limits, headers, metrics and the log.

Plain ASGI, so that a body is counted while it arrives and is never held twice.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.responses import JSONResponse

from resight.serving.failures import RefusedError, failure
from resight.serving.limits import Limits, RateLimiter

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

log = logging.getLogger("resight.requests")
LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
PROBES = ("/v1/health", "/metrics")  # answered however busy the service is
HELD = 1.0  # seconds a client that asks too often waits for its refusal, so that refusing costs next to nothing
SECURITY = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
        "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "geolocation=(), microphone=(), camera=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


class Metrics:
    """Counters for Prometheus, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ["method", "route", "status"]
        self.requests = Counter("resight_requests", "Requests answered.", labels, registry=self.registry)
        self.seconds = Histogram(
            "resight_request_seconds", "Time to answer.", ["route"], registry=self.registry,
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
        )  # fmt: skip
        self.active = Gauge("resight_active_requests", "Requests at work.", registry=self.registry)
        self.pictures = Counter("resight_pictures", "Pictures embedded.", registry=self.registry)
        self.waiting = Gauge("resight_waiting_pictures", "Pictures waiting for the model.", registry=self.registry)


class Guard:
    """The outermost layer of the service.

    hosts: names it may be reached by.  key_of: the id of the key in an Authorization header, None where it is none.
    """

    def __init__(
        self, app: App, limits: Limits, hosts: frozenset[str], metrics: Metrics,
        key_of: Callable[[str], str | None] = lambda _: None,
    ) -> None:  # fmt: skip
        self.app, self.limits, self.hosts, self.metrics, self.key_of = app, limits, hosts, metrics, key_of
        self.rate = RateLimiter(limits.per_minute)
        self.active = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status, began = time.perf_counter(), 500, False

        async def sending(message: Message) -> None:
            nonlocal status, began
            if message["type"] == "http.response.start":
                began, status = True, message["status"]
                known = {name.lower() for name, _ in message["headers"]}
                kept = "no-cache" if scope["path"].startswith("/static/") else "no-store"
                added = [
                    (name.encode(), value.encode()) for name, value in (*SECURITY.items(), ("cache-control", kept))
                ]
                message["headers"] = [*message["headers"], *(pair for pair in added if pair[0] not in known)]
            await send(message)

        if (wait := self._too_often(scope)) > 0:  # takes no place of those at work while it waits
            await asyncio.sleep(min(wait, HELD))
            message = f"more than {self.limits.per_minute} requests a minute."
            await failure(429, message, retry=wait)(scope, receive, sending)
            self._tell(scope, status, time.perf_counter() - started)
            return
        self.active += 1
        self.metrics.active.set(self.active)
        try:
            if (refusal := self._refusal(scope)) is not None:
                await refusal(scope, receive, sending)
                return
            limited = self._limited(receive)
            try:
                async with asyncio.timeout(self.limits.body_seconds + self.limits.answer_seconds):
                    await self.app(scope, limited, sending)
            except TimeoutError:
                if began:
                    raise
                await failure(408, "the request was not answered in time.")(scope, receive, sending)
            except RefusedError as error:  # where nothing inside has answered it
                await failure(error.status, error.message)(scope, receive, sending)
        finally:
            self.active -= 1
            self.metrics.active.set(self.active)
            self._tell(scope, status, time.perf_counter() - started)

    def _too_often(self, scope: Scope) -> float:
        """Seconds until this client may ask: one key, or one address without a key."""
        if scope["path"] in PROBES:
            return 0.0
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        key = self.key_of(given.decode("latin-1"))
        return self.rate.wait(key or (scope.get("client") or [""])[0])

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        """Why a request is not looked at: from another site, too many at once, or larger than any may be."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get("host", "")
        if _name(host) not in self.hosts:
            return failure(421, f"this service is not {host or 'nameless'!r}.")
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
        foreign = origin is not None and urlsplit(origin).netloc != host
        if foreign or (site not in ("none", "same-origin") and scope["method"] not in ("GET", "HEAD")):
            return failure(403, "the request comes from a page of another site.", hint="Use the page of this service.")
        if self.active > self.limits.requests and scope["path"] not in PROBES:
            return failure(503, f"{self.limits.requests} requests are at work already.", retry=1.0)
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > self.limits.body_bytes:
            return failure(413, self._too_large())
        return None

    def _limited(self, receive: Receive) -> Receive:
        """`receive` that stops where a body is too large or too slow."""
        taken, until = 0, time.monotonic() + self.limits.body_seconds
        complete = False

        async def limited() -> Message:
            nonlocal taken, complete
            if complete:
                return await receive()  # which tells when the client has gone
            try:
                async with asyncio.timeout(max(0.0, until - time.monotonic())):
                    message = await receive()
            except TimeoutError:
                raise RefusedError(408, "the request did not arrive in time.") from None
            taken += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if taken > self.limits.body_bytes:
                raise RefusedError(413, self._too_large())
            return message

        return limited

    def _too_large(self) -> str:
        return f"the body is too large; {self.limits.body_bytes:,} bytes are taken."

    def _tell(self, scope: Scope, status: int, seconds: float) -> None:
        """Neither pictures nor vectors nor ids: the route's pattern, not its path."""
        route = getattr(scope.get("route"), "path", "").replace(":path}", "}")
        route = route or ("/static" if scope["path"].startswith("/static/") else "-")
        method = scope["method"] if scope["method"] in ("GET", "HEAD", "POST", "PATCH", "DELETE") else "-"
        self.metrics.requests.labels(method, route, str(status)).inc()
        self.metrics.seconds.labels(route).observe(seconds)
        line = {"time": round(time.time(), 3), "method": method, "route": route, "status": status,
                "seconds": round(seconds, 4), "key": scope.get("state", {}).get("caller")}  # fmt: skip
        log.info(json.dumps(line))


def _name(host: str) -> str:
    """The name in a Host header, without its port."""
    return host.lower().rpartition("]")[0] + "]" if host.startswith("[") else host.lower().partition(":")[0]
