"""Routes beside the records: labels of hits, the audit log, retention."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import Query

from resight.serving.routes.dependencies import Admins, Name, Searchers, Services, Writers, new_router
from resight.serving.schemas import DeleteOut, LabelQuery, RetentionQuery, Success

router = new_router()


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
    return Success(data=[asdict(mark) for mark in reversed(found[-service.limits.page :])])


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
