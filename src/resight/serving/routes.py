"""The routes under /v1."""

from __future__ import annotations

import hashlib
import time
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response

from resight._version import __version__
from resight.gallery import Gallery, Hit, Person, Record
from resight.serving.failures import RefusedError
from resight.serving.intake import body_schema, read_body
from resight.serving.keys import Role
from resight.serving.schemas import (
    AddOut,
    AddQuery,
    ChangeQuery,
    Conditions,
    Count,
    DeleteOut,
    DeleteQuery,
    EmbedOut,
    EmbedQuery,
    Failure,
    GalleryOut,
    Health,
    HitOut,
    LabelQuery,
    ListOut,
    ListQuery,
    Me,
    PersonOut,
    RecordOut,
    RetentionQuery,
    SearchOut,
    SearchQuery,
    Success,
    Text,
    UndoQuery,
)
from resight.serving.service import UNDO_SECONDS, Caller, Service

STATUSES = (400, 401, 403, 404, 408, 409, 413, 415, 421, 422, 429, 500, 503)
router = APIRouter(prefix="/v1", responses={status: {"model": Failure} for status in STATUSES})
EXAMPLE_PICTURE = "iVBORw0KGgo..."


async def service_of(request: Request) -> Service:  # a coroutine: FastAPI gives other functions a thread
    found: Service = request.app.state.service
    return found


Services = Annotated[Service, Depends(service_of)]


def asked_by(role: Role) -> Any:
    """A dependency: the caller, who may do what the role may."""

    async def caller(request: Request, service: Services) -> Caller:
        return service.caller(request, role)

    return Depends(caller)


Searchers = Annotated[Caller, asked_by("search")]
Writers = Annotated[Caller, asked_by("write")]
Admins = Annotated[Caller, asked_by("admin")]
Name = Annotated[Text | None, Query(description="Needed where the service has several galleries.")]


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


@router.post("/records", openapi_extra=body_schema(
    AddQuery, {"pictures": [EXAMPLE_PICTURE], "records": [{"camera": "gate", "time": "2026-03-01T14:05:00"}]}
))  # fmt: skip
async def add(request: Request, service: Services, caller: Writers) -> Success[AddOut]:
    """Add pictures.  When the answer is there, they survive a crash; the same picture again updates its record."""
    query, files = await read_body(request, AddQuery, service.limits)
    gallery = service.gallery(query.gallery, caller)
    if not files:
        raise RefusedError(422, "pictures: there is none.", hint="Send one or more picture files.")
    if query.records and len(query.records) != len(files):
        raise RefusedError(
            422, f"records: {len(query.records)} for {len(files)} pictures; give one a picture, or none."
        )
    vectors = await service.embed(files)
    return Success(data=AddOut(ids=await service.call(_add, gallery, query, vectors, files)))


@router.get("/records")
async def records(service: Services, caller: Searchers, query: Annotated[ListQuery, Query()]) -> Success[ListOut]:
    """Records by id, a page at a time."""
    limit, gallery = min(query.limit, service.limits.page), service.gallery(query.gallery, caller)
    found = await service.call(lambda: gallery.list(limit=limit, after_id=query.after_id, **query.given()))
    after = found[-1].id if len(found) == limit else None
    return Success(data=ListOut(records=[RecordOut(**asdict(record)) for record in found], after=after))


@router.get("/records/{id}")
async def record(id: str, service: Services, caller: Searchers, gallery: Name = None) -> Success[RecordOut]:
    """One record."""
    found = await service.call(service.known, service.gallery(gallery, caller), id)
    return Success(data=RecordOut(**asdict(found)))


@router.get("/records/{id}/picture", response_class=Response, responses={200: {"content": {"image/jpeg": {}}}})
async def picture(id: str, service: Services, caller: Searchers, gallery: Name = None) -> Response:
    """The picture that is kept of a record, as JPEG."""
    data = await service.call(service.gallery(gallery, caller).picture, id)
    if data is None:
        raise RefusedError(404, "no picture is kept of that record.", hint="It may have been deleted.")
    return Response(data, media_type="image/jpeg")


@router.get("/records/{id}/attention", response_class=Response, responses={200: {"content": {"image/jpeg": {}}}})
async def attention(id: str, service: Services, caller: Searchers, gallery: Name = None) -> Response:
    """Where the model looks in a record's picture, as JPEG."""
    data = await service.call(service.gallery(gallery, caller).picture, id)
    if data is None:
        raise RefusedError(404, "no picture is kept of that record.", hint="It may have been deleted.")
    return Response(await service.call(service.attention, data), media_type="image/jpeg")


@router.patch("/records/{id}")
async def change(id: str, query: ChangeQuery, service: Services, caller: Writers) -> Success[RecordOut]:
    """Name the person of a record, or change what is known of it."""
    gallery = service.gallery(query.gallery, caller)
    await service.call(service.known, gallery, id)
    changes = query.model_dump(exclude_unset=True, exclude={"gallery"})
    await service.call(lambda: gallery.update(id, **changes))
    return Success(data=RecordOut(**asdict(await service.call(service.known, gallery, id))))


@router.delete("/records/{id}")
async def delete_one(id: str, service: Services, caller: Admins, gallery: Name = None) -> Success[DeleteOut]:
    """Delete a record, its vector and its picture."""
    return await _delete(service, caller, DeleteQuery(gallery=gallery, ids=[id]))


@router.post("/records/delete")
async def delete_many(query: DeleteQuery, service: Services, caller: Admins) -> Success[DeleteOut]:
    """Delete records by ids or by conditions."""
    return await _delete(service, caller, query)


@router.post("/records/undo")
async def undo(query: UndoQuery, service: Services, caller: Admins) -> Success[AddOut]:
    """Bring back what was deleted a moment ago."""
    return Success(data=AddOut(ids=await service.call(service.undo, query.token, caller)))


@router.post("/labels")
async def label(query: LabelQuery, service: Services, caller: Writers) -> Success[LabelQuery]:
    """Keep whether a hit was right."""
    gallery = service.gallery(query.gallery, caller)
    await service.call(service.known, gallery, query.id)
    await service.call(lambda: gallery.mark(query.id, query.same, query=query.query or "", similarity=query.similarity))
    return Success(data=query)


@router.get("/labels")
async def labels(service: Services, caller: Searchers, gallery: Name = None) -> Success[list[dict[str, Any]]]:
    """Which hits were right, newest first."""
    found = await service.call(service.gallery(gallery, caller).marks)
    return Success(data=[asdict(mark) for mark in found][-service.limits.page :][::-1])


@router.get("/audit")
async def audit(
    service: Services, caller: Admins, gallery: Name = None, limit: Annotated[int, Query(ge=1)] = 100
) -> Success[list[dict[str, Any]]]:
    """Who searched, added and deleted, newest first."""
    found = await service.call(service.gallery(gallery, caller).log, min(limit, service.limits.page))
    return Success(data=[asdict(entry) for entry in found])


@router.post("/retention")
async def retention(query: RetentionQuery, service: Services, caller: Admins) -> Success[DeleteOut]:
    """Delete what is older than so many days, now."""
    gallery = service.gallery(query.gallery, caller)
    return Success(data=DeleteOut(deleted=await service.call(gallery.expire, query.keep_days)))


def _named(query: SearchQuery, files: list[bytes]) -> list[str]:
    """What each list of an answer was asked by, so that a label tells it: digests of pictures, ids of records."""
    names = [hashlib.sha256(data).hexdigest()[:32] for data in files] + query.records
    if query.fuse is None or len(names) == 1:
        return names
    return [hashlib.sha256("\0".join(names).encode()).hexdigest()[:32]]


def _search(gallery: Gallery, query: SearchQuery, vectors: Any) -> SearchOut:
    import numpy as np

    rows = [vectors] if len(vectors) else []
    if query.records:
        for id in query.records:
            if gallery.get(id) is None:
                raise RefusedError(404, f"records: the gallery has no record {id!r}.", hint="It may have been deleted.")
        rows.append(gallery.vectors(query.records))
    known = [gallery.get(id) for id in query.records]
    options: dict[str, Any] = {
        "exact": query.exact, "min_similarity": query.min_similarity, "fuse": query.fuse, "rerank": query.rerank,
        "same_camera": query.same_camera, "fingerprint": None, **query.given(),
    }  # fmt: skip
    if query.same_camera != "keep":
        options["query_cameras"] = [query.camera] * len(vectors) + [r.camera if r else None for r in known]
        options["query_pids"] = [None] * len(vectors) + [r.pid if r else None for r in known]
    everything, own = np.concatenate(rows), set(query.records)
    if query.group:
        persons = gallery.search_people(everything, query.k, **options)
        return SearchOut(persons=[[_person(person) for person in one] for one in persons], seconds=0.0)
    found = gallery.search(everything, query.k + len(own), **options)
    return SearchOut(hits=[[_hit(hit) for hit in one if hit.id not in own][: query.k] for one in found], seconds=0.0)


def _hit(hit: Hit) -> HitOut:
    return HitOut(**asdict(hit))


def _person(person: Person) -> PersonOut:
    return PersonOut(pid=person.pid, similarity=person.similarity, hits=[_hit(hit) for hit in person.hits])


def _add(gallery: Gallery, query: AddQuery, vectors: Any, files: list[bytes]) -> list[str]:
    given = [entry.model_dump() for entry in query.records] or [{}] * len(files)
    columns: dict[str, Any] = {
        plural: [entry.get(single) for entry in given]
        for single, plural in (("id", "ids"), ("pid", "pids"), ("camera", "cameras"), ("time", "times"),
                               ("source", "sources"), ("label", "labels"), ("note", "notes"))
    }  # fmt: skip
    return gallery.add(vectors, images=files, **columns)


def _describe(name: str, gallery: Gallery) -> GalleryOut:
    cameras = [Count(value=value, records=count) for value, count in gallery.facets("camera")]
    return GalleryOut(
        name=name, records=gallery.count(), dim=gallery.dim, metric=gallery.metric, fingerprint=gallery.fingerprint,
        calibrated=gallery.calibration is not None, audit=bool(gallery.settings["audit"]), cameras=cameras,
    )  # fmt: skip


async def _delete(service: Service, caller: Caller, query: DeleteQuery) -> Success[DeleteOut]:
    gallery = service.gallery(query.gallery, caller)
    name = query.gallery or next(iter(service.galleries))

    def chosen() -> list[Record]:
        if query.ids is not None:
            return [record for id in query.ids if (record := gallery.get(id)) is not None]
        if not query.given():
            raise RefusedError(422, "ids: nothing to delete was named.", hint="Give ids or conditions.")
        return everything(gallery, query)

    found = await service.call(chosen)
    if query.ids is not None and not found:
        raise RefusedError(404, "the gallery has no record of that id.", hint="It may have been deleted already.")
    token = await service.call(service.delete, name, gallery, found, caller.name)
    return Success(data=DeleteOut(deleted=len(found), undo=token, undo_seconds=UNDO_SECONDS if token else 0.0))


def everything(gallery: Gallery, where: Conditions) -> list[Record]:
    """All records that meet the conditions."""
    found: list[Record] = []
    while page := gallery.list(limit=10_000, after_id=found[-1].id if found else "", **where.given()):
        found += page
    return found
