"""From a request's body to encoded images: multipart, base64 in a form or in JSON, or the raw bytes.

Nothing is read beyond its limit, with or without a Content-Length, and nothing is waited for beyond its time.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from fastapi import Request
from python_multipart.exceptions import FormParserError
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import FormParser, MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from ai.serving.problems import CallerGone, Problem
from ai.serving.settings import ServiceSettings

FORM_OVERHEAD_BYTES = 64 * 1024  # boundaries, part headers and small fields around the images
DRAIN_BYTES = 32 * 1024 * 1024  # of a refused body, read and forgotten, so that the refusal can be heard
MAX_FIELDS = 16
MAX_NAME_CHARS = 255

_BASE64_FIELD = "image_base64"
_ACCEPTED = "send an image/* body, multipart/form-data with a file, or image_base64 in a form or in JSON"


@dataclass(frozen=True, slots=True)
class Upload:
    filename: str
    data: bytes


async def read_image(request: Request, settings: ServiceSettings) -> bytes:
    """The one image of a request to /detect."""
    kind = _media_type(request)
    if kind == "multipart/form-data":
        limit = settings.max_image_bytes * 4 // 3 + FORM_OVERHEAD_BYTES
        async with _multipart(request, settings, max_files=1, limit=limit) as form:
            return await _image_of(form, settings.max_image_bytes)
    if kind == "application/x-www-form-urlencoded":
        return _decode_base64((await _url_form(request, settings)).get(_BASE64_FIELD))
    if kind == "application/json":
        return _decode_base64(_json_field(await _body(request, settings, _base64_limit(settings))))
    if kind.startswith("image/") or kind in {"", "application/octet-stream"}:
        return await _body(request, settings, settings.max_image_bytes)
    raise Problem(415, f"a body of type {kind!r} is not taken; {_ACCEPTED}")


async def read_images(request: Request, settings: ServiceSettings) -> list[Upload]:
    """The images of a request to /detect/batch, in their order. Their own faults are found later, one by one."""
    if _media_type(request) != "multipart/form-data":
        raise Problem(
            415, "a batch is sent as multipart/form-data, with one part named 'files' for each image"
        )
    async with _multipart(request, settings, settings.max_batch_images, settings.max_batch_bytes) as form:
        files = [part for part in form.getlist("files") if isinstance(part, UploadFile)]
        if not files:
            raise Problem(422, "the form has no file in a field named 'files'")
        return [Upload(_plain_name(file.filename), await file.read()) for file in files]


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").split(";")[0].strip().lower()


def _base64_limit(settings: ServiceSettings) -> int:
    return settings.max_image_bytes * 4 // 3 + FORM_OVERHEAD_BYTES


async def _image_of(form: FormData, max_bytes: int) -> bytes:
    part = form.get("file")
    if isinstance(part, UploadFile):
        if (part.size or 0) > max_bytes:
            raise Problem(413, f"the image has {part.size:,} bytes; at most {max_bytes:,} are taken")
        return await part.read()
    if _BASE64_FIELD in form:
        return _decode_base64(form.get(_BASE64_FIELD))
    raise Problem(422, f"the form has no file in a field named 'file', and no {_BASE64_FIELD}")


def _json_field(body: bytes) -> object:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Problem(400, f"the body is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise Problem(422, f'the JSON body must be an object: {{"{_BASE64_FIELD}": "…"}}')
    return document.get(_BASE64_FIELD)


def _decode_base64(text: object) -> bytes:
    if not isinstance(text, str):
        raise Problem(422, f"{_BASE64_FIELD} is missing, or is not text")
    bare = re.sub(r"^data:[\w/+.-]*;base64,", "", text.strip())
    try:
        return base64.b64decode("".join(bare.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Problem(400, f"{_BASE64_FIELD} is not base64: {error}") from error


def _plain_name(filename: str | None) -> str:
    """The last part of a caller's file name: it goes back into the answer, and nowhere else."""
    return re.split(r"[\\/]", filename or "")[-1][:MAX_NAME_CHARS]


@asynccontextmanager
async def _multipart(
    request: Request, settings: ServiceSettings, max_files: int, limit: int
) -> AsyncIterator[FormData]:
    """The parts of the body; large ones lie in temporary files, which go when the block ends."""
    async with _receiving(settings):
        form = await _parts(request, settings, max_files, limit)
    try:
        yield form
    finally:
        await form.close()


async def _parts(request: Request, settings: ServiceSettings, max_files: int, limit: int) -> FormData:
    stream = _bounded(request, limit)
    part_limit = _base64_limit(settings)
    parser = MultiPartParser(
        request.headers, stream, max_files=max_files, max_fields=MAX_FIELDS, max_part_size=part_limit
    )
    try:
        return await parser.parse()
    except MultiPartException as error:
        await _drain(stream)
        status = 413 if error.message.startswith("Too many") else 400
        raise Problem(status, f"the multipart body cannot be read: {error.message}") from error


async def _url_form(request: Request, settings: ServiceSettings) -> FormData:
    limit = 2 * _base64_limit(settings)  # '+', '/' and '=' travel as three characters each
    body = await _body(request, settings, limit)

    async def once() -> AsyncGenerator[bytes, None]:
        yield body

    try:
        parser = FormParser(request.headers, once(), max_fields=MAX_FIELDS, max_part_size=limit)
        return await parser.parse()
    except (MultiPartException, FormParserError) as error:
        raise Problem(400, f"the form cannot be read: {error}") from error


async def _body(request: Request, settings: ServiceSettings, limit: int) -> bytes:
    async with _receiving(settings):
        return b"".join([chunk async for chunk in _bounded(request, limit)])


@asynccontextmanager
async def _receiving(settings: ServiceSettings) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(settings.upload_timeout_s):
            yield
    except TimeoutError as error:
        raise Problem(408, f"the body did not arrive within {settings.upload_timeout_s:g} s") from error
    except ClientDisconnect as error:
        raise CallerGone from error


async def _bounded(request: Request, limit: int) -> AsyncGenerator[bytes, None]:
    """The body as it comes, until it is over `limit` bytes; a declared length over it is refused unread."""
    stream = request.stream()
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > limit:
        await _drain(stream)
        raise Problem(413, f"the body has {int(declared):,} bytes; at most {limit:,} are taken")
    received = 0
    async for chunk in stream:
        received += len(chunk)
        if received > limit:
            await _drain(stream)
            raise Problem(413, f"the body has more than the {limit:,} bytes that are taken")
        yield chunk


async def _drain(stream: AsyncGenerator[bytes, None]) -> None:
    """Read on for a little: a caller who is still sending would see a broken connection, not our answer."""
    left = DRAIN_BYTES
    async for chunk in stream:
        left -= len(chunk)
        if left <= 0:
            return
