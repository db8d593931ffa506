"""Routes that look: health, embed, search, galleries, stats."""

from __future__ import annotations

import hashlib
import time
from dataclasses import asdict
from typing import Any

import numpy as np
from fastapi import Request

from resight._version import __version__
from resight.gallery import Gallery, Hit, ranking
from resight.serving.failures import RefusedError
from resight.serving.intake import body_schema, read_body
from resight.serving.routes.dependencies import EXAMPLE_PICTURE, Admins, Name, Searchers, Services, new_router
from resight.serving.schemas import (
    Count,
    EmbedOut,
    EmbedQuery,
    GalleryOut,
    Health,
    Me,
    PersonOut,
    SearchOut,
    SearchQuery,
    Success,
)

router = new_router()


@router.get("/health")
async def health(service: Services) -> Success[Health]:
    """Whether the service answers.  Needs no key."""
    return Success(data=Health(version=__version__, keys=service.keys is not None))


@router.get("/me")
async def me(service: Services, caller: Searchers) -> Success[Me]:
    """Who the service takes the caller for, and how much a request may hold."""
    limits = {name: float(value) for name, value in asdict(service.limits).items()}
    return Success(data=Me(name=caller.name, role=caller.role, limits=limits))


@router.post("/embed", openapi_extra=body_schema(EmbedQuery, {"pictures": [EXAMPLE_PICTURE]}))
async def embed(request: Request, service: Services, _: Searchers) -> Success[EmbedOut]:
    """Pictures to vectors of the service's model, of unit length where its metric is cosine."""
    _query, files = await read_body(request, EmbedQuery, service.limits)
    if not files:
        raise RefusedError(422, "pictures: there is none.", hint="Send one or more picture files.")
    vectors = await service.embed(files)
    model = service.extractor.model
    return Success(data=EmbedOut(vectors=vectors.tolist(), fingerprint=service.fingerprint, metric=model.metric))


@router.post(
    "/search", openapi_extra=body_schema(SearchQuery, {"pictures": [EXAMPLE_PICTURE], "k": 10, "cameras": ["gate"]})
)
async def search(request: Request, service: Services, caller: Searchers) -> Success[SearchOut]:
    """The records, or persons, most like some pictures or records."""
    began = time.perf_counter()
    query, files = await read_body(request, SearchQuery, service.limits)
    gallery = service.gallery(query.gallery, caller)
    if not files and not query.records:
        raise RefusedError(422, "pictures: there is none, nor a record to search from.", hint="Send a picture.")
    if query.k > service.limits.k:
        raise RefusedError(422, f"k: {query.k} hits; at most {service.limits.k} are given.")
    vectors = await service.embed(files)
    found = await service.call(_search, gallery, query, vectors)
    told = {"seconds": time.perf_counter() - began, "queries": _named(query, files)}
    return Success(data=found.model_copy(update=told))


@router.get("/galleries")
async def galleries(service: Services, caller: Searchers) -> Success[list[GalleryOut]]:
    """What there is to search in."""
    described = [
        await service.call(_describe, name, service.gallery(name, caller)) for name in sorted(service.galleries)
    ]
    return Success(data=described)


@router.get("/stats")
async def stats(service: Services, caller: Admins, gallery: Name = None) -> Success[dict[str, Any]]:
    """Counts and sizes of a gallery, and what waits for the model."""
    found = await service.call(service.gallery(gallery, caller).stats)
    queue = service.queue
    return Success(
        data=found | {"waiting": len(queue), "pictures_embedded": queue.pictures, "batches_embedded": queue.batches}
    )


def _named(query: SearchQuery, files: list[bytes]) -> list[str]:
    """What each list of an answer was asked by, so that a label tells it: digests of pictures, ids of records."""
    names = [hashlib.sha256(data).hexdigest()[:32] for data in files] + query.records
    if query.fuse is None or len(names) == 1:
        return names
    return [hashlib.sha256("\0".join(names).encode()).hexdigest()[:32]]


def _search(gallery: Gallery, query: SearchQuery, vectors: Any) -> SearchOut:
    known = gallery.backend.fetch(query.records)
    if missing := [id for id in query.records if id not in known]:
        raise RefusedError(404, f"records: the gallery has no record {missing[0]!r}.", hint="It may have been deleted.")
    queries = np.concatenate([vectors, gallery.vectors(query.records)])
    options: dict[str, Any] = {
        "exact": query.exact, "min_similarity": query.min_similarity, "fuse": query.fuse, "rerank": query.rerank,
        "same_camera": query.same_camera, "where": query.where(),
    }  # fmt: skip
    if query.same_camera != "keep":
        options["query_cameras"] = [query.camera] * len(vectors) + [known[id].camera for id in query.records]
        options["query_pids"] = [None] * len(vectors) + [known[id].pid for id in query.records]

    def others(k: int) -> list[list[Hit]]:
        """k hits for each query, none of them a record that is searched from."""
        found = gallery.search(queries, k + len(known), **options)
        return [[hit for hit in hits if hit.id not in known][:k] for hits in found]

    if not query.group:
        return SearchOut(hits=others(query.k), seconds=0.0)
    persons = [
        [PersonOut(pid=person.pid, similarity=person.similarity, hits=list(person.hits)) for person in found]
        for found in ranking.people(others, query.k)
    ]
    return SearchOut(persons=persons, seconds=0.0)


def _describe(name: str, gallery: Gallery) -> GalleryOut:
    cameras = [Count(value=value, records=count) for value, count in gallery.facets("camera")]
    return GalleryOut(
        name=name, records=gallery.count(), dim=gallery.dim, metric=gallery.metric, fingerprint=gallery.fingerprint,
        calibrated=gallery.calibration is not None, audit=bool(gallery.settings["audit"]), cameras=cameras,
    )  # fmt: skip
