"""Limits: rate, size, concurrency, and the queue before the model."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import numpy as np
import pytest

from resight.serving.batching import EmbeddingQueue, QueueFullError
from resight.serving.limits import Limits, RateLimiter
from resight.serving.middleware import Guard, Metrics
from resight.serving.service import streams_of
from tests.serving.conftest import Shop
from tests.serving.test_routes import ask, data, error


def test_a_third_of_a_minutes_worth_at_once_then_at_the_rate() -> None:
    now = [0.0]
    limiter = RateLimiter(60, clock=lambda: now[0])
    assert [limiter.wait("a") for _ in range(20)] == [0.0] * 20
    assert limiter.wait("a") == pytest.approx(1.0)
    assert limiter.wait("b") == 0.0
    now[0] = 0.5
    assert limiter.wait("a") == pytest.approx(0.5)
    now[0] = 1.5
    assert limiter.wait("a") == 0.0


def test_too_many_requests_say_when(shop: Shop) -> None:
    with shop.client(limits=Limits(per_minute=6)) as client:
        assert [client.get("/v1/galleries").status_code for _ in range(2)] == [200, 200]
        for path in ("/v1/galleries", "/", "/static/app.js", "/v1/nothing"):
            answer = client.get(path)
            error(answer, 429, "too_many_requests")
            assert int(answer.headers["retry-after"]) >= 1
        assert client.get("/v1/health").status_code == 200


def test_who_asks_too_often_takes_no_place_while_waiting_for_the_refusal() -> None:
    guard = Guard(reading, Limits(per_minute=3, requests=1), frozenset({"localhost"}), Metrics())
    body = [{"type": "http.request", "body": b""}]

    async def two() -> tuple[list[int], float]:
        assert await one(guard, body, client="flood") == 200
        flood = asyncio.create_task(one(guard, body, client="flood"))
        await asyncio.sleep(0.05)
        began = time.perf_counter()
        served = await one(guard, body, client="other")
        took = time.perf_counter() - began
        return [served, await flood], took

    statuses, took = asyncio.run(two())
    assert statuses == [200, 429]
    assert took < 0.5


def test_a_body_too_large(shop: Shop, picture: bytes) -> None:
    with shop.client(limits=Limits(body_bytes=1000)) as client:
        error(ask(client, [picture]), 413, "too_large")
        error(client.post("/v1/search", content=iter([b"x" * 600, b"x" * 600]), headers={"content-type": "application/json"}), 413, "too_large")  # fmt: skip  # noqa: E501
        data(client.get("/v1/galleries"))


def test_too_many_pictures_and_too_large_k(shop: Shop, picture: bytes) -> None:
    with shop.client(limits=Limits(pictures=1, k=5)) as client:
        assert ask(client, [picture] * 2).status_code in (400, 413)
        error(ask(client, [picture], k=6), 422, "invalid")


def test_a_picture_too_large_is_never_decoded(shop: Shop, picture: bytes) -> None:
    with shop.client(limits=Limits(picture_pixels=100)) as client:
        assert "pixels" in error(ask(client, [picture]), 422, "image")["message"]


def run(guard: Guard, messages: list[dict[str, Any]], pause: float = 0.0) -> int:
    """The status of one request whose body arrives as these messages, `pause` seconds before each."""
    return asyncio.run(one(guard, messages, pause))


async def one(guard: Guard, messages: list[dict[str, Any]], pause: float = 0.0, client: str = "here") -> int:
    waiting, sent = list(messages), []

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(pause)
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/x", "headers": [(b"host", b"localhost")], "query_string": b"",
             "client": (client, 1)}  # fmt: skip
    await guard(scope, receive, send)
    return int(sent[0]["status"])


async def reading(scope: Any, receive: Any, send: Any) -> None:
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def test_a_body_that_trickles_is_given_up() -> None:
    guard = Guard(reading, Limits(body_seconds=0.2), frozenset({"localhost"}), Metrics())
    chunk = {"type": "http.request", "body": b"x", "more_body": True}
    assert run(guard, [chunk, {"type": "http.request", "body": b""}]) == 200
    began = time.perf_counter()
    assert run(guard, [chunk] * 100, pause=0.05) == 408
    assert time.perf_counter() - began < 2


def test_more_at_work_than_allowed_is_told_to_wait() -> None:
    guard = Guard(reading, Limits(requests=1), frozenset({"localhost"}), Metrics())
    guard.active = 1  # another request is at work
    assert run(guard, [{"type": "http.request", "body": b""}]) == 503


def test_the_queue_embeds_each_picture_once_in_common_batches() -> None:
    sizes = []
    going = threading.Event()

    def embed(pixels: Any) -> Any:
        going.wait(5)
        sizes.append(len(pixels))
        return pixels[:, 0, 0, :1].astype(np.float32)

    queue = EmbeddingQueue(embed, batch_size=8, limit=32)
    futures = [queue.submit(np.full((2, 2, 3), value, np.uint8)) for value in range(20)]
    going.set()
    assert [float(future.result(5)[0]) for future in futures] == list(range(20))
    assert sum(sizes) == 20
    assert max(sizes) == 8
    queue.close()
    with pytest.raises(QueueFullError, match="stopping"):
        queue.submit(np.zeros((2, 2, 3), np.uint8))


def test_a_full_queue_refuses_and_a_failed_batch_fails_alone() -> None:
    going, fail = threading.Event(), [True]

    def embed(pixels: Any) -> Any:
        going.wait(5)
        if fail.pop() if fail else False:
            raise RuntimeError("no memory")
        return np.zeros((len(pixels), 1), np.float32)

    queue = EmbeddingQueue(embed, batch_size=1, limit=2)
    picture = np.zeros((1, 1, 3), np.uint8)
    first = queue.submit(picture)
    while len(queue):
        time.sleep(0.01)
    second = queue.submit(picture)
    queue.submit(picture)
    with pytest.raises(QueueFullError):
        queue.submit(picture)
    going.set()
    with pytest.raises(RuntimeError):
        first.result(5)
    assert second.result(5).shape == (1,)
    queue.close()


def test_several_streams_compute_at_a_time_and_all_end() -> None:
    together, prepared = threading.Barrier(3, timeout=5), []

    def embed(pixels: Any) -> Any:
        together.wait()  # only passes where three batches are computed at a time
        return np.zeros((len(pixels), 1), np.float32)

    queue = EmbeddingQueue(embed, batch_size=1, streams=3, prepare=lambda: prepared.append(threading.get_ident()))
    futures = [queue.submit(np.zeros((1, 1, 3), np.uint8)) for _ in range(6)]
    assert [future.result(5).shape for future in futures] == [(1,)] * 6
    queue.close()
    assert len(set(prepared)) == 3
    assert (queue.pictures, queue.batches) == (6, 6)


@pytest.mark.parametrize(("threads", "streams", "each"), [(1, 1, 1), (2, 2, 1), (4, 4, 1), (6, 3, 2), (16, 4, 4)])
def test_a_cpu_computes_several_batches_at_a_time(extractor: Any, threads: int, streams: int, each: int) -> None:
    assert streams_of(extractor, threads) == (streams, each)
