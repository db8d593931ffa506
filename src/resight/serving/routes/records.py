"""Routes of records: add, read, change, delete, undo."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from fastapi import Query, Request
from fastapi.responses import Response

from resight.gallery import Filter, Gallery, Record
from resight.gallery.records import PLURAL
from resight.serving.failures import RefusedError
from resight.serving.intake import body_schema, read_body
from resight.serving.routes.dependencies import EXAMPLE_PICTURE, Admins, Name, Searchers, Services, Writers, new_router
from resight.serving.schemas import (
    AddOut,
    AddQuery,
    ChangeQuery,
    DeleteOut,
    DeleteQuery,
    ListOut,
    ListQuery,
    Success,
    UndoQuery,
)
from resight.serving.service import UNDO_SECONDS, Caller, Service

router = new_router()


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
    found = await service.call(lambda: gallery.list(limit=limit, after_id=query.after_id, where=query.where()))
    after = found[-1].id if len(found) == limit else None
    return Success(data=ListOut(records=found, after=after))


@router.get("/records/{id:path}/picture", response_class=Response, responses={200: {"content": {"image/jpeg": {}}}})
async def picture(id: str, service: Services, caller: Searchers, gallery: Name = None) -> Response:
    """The picture that is kept of a record, as JPEG."""
    return Response(await _picture(service, caller, gallery, id), media_type="image/jpeg")


@router.get("/records/{id:path}/attention", response_class=Response, responses={200: {"content": {"image/jpeg": {}}}})
async def attention(id: str, service: Services, caller: Searchers, gallery: Name = None) -> Response:
    """Where the model looks in a record's picture, as JPEG."""
    data = await _picture(service, caller, gallery, id)
    return Response(await service.call(service.attention, data), media_type="image/jpeg")


@router.get("/records/{id:path}")  # after the two above, which it would take for ids
async def record(id: str, service: Services, caller: Searchers, gallery: Name = None) -> Success[Record]:
    """One record."""
    return Success(data=await service.call(service.known, service.gallery(gallery, caller), id))


@router.patch("/records/{id:path}")
async def change(id: str, query: ChangeQuery, service: Services, caller: Writers) -> Success[Record]:
    """Name the person of a record, or change what is known of it."""
    gallery = service.gallery(query.gallery, caller)
    await service.call(service.known, gallery, id)
    changes = query.model_dump(exclude_unset=True, exclude={"gallery"})
    await service.call(lambda: gallery.update(id, **changes))
    return Success(data=await service.call(service.known, gallery, id))


@router.delete("/records/{id:path}")
async def delete_one(id: str, service: Services, caller: Admins, gallery: Name = None) -> Success[DeleteOut]:
    """Delete a record, its vector and its picture."""
    return await _delete(service, caller, gallery, Filter(ids=(id,)))


@router.post("/records/delete")
async def delete_many(query: DeleteQuery, service: Services, caller: Admins) -> Success[DeleteOut]:
    """Delete the records that meet all that is given, ids and conditions."""
    where = replace(query.where(), ids=None if query.ids is None else tuple(query.ids))
    return await _delete(service, caller, query.gallery, where)


@router.post("/records/undo")
async def undo(query: UndoQuery, service: Services, caller: Admins) -> Success[AddOut]:
    """Bring back what was deleted a moment ago."""
    return Success(data=AddOut(ids=await service.call(service.undo, query.token, caller)))


async def _picture(service: Service, caller: Caller, gallery: str | None, id: str) -> bytes:
    data = await service.call(service.gallery(gallery, caller).picture, id)
    if data is None:
        raise RefusedError(404, "no picture is kept of that record.", hint="It may have been deleted.")
    return data


def _add(gallery: Gallery, query: AddQuery, vectors: Any, files: list[bytes]) -> list[str]:
    given = [entry.model_dump() for entry in query.records] or [{}] * len(files)
    columns: dict[str, Any] = {plural: [entry.get(name) for entry in given] for name, plural in PLURAL.items()}
    return gallery.add(vectors, images=files, **columns)


async def _delete(service: Service, caller: Caller, name: str | None, where: Filter) -> Success[DeleteOut]:
    gallery = service.gallery(name, caller)
    if not where:
        raise RefusedError(422, "ids: nothing to delete was named.", hint="Give ids or conditions.")
    found = await service.call(_everything, gallery, where)
    if where.ids is not None and not found:
        raise RefusedError(404, "the gallery has no record of that id.", hint="It may have been deleted already.")
    token = await service.call(service.delete, name or next(iter(service.galleries)), gallery, found, caller.name)
    return Success(data=DeleteOut(deleted=len(found), undo=token, undo_seconds=UNDO_SECONDS if token else 0.0))


def _everything(gallery: Gallery, where: Filter) -> list[Record]:
    """All records that meet the conditions."""
    found: list[Record] = []
    while page := gallery.list(limit=10_000, after_id=found[-1].id if found else "", where=where):
        found += page
    return found
