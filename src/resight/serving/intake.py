"""From a request's body to a question and its pictures, within limits, and nothing of it on the disk."""

from __future__ import annotations

import base64
import binascii
import io
import json
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from fastapi import Request
from PIL import Image
from pydantic import BaseModel, ValidationError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from resight.data.loading.decode import decode_bytes, resize
from resight.data.loading.image_formats import readable
from resight.errors import ImageError
from resight.serving.failures import RefusedError, spelled
from resight.serving.limits import Limits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from resight.types import Interpolation

Q = TypeVar("Q", bound=BaseModel)
FIELDS = 4  # of a form: `query` and what a browser adds


class _InMemory(MultiPartParser):
    """Uploaded files stay in memory: no picture of a person is left in a temporary folder."""

    spool_max_size = 2**40


async def read_body(request: Request, kind: type[Q], limits: Limits) -> tuple[Q, list[bytes]]:
    """The question and the files of its pictures, from JSON, or from a form with `query` (JSON) and `pictures`.

    Raises RefusedError for a body of another kind, one that does not fit, or more pictures than a request may have.
    """
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media == "multipart/form-data":
        text, files = await _form(request, limits)
        query = _checked(kind, text or "{}")
    elif media == "application/json":
        query, files = _checked(kind, await request.body() or b"{}"), []
    else:
        raise RefusedError(
            415, f"the body is {media or 'of no kind'}; expected application/json or multipart/form-data."
        )
    files += [_decoded(number, text) for number, text in enumerate(getattr(query, "pictures", []))]
    if len(files) > limits.pictures:
        raise RefusedError(413, f"{len(files)} pictures; a request may have {limits.pictures}.")
    return query, files


def pixels_of(
    data: bytes, size: tuple[int, int], interpolation: Interpolation, limits: Limits, number: int
) -> NDArray[np.uint8]:
    """A picture's file -> (H, W, 3) uint8 at the model's size.  Raises ImageError.

    Its own size is read from the header first, so that one that would fill the memory is never decoded.
    """
    name = f"picture {number + 1}"
    width, height = _claimed_size(data)
    if height * width > limits.picture_pixels:
        raise ImageError(f"{name} has {width} x {height} pixels; a picture may have {limits.picture_pixels:,} in all.")
    resized: NDArray[np.uint8] = resize([decode_bytes(bytearray(data), name)], size, interpolation)[0]
    return resized


def body_schema(kind: type[BaseModel], example: dict[str, Any]) -> dict[str, Any]:
    """`openapi_extra` of a route whose body `read_body` reads."""
    schema = {"$ref": f"#/components/schemas/{kind.__name__}"}
    form = {
        "type": "object",
        "properties": {
            "query": {"type": "string", "contentMediaType": "application/json", "contentSchema": schema},
            "pictures": {"type": "array", "items": {"type": "string", "format": "binary"}},
        },
    }
    content = {"application/json": {"schema": schema, "example": example}, "multipart/form-data": {"schema": form}}
    return {"requestBody": {"required": True, "content": content}}


async def _form(request: Request, limits: Limits) -> tuple[str | bytes | None, list[bytes]]:
    parser = _InMemory(
        request.headers, request.stream(), max_files=limits.pictures, max_fields=FIELDS, max_part_size=2**20
    )
    try:
        form = await parser.parse()
    except (MultiPartException, ValueError, KeyError) as error:
        raise RefusedError(400, f"the form cannot be read: {error}.") from error
    try:
        files = [item for name, item in form.multi_items() if name == "pictures" and isinstance(item, UploadFile)]
        strange = [name for name, item in form.multi_items() if item not in files and name != "query"]
        if strange:
            raise RefusedError(422, f"{strange[0]}: there is no such field; a form has `query` and `pictures`.")
        query = form.get("query")
        text = await query.read() if isinstance(query, UploadFile) else query
        return text, [await file.read() for file in files]
    finally:
        await form.close()


def _claimed_size(data: bytes) -> tuple[int, int]:
    """(width, height) as the header says; (0, 0) where it says nothing, which the decoder then refuses."""
    try:
        with Image.open(io.BytesIO(data), formats=readable()) as image:
            return image.size
    except Exception:  # Pillow raises whatever its plug-ins meet
        return 0, 0


def _checked(kind: type[Q], text: str | bytes) -> Q:
    try:
        return kind.model_validate(json.loads(text, parse_constant=_no_constant))
    except ValidationError as error:
        raise RefusedError(422, spelled(error.errors(include_url=False)[0])) from error
    except (ValueError, RecursionError) as error:
        raise RefusedError(400, "the body is not JSON.") from error


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _decoded(number: int, text: str) -> bytes:
    try:
        return base64.b64decode(text.partition("base64,")[2] if text.startswith("data:") else text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RefusedError(422, f"pictures.{number}: expected the bytes of a picture file in base64.") from error
