"""The application: galleries and a model in, an ASGI app out."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping
from importlib import resources
from typing import TYPE_CHECKING

from fastapi import FastAPI
from fastapi.responses import HTMLResponse, Response
from prometheus_client import generate_latest
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from resight._version import __version__
from resight.serving import failures, routes
from resight.serving.limits import Limits
from resight.serving.middleware import LOOPBACK, Guard
from resight.serving.routes.dependencies import Admins
from resight.serving.schemas import AddQuery, EmbedQuery, SearchQuery
from resight.serving.service import Service

if TYPE_CHECKING:
    from resight.gallery import Gallery
    from resight.inference import Extractor
    from resight.serving.keys import Keys

ABOUT = """Find people in galleries.

A success is `{"ok": true, "data": ...}`, an error `{"ok": false, "error": {"code", "message", "hint"}}`. Pictures are
sent as files of a form, or as base64 in JSON. With keys: `Authorization: Bearer resight_...`."""
SWEEP_SECONDS = 5.0


def create_app(
    galleries: Mapping[str, Gallery],
    extractor: Extractor,
    *,
    keys: Keys | None = None,
    limits: Limits | None = None,
    hosts: Iterable[str] = (),
    batch_size: int | None = None,
    threads: int | None = None,
) -> Guard:
    """The service as an ASGI application.

    Args:
        galleries: name -> gallery; all hold vectors of the extractor's model.
        extractor: embeds query pictures.
        keys: who may do what.  None lets everybody who reaches the service do everything.
        limits: of requests.
        hosts: names and addresses it may be reached by, besides this machine's own.
        batch_size: pictures embedded together; if not given, 8 on a CPU and 32 elsewhere.
        threads: that decode pictures, and that a model on the CPU computes with; as many as torch has if not given.

    Raises:
        UsageError: there is no gallery, or one holds vectors of another model.
    """
    limits = limits or Limits()
    service = Service(galleries, extractor, keys, limits, batch_size, threads)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        sweeping = asyncio.create_task(_sweep(service))
        yield
        sweeping.cancel()
        service.close()

    app = FastAPI(
        title="resight", version=__version__, description=ABOUT, lifespan=lifespan, docs_url=None, redoc_url=None,
        openapi_url="/v1/openapi.json", separate_input_output_schemas=False,
        telemetry={"auto_configure": False, "tracing": False, "metrics": False, "logs": False},  # none is ever sent
    )  # fmt: skip
    app.state.service = service
    failures.install(app)
    for router in routes.ROUTERS:
        app.include_router(router)
    page = resources.files("resight.serving") / "page"
    index = (page / "index.html").read_text(encoding="utf-8")

    @app.get("/", include_in_schema=False)
    async def home() -> HTMLResponse:
        return HTMLResponse(index)

    @app.get("/metrics", include_in_schema=False)
    async def metrics(_: Admins) -> Response:
        service.metrics.waiting.set(len(service.queue))
        return Response(generate_latest(service.metrics.registry), media_type="text/plain; version=0.0.4")

    schemas = app.openapi()["components"]["schemas"]  # made once; FastAPI does not see the bodies `read_body` reads
    for kind in (AddQuery, EmbedQuery, SearchQuery):
        found = kind.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= found.pop("$defs", {}) | {kind.__name__: found}
    app.router.routes.append(Mount("/static", StaticFiles(packages=[("resight.serving", "page")]), name="static"))
    allowed = LOOPBACK | {host.lower() for host in hosts}
    return Guard(app, limits, frozenset(allowed), service.metrics, service.key_id)


async def _sweep(service: Service) -> None:
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        service.sweep()
