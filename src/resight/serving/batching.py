"""One queue before the model: pictures of all requests are embedded in common batches."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING

import numpy as np

from resight.errors import ResightError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]
    Vectors = NDArray[np.float32]
    Embed = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


class QueueFullError(ResightError):
    """More pictures are waiting for the model than the service takes."""

    code = "busy"


class EmbeddingQueue:
    """Embeds pictures in threads of its own; a batch is what has arrived while the last ones were computed.

    embed: (B, H, W, 3) uint8 -> (B, D) float32.  limit: pictures that may wait.  streams: batches computed at a time,
    each by a thread that calls `prepare` first.
    """

    def __init__(
        self, embed: Embed, batch_size: int = 32, limit: int = 512, streams: int = 1,
        prepare: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self._embed, self._batch_size, self._prepare = embed, batch_size, prepare
        self._waiting: queue.Queue[tuple[Pixels, Future[Vectors]] | None] = queue.Queue(limit)
        self._ended, self._counting = False, threading.Lock()
        self.pictures = self.batches = 0
        self._threads = [
            threading.Thread(target=self._work, name=f"resight-embedding-{number}", daemon=True)
            for number in range(streams)
        ]
        for thread in self._threads:
            thread.start()

    def __len__(self) -> int:
        """Pictures waiting now."""
        return self._waiting.qsize()

    def submit(self, pixels: Pixels) -> Future[Vectors]:
        """One picture (H, W, 3) at the model's size -> its vector (D,), later.  Raises QueueFullError."""
        future: Future[Vectors] = Future()
        if self._ended:
            raise QueueFullError("the service is stopping and takes no more pictures. Ask again in a minute.")
        try:
            self._waiting.put_nowait((pixels, future))
        except queue.Full:
            raise QueueFullError(
                f"{self._waiting.maxsize} pictures are waiting for the model already. Ask again in a second."
            ) from None
        return future

    def close(self) -> None:
        """Embed what is waiting, then end."""
        self._ended = True
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            thread.join()
        while not self._waiting.empty():  # what was put in while the end was
            if (item := self._waiting.get()) is not None:
                item[1].set_exception(QueueFullError("the service has stopped. Ask again in a minute."))

    def _work(self) -> None:
        self._prepare()
        while (batch := self._next()) is not None:
            wanted = [(pixels, future) for pixels, future in batch if future.set_running_or_notify_cancel()]
            if not wanted:
                continue
            try:
                vectors = self._embed(np.stack([pixels for pixels, _ in wanted]))
            except BaseException as error:
                for _, future in wanted:
                    future.set_exception(error)
                continue
            with self._counting:
                self.batches += 1
                self.pictures += len(wanted)
            for (_, future), vector in zip(wanted, vectors, strict=True):
                future.set_result(vector)

    def _next(self) -> list[tuple[Pixels, Future[Vectors]]] | None:
        """At least one picture, and whatever else is there; None at the end."""
        first = self._waiting.get()
        if first is None:
            return None
        batch = [first]
        while len(batch) < self._batch_size:
            try:
                item = self._waiting.get_nowait()
            except queue.Empty:
                break
            if item is None:
                self._waiting.put(None)  # this stream ends after this batch
                break
            batch.append(item)
        return batch
