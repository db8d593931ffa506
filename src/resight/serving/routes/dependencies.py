"""What every route is given: the service, and the caller with a role."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request

from resight.serving.keys import Role
from resight.serving.schemas import Failure, Text
from resight.serving.service import Caller, Service

STATUSES = (400, 401, 403, 404, 408, 409, 413, 415, 421, 422, 429, 500, 503)
EXAMPLE_PICTURE = "iVBORw0KGgo..."


def new_router() -> APIRouter:
    """A router under /v1, whose routes may fail as `failures` says."""
    return APIRouter(prefix="/v1", responses={status: {"model": Failure} for status in STATUSES})


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
