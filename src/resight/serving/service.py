"""What the routes share: the galleries, the model behind its queue, who is asking, and deletions that can be undone."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import io
import logging
import math
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import numpy as np
import torch
from fastapi import Request
from torch import nn

from resight.errors import UsageError
from resight.gallery import Gallery, Record
from resight.gallery.intake import identity
from resight.serving.batching import EmbeddingQueue
from resight.serving.failures import RefusedError
from resight.serving.intake import pixels_of
from resight.serving.keys import Key, Keys, Role
from resight.serving.limits import Limits
from resight.serving.middleware import Metrics

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from resight.inference import Extractor

log = logging.getLogger("resight.serving")
P = ParamSpec("P")
T = TypeVar("T")
UNDO_SECONDS = 30.0
UNDO_RECORDS = 1000  # of one deletion that can be undone
UNDO_TOKENS = 64
BATCH, BATCH_CPU = 32, 8  # pictures embedded together; more than 8 make a CPU no faster and everybody wait longer
STREAMS = 4  # batches a CPU computes at a time, at most
THREADS = 16  # calls of galleries at a time; decoding has as many threads as there are processors


@dataclass(frozen=True)
class Caller:
    """Who is asking.  Without keys everybody who reaches the service is `local` and may do everything."""

    name: str
    role: Role


@dataclass(frozen=True)
class _Deleted:
    gallery: str
    by: str
    until: float
    records: tuple[Record, ...]
    vectors: NDArray[np.float32]
    pictures: tuple[bytes | None, ...]


class Service:
    """Galleries by name, all of one model, and that model.

    extractor: embeds (B, 3, H, W) uint8.  keys: who may do what; None lets everybody who reaches the service.
    """

    def __init__(
        self, galleries: Mapping[str, Gallery], extractor: Extractor, keys: Keys | None, limits: Limits,
        batch_size: int | None, threads: int | None,
    ) -> None:  # fmt: skip
        self.galleries, self.extractor, self.keys, self.limits = dict(galleries), extractor, keys, limits
        self.resizing = extractor.model.input_size, extractor.interpolation
        self.fingerprint: str = identity(extractor.model, None, None, None)["fingerprint"]
        self._check_galleries()
        self.metrics = Metrics()
        self._attention = threading.Lock()
        self._torch_threads = torch.get_num_threads()
        threads = threads or self._torch_threads
        streams, each = streams_of(extractor, threads)
        if isinstance(extractor.model, nn.Module):
            extractor.model.eval()  # once, for all streams
        size = batch_size or (BATCH_CPU if extractor.device.type == "cpu" else BATCH)
        self.queue = EmbeddingQueue(self._embed, size, limits.queue, streams, lambda: torch.set_num_threads(each))
        self._decoding = ThreadPoolExecutor(threads, thread_name_prefix="resight-decoding")
        self._calls = ThreadPoolExecutor(THREADS, thread_name_prefix="resight-gallery")
        self._deleted: dict[str, _Deleted] = {}
        self._lock = threading.Lock()

    def _check_galleries(self) -> None:
        """Raises UsageError where there is no gallery, or one holds vectors of another model."""
        if not self.galleries:
            raise UsageError("a service needs a gallery. Make one with: resight index MODEL PICTURES --gallery DIR")
        for name, gallery in self.galleries.items():
            if gallery.fingerprint != self.fingerprint:
                other = gallery.fingerprint or "nobody named"
                raise UsageError(
                    f"the gallery {name} holds vectors of the model {other}; the service's is {self.fingerprint}. "
                    f"Name the gallery's model with --model, or embed the gallery again."
                )

    def close(self) -> None:
        """Finish what was taken."""
        self.queue.close()
        torch.set_num_threads(self._torch_threads)
        self._decoding.shutdown()
        self._calls.shutdown()
        for gallery in self.galleries.values():
            gallery.close()

    # who

    def caller(self, request: Request, role: Role) -> Caller:
        """The caller, if a role as high is theirs.  Raises RefusedError with 401 or 403."""
        key = self._key(request.headers.get("authorization", ""))
        found = Caller("local", "admin") if self.keys is None else None
        if key is not None:
            if not key.may(role):
                raise RefusedError(403, f"the key {key.name!r} has the role {key.role}; this needs {role}.")
            found = Caller(key.name, key.role)
        if found is None:
            raise RefusedError(401, "a key is needed: none was given, or it is unknown or has expired.")
        request.state.caller = found.name
        return found

    def key_id(self, authorization: str) -> str | None:
        """Of the key in this header; None where there is none, it is not valid, or cannot be looked up."""
        with contextlib.suppress(RefusedError):
            key = self._key(authorization)
            return None if key is None else key.id
        return None

    def _key(self, authorization: str) -> Key | None:
        kind, _, given = authorization.partition(" ")
        if self.keys is None or kind.lower() != "bearer":
            return None
        try:
            return self.keys.find(given.strip())
        except UsageError as error:
            log.error("%s", error)
            raise RefusedError(503, "the file of keys cannot be read; the service's log says why.", retry=10) from error

    # where

    def gallery(self, name: str | None, caller: Caller) -> Gallery:
        """The gallery of that name, acting for the caller.  Raises RefusedError where there is none."""
        if name is None and len(self.galleries) == 1:
            name = next(iter(self.galleries))
        if name is None:
            raise RefusedError(422, f"gallery: name one of {', '.join(self.galleries)}.")
        if name not in self.galleries:
            raise RefusedError(404, "there is no gallery of that name.", hint="See /v1/galleries.")
        acting = copy.copy(self.galleries[name])
        acting.actor, acting.settings = caller.name, {**acting.settings, "audit": True}
        return acting

    def known(self, gallery: Gallery, id: str) -> Record:
        """The record.  Raises RefusedError where the gallery has none of that id."""
        record = gallery.get(id)
        if record is None:
            raise RefusedError(404, "the gallery has no record of that id.", hint="It may have been deleted.")
        return record

    # work

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """A call of a gallery, off the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._calls, lambda: function(*args, **kwargs))

    async def embed(self, files: Sequence[bytes]) -> NDArray[np.float32]:
        """Picture files -> vectors (N, D).  Raises ImageError for the first that is none, QueueFullError."""
        loop = asyncio.get_running_loop()
        decoding = [
            loop.run_in_executor(self._decoding, pixels_of, data, *self.resizing, self.limits, number)
            for number, data in enumerate(files)
        ]
        pixels = await asyncio.gather(*decoding)
        futures = [self.queue.submit(picture) for picture in pixels]
        vectors = await asyncio.gather(*map(asyncio.wrap_future, futures))
        self.metrics.pictures.inc(len(files))
        if not vectors:
            return np.zeros((0, self.extractor.model.embedding_dim), np.float32)
        return np.stack(vectors)

    def _embed(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self.extractor.finish(self.extractor.tensors(torch.from_numpy(pixels).permute(0, 3, 1, 2)))

    def attention(self, picture: bytes) -> bytes:
        """Where the model looks in a picture, drawn over it: JPEG.  Raises RefusedError where a model cannot tell."""
        from resight.explain.explain import attention_overlay
        from resight.models import ReIDModel

        if not isinstance(self._explained, ReIDModel):
            raise RefusedError(501, "an exported model does not say where it looks.", hint="Serve the model itself.")
        with self._attention:
            image = attention_overlay(self._explained, picture)
        out = io.BytesIO()
        image.save(out, "JPEG", quality=88)
        return out.getvalue()

    @cached_property
    def _explained(self) -> object:
        """The model for attention pictures, which hook into it: modules of its own, the same tensors."""
        model = self.extractor.model
        if not isinstance(model, nn.Module):
            return model
        shared = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
        return copy.deepcopy(model, shared)

    # deleting

    def delete(self, name: str, gallery: Gallery, records: Sequence[Record], by: str) -> str | None:
        """Delete records for good; a token that brings them back for a while, unless they are too many.

        They are gone from the gallery at once, whatever happens to the service; only its memory can give them back.
        """
        ids = [record.id for record in records]
        kept = None
        if 0 < len(records) <= UNDO_RECORDS:
            until, shown = time.monotonic() + UNDO_SECONDS, gallery.pictures(ids)
            pictures = tuple(shown.get(id) for id in ids)
            kept = _Deleted(name, by, until, tuple(records), gallery.vectors(ids), pictures)
        gallery.delete(ids)
        if kept is None:
            return None
        token = secrets.token_urlsafe(16)
        with self._lock:
            self._forget()
            self._deleted[token] = kept
            while len(self._deleted) > UNDO_TOKENS:
                self._deleted.pop(next(iter(self._deleted)))
        return token

    def undo(self, token: str, caller: Caller) -> list[str]:
        """Bring back what a token stands for.  Raises RefusedError where its time is over."""
        with self._lock:
            self._forget()
            found = self._deleted.get(token)
            if found is None or found.by != caller.name:
                raise RefusedError(404, "nothing can be undone: the time for it is over.")
            del self._deleted[token]
        gallery = self.gallery(found.gallery, caller)
        gallery.backend.upsert(found.records, found.vectors, found.pictures)
        gallery.note("undo", records=len(found.records))
        return [record.id for record in found.records]

    def _forget(self) -> None:
        now = time.monotonic()
        self._deleted = {token: kept for token, kept in self._deleted.items() if kept.until > now}

    def sweep(self) -> None:
        """Drop from memory what can no longer be undone; called now and then."""
        with self._lock:
            self._forget()


def streams_of(extractor: Extractor, threads: int) -> tuple[int, int]:
    """How many batches are computed at a time, and by how many threads each.

    On a CPU several batches on few threads each outrun one batch on all: where one thread waits, for its turn or for
    the rest of a layer, the others go on.  Exported models have threads of their own, and a GPU one queue.
    """
    if extractor.device.type != "cpu" or not isinstance(extractor.model, nn.Module):
        return 1, threads
    each = math.ceil(threads / STREAMS)
    return threads // each, each
