"""Every error as one shape: {"ok": false, "error": {"code", "message", "hint"}}."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from resight.errors import (
    GalleryBusyError,
    GalleryError,
    GalleryNotFoundError,
    ImageError,
    MissingExtraError,
    ResightError,
    UsageError,
    printable,
)
from resight.serving.batching import QueueFullError
from resight.serving.schemas import Failure, Problem

log = logging.getLogger("resight.serving")

STATUS: tuple[tuple[type[ResightError], int], ...] = (  # the first that fits
    (QueueFullError, 503),
    (GalleryBusyError, 503),
    (ImageError, 422),
    (MissingExtraError, 501),
    (GalleryNotFoundError, 404),
    (UsageError, 400),
    (GalleryError, 409),
    (ResightError, 500),
)
CODES = {400: "bad_request", 401: "unauthorized", 403: "forbidden", 404: "not_found", 405: "method_not_allowed",
         408: "timeout", 411: "length_required", 413: "too_large", 415: "unsupported_media_type", 421: "wrong_host",
         422: "invalid", 429: "too_many_requests", 503: "busy"}  # fmt: skip
HINTS = {
    "bad_request": "See /v1/openapi.json for what may be asked.",
    "unauthorized": "Send a key: Authorization: Bearer resight_... (made with: resight keys create NAME).",
    "forbidden": "Use a key with a higher role.",
    "not_found": "See /v1/openapi.json for what there is.",
    "method_not_allowed": "See /v1/openapi.json for what may be asked.",
    "timeout": "Send the request again, in one go.",
    "too_large": "Send fewer or smaller pictures.",
    "unsupported_media_type": "Send application/json, or multipart/form-data with pictures.",
    "wrong_host": "Use an address that the service was started with (--allow-host).",
    "invalid": "See /v1/openapi.json for what may be asked.",
    "too_many_requests": "Wait as long as Retry-After says.",
    "busy": "Ask again after the seconds in Retry-After.",
    "gallery_busy": "Ask again after the seconds in Retry-After.",
    "image": "Send a whole JPEG, PNG, WebP, AVIF, BMP, TIFF or GIF file of a reasonable size.",
    "usage": "See /v1/openapi.json for what may be asked.",
}


class RefusedError(Exception):
    """A request that is answered with an error of HTTP."""

    def __init__(self, status: int, message: str, hint: str = "", retry: float | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.hint, self.retry = status, message, hint, retry


def failure(
    status: int, message: str, *, code: str = "", hint: str = "", retry: float | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:  # fmt: skip
    """The answer to a request that failed.  retry: seconds after which it may be sent again."""
    code = code or CODES.get(status, "error")
    problem = Problem(code=code, message=printable(message), hint=hint or HINTS.get(code, ""))
    sent = dict(headers or {}) | ({} if retry is None else {"Retry-After": str(max(1, math.ceil(retry)))})
    if status == 401:
        sent["WWW-Authenticate"] = "Bearer"
    return JSONResponse(Failure(error=problem).model_dump(), status, sent)


def install(app: FastAPI) -> None:
    """Answer every exception in the one shape."""

    @app.exception_handler(RefusedError)
    async def refused(_: Request, error: RefusedError) -> JSONResponse:
        return failure(error.status, error.message, hint=error.hint, retry=error.retry)

    @app.exception_handler(ResightError)
    async def ours(_: Request, error: ResightError) -> JSONResponse:
        status = next(status for kind, status in STATUS if isinstance(error, kind))
        if status == 500:
            log.error("internal error: %s", error, exc_info=error)
        return failure(status, str(error), code=error.code, retry=1.0 if status == 503 else None)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        return failure(422, spelled(error.errors()[0]))

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        message = f"{request.method} {request.url.path}: {str(error.detail).lower()}."
        return failure(error.status_code, message, headers=error.headers)

    @app.exception_handler(Exception)
    async def unexpected(_: Request, error: Exception) -> JSONResponse:
        log.error("internal error", exc_info=error)
        return failure(500, "the service failed to answer this request; its log says why.")


def spelled(error: Mapping[str, object]) -> str:
    """`records.0.time: Input should be a valid number`, without what was given, which may be a picture."""
    location = error.get("loc")
    steps = location if isinstance(location, tuple) else ()
    parts = [str(step) for step in steps if step not in ("body", "query", "path")]
    return f"{'.'.join(parts) or 'the request'}: {error.get('msg')}."
