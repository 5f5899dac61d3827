"""From a request's body to encoded images: multipart, base64 in a form or in JSON, or the raw bytes.

Nothing is read beyond its limit, with or without a Content-Length, nothing is waited for beyond its time, and all
bodies together stay within a budget. Here on the event loop bodies are only received: unpacking one (JSON, base64)
can take long, so it is handed on as an `Image` that a decoding thread calls.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from io import BytesIO

from fastapi import Request
from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from ai.web.problems import Busy, CallerGone, Problem

FORM_OVERHEAD_BYTES = 64 * 1024  # boundaries, part headers and small fields around the images
DRAIN_BYTES = 32 * 1024 * 1024  # of a refused body, read and forgotten, so that the refusal can be heard
MAX_FIELDS = 16
HANG_UP = {"Connection": "close"}  # or the server would go on reading what is still sent, for ever
MAX_NAME_CHARS = 255
MAX_JSON_PARTS = 1000  # brackets, braces and commas: base64 has none, and each costs memory in a parser

_BASE64_FIELD = "image_base64"
_ACCEPTED = "send an image/* body, multipart/form-data with a file, or image_base64 in a form or in JSON"
_DATA_URL = re.compile(rb"(?i)data:[^,]{0,200};base64,")
_URL_FIELD = re.compile(rb"(?:^|&)image_base64=([^&]*)")
_PICTURE_MAGIC = (b"\xff\xd8\xff", b"\x89PNG", b"RIFF")
_BLANKS = b" \t\r\n"
# What a form escapes of base64, of its line ends and of a data URL around it.
_ESCAPES = tuple((f"%{code:02X}".encode(), bytes([code])) for code in b"+/=:;,\r\n ")

Image = Callable[[], bytes]
"""An encoded picture, or the work that unpacks it; raises Problem."""


@dataclass(frozen=True, slots=True)
class Plain:
    """An image that came as it is: nothing is left to unpack."""

    data: bytes

    def __call__(self) -> bytes:
        return self.data


async def unpacked(image: Image) -> bytes:
    return image() if isinstance(image, Plain) else await asyncio.to_thread(image)


@dataclass(frozen=True, slots=True)
class IntakeLimits:
    max_image_bytes: int
    max_batch_images: int
    max_batch_bytes: int
    upload_timeout_s: float  # for a whole body to arrive


@dataclass(frozen=True, slots=True)
class Upload:
    filename: str
    image: Image


@dataclass(slots=True)
class Budget:
    """The bytes of all bodies that are being received or worked on."""

    limit: int
    used: int = 0

    @contextmanager
    def share(self) -> Iterator[Callable[[int], None]]:
        """Take bytes as they come; all that was taken is given back at the end."""
        mine = 0

        def take(count: int) -> None:
            nonlocal mine
            if self.used + count > self.limit:
                raise Busy(
                    f"bodies of {self.used:,} bytes are being worked on; at most {self.limit:,} may be"
                )
            self.used += count
            mine += count

        try:
            yield take
        finally:
            self.used -= mine


class Intake:
    """Receives one request's body."""

    def __init__(self, request: Request, limits: IntakeLimits, take: Callable[[int], None]) -> None:
        self._request = request
        self._limits = limits
        self._take = take
        self.texts: Mapping[str, str] = {}  # the small fields of a form, once its image has arrived

    async def image(self, field: str = "file") -> Image:
        """The one image of a request; `field` is what a form calls it."""
        kind, limits = self._media_type(), self._limits
        if kind == "multipart/form-data":
            limit = self._base64_limit()
            async with self._multipart(max_files=1, limit=limit) as form:
                self.texts = {name: value for name, value in form.items() if isinstance(value, str)}
                return await _image_of(form, field, limits.max_image_bytes)
        if kind == "application/x-www-form-urlencoded":
            return partial(_from_url_form, await self._body(self._base64_limit() * 5 // 4))
        if kind == "application/json":
            return partial(_from_json, await self._body(self._base64_limit()))
        if kind.startswith("image/") or kind in {"", "application/octet-stream"}:
            return Plain(await self._body(limits.max_image_bytes))
        raise Problem(415, f"a body of type {kind!r} is not taken; {_ACCEPTED}")

    async def images(self) -> list[Upload]:
        """The images of a request to /detect/batch, in order. Their own faults are found later, one by one."""
        if self._media_type() != "multipart/form-data":
            raise Problem(
                415, "a batch is sent as multipart/form-data, one part named 'files' for each image"
            )
        limits = self._limits
        async with self._multipart(limits.max_batch_images, limits.max_batch_bytes) as form:
            files = [part for part in form.getlist("files") if isinstance(part, UploadFile)]
            if not files:
                raise Problem(422, "the form has no file in a field named 'files'")
            return [Upload(_plain_name(file.filename), Plain(await file.read())) for file in files]

    async def document(self, limit: int) -> object:
        """A JSON body that holds no image; nothing at all is as good as an empty object."""
        body = await self._body(limit)
        if not body.strip():
            return {}
        try:
            return json.loads(body)
        except (ValueError, RecursionError) as error:
            raise Problem(400, f"the body is not JSON: {error}") from error

    def _media_type(self) -> str:
        return self._request.headers.get("content-type", "").split(";")[0].strip().lower()

    def _base64_limit(self) -> int:
        return self._limits.max_image_bytes * 4 // 3 + FORM_OVERHEAD_BYTES

    @asynccontextmanager
    async def _multipart(self, max_files: int, limit: int) -> AsyncIterator[FormData]:
        """The parts of the body; large ones lie in temporary files, which go when the block ends."""
        async with self._receiving():
            form = await self._parts(max_files, limit)
        try:
            yield form
        finally:
            await form.close()

    async def _parts(self, max_files: int, limit: int) -> FormData:
        stream = self._bounded(limit)
        parser = MultiPartParser(
            _without_charset(self._request.headers),
            stream,
            max_files=max_files,
            max_fields=MAX_FIELDS,
            max_part_size=self._base64_limit(),
        )
        try:
            return await parser.parse()
        except (MultiPartException, UnicodeError) as error:
            await _drain(stream)
            why = str(getattr(error, "message", error))
            status = 413 if why.startswith("Too many") else 400
            raise Problem(status, f"the multipart body cannot be read: {why}") from error

    async def _body(self, limit: int) -> bytes:
        """A buffer gives away what it holds: to join the chunks at the end would take twice the room."""
        body = BytesIO()
        async with self._receiving():
            async for chunk in self._bounded(limit):
                body.write(chunk)
        return body.getvalue()

    @asynccontextmanager
    async def _receiving(self) -> AsyncIterator[None]:
        seconds = self._limits.upload_timeout_s
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError as error:
            raise Problem(408, f"the body did not arrive within {seconds:g} s", HANG_UP) from error
        except ClientDisconnect as error:
            raise CallerGone from error

    async def _bounded(self, limit: int) -> AsyncGenerator[bytes, None]:
        """The body as it comes, until it is over `limit` bytes; a declared length over it is refused unread."""
        stream = self._request.stream()
        declared = self._request.headers.get("content-length", "0").lstrip("0") or "0"
        if declared.isdigit() and (len(declared) > 15 or int(declared) > limit):
            await _drain(stream)
            raise Problem(413, f"the body has {declared[:15]} bytes; at most {limit:,} are taken", HANG_UP)
        received = 0
        async for chunk in stream:
            received += len(chunk)
            if received > limit:
                await _drain(stream)
                raise Problem(413, f"the body has more than the {limit:,} bytes that are taken", HANG_UP)
            self._take(len(chunk))
            yield chunk


async def _image_of(form: FormData, field: str, max_bytes: int) -> Image:
    part = form.get(field)
    if isinstance(part, UploadFile):
        if (part.size or 0) > max_bytes:
            raise Problem(413, f"the image has {part.size:,} bytes; at most {max_bytes:,} are taken")
        return Plain(await part.read())
    if _BASE64_FIELD in form:
        return partial(_from_base64, form.get(_BASE64_FIELD))
    raise Problem(422, f"the form has no file in a field named {field!r}, and no {_BASE64_FIELD}")


def _from_json(body: bytes) -> bytes:
    if sum(body.count(mark) for mark in (b"[", b"{", b",")) > MAX_JSON_PARTS:
        raise Problem(400, f'the JSON body has too many parts; it should be {{"{_BASE64_FIELD}": "…"}}')
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Problem(400, f"the body is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise Problem(422, f'the JSON body must be an object: {{"{_BASE64_FIELD}": "…"}}')
    return _from_base64(document.pop(_BASE64_FIELD, None))  # not kept while it is unpacked


def _from_url_form(body: bytes) -> bytes:
    """Only what base64 needs is unescaped; a plus that was not escaped, a common slip, is taken as a plus."""
    if body.startswith(_PICTURE_MAGIC):  # `curl --data-binary` calls whatever it sends a form
        return body
    if body.count(b"&") >= MAX_FIELDS:
        raise Problem(413, f"the form has more than {MAX_FIELDS} fields")
    field = _URL_FIELD.search(body)
    if field is None:
        raise Problem(422, f"the form has no field named {_BASE64_FIELD}")
    text = field.group(1)
    if text.count(b"%") > len(text) // 10 + len(_ESCAPES):
        raise Problem(400, f"{_BASE64_FIELD} is not base64: more of it is escaped than base64 ever needs")
    for escaped, meant in _ESCAPES:
        text = text.replace(escaped, meant).replace(escaped.lower(), meant)
    return _from_base64(text)


def _from_base64(text: object) -> bytes:
    if isinstance(text, str):
        text = text.encode("utf-8", "replace")
    if not isinstance(text, bytes):
        raise Problem(422, f"{_BASE64_FIELD} is missing, or is not text")
    bare = text.translate(None, _BLANKS)
    if label := _DATA_URL.match(bare):
        bare = bare[label.end() :]
    try:
        return base64.b64decode(bare, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Problem(400, f"{_BASE64_FIELD} is not base64: {error}") from error


def _plain_name(filename: str | None) -> str:
    """The last part of a caller's file name: it goes back into the answer, and nowhere else."""
    last = re.split(r"[\\/]", filename or "")[-1][:MAX_NAME_CHARS]
    return last.encode("utf-8", "replace").decode()


def _without_charset(headers: Headers) -> Headers:
    """Names are UTF-8; a caller's choice of codec would only be another way to fail."""
    plain = re.sub(r'(?i);\s*charset\s*=\s*("[^"]*"|[^;]*)', "", headers.get("content-type", ""))
    return Headers({"content-type": plain})


async def _drain(stream: AsyncGenerator[bytes, None]) -> None:
    """Read on for a little: a caller who is still sending would see a broken connection, not our answer."""
    left = DRAIN_BYTES
    async for chunk in stream:
        left -= len(chunk)
        if left <= 0:
            return
