"""What callers send by mistake or malice, by kind, and what they are told: whole requests first, then bare lines.

Each is made before it is sent, so that making a bomb takes no time from those beside it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache

from ai.core.sample import sample_jpeg
from tests import pictures

MIB = 1024 * 1024
DETECT, BATCH, DEEPSTACK = "/api/detect", "/api/detect/batch", "/v1/vision/detection"
JPEG, JSON, URL_FORM = "image/jpeg", "application/json", "application/x-www-form-urlencoded"
FORM = "multipart/form-data; boundary=x"
BOMB_BYTES = 300 * MIB
REFUSED = frozenset({400, 422})  # by the look at its header, or by a side that decoded it


@dataclass(frozen=True)
class Bad:
    name: str
    statuses: frozenset[int]
    body: bytes = field(repr=False)
    media_type: str = JPEG
    path: str = DETECT
    query: str = ""

    def request(self) -> bytes:
        """As it goes over the line."""
        head = (
            f"POST {self.path}{self.query} HTTP/1.1\r\nHost: t\r\nContent-Type: {self.media_type}\r\n"
            f"Content-Length: {len(self.body)}\r\nConnection: close\r\n\r\n"
        )
        return head.encode() + self.body


def _is(name: str, status: int, body: bytes, media_type: str = JPEG, path: str = DETECT) -> Bad:
    return Bad(name, frozenset({status}), body, media_type, path)


def part(name: str, body: bytes, filename: str = "a.jpg") -> bytes:
    head = f'--x\r\nContent-Disposition: form-data; name="{name}"; filename="{filename}"\r\n\r\n'
    return head.encode() + body + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--x--\r\n"


def _no_pictures() -> list[Bad]:
    whole = sample_jpeg()
    strangers = [_is(words, 400, body) for words, body in pictures.strangers().items()]
    foreign = [_is(kind, 415, body) for kind, body in pictures.foreign().items()]
    broken = [
        Bad(name, REFUSED, body)
        for name, body in {
            "half a JPEG": whole[: len(whole) // 2],
            "half a PNG": pictures.png()[:-200],
            "half a WebP": pictures.webp()[:-200],
            "another magic": b"\xff\xd9" + whole[2:],
            "zeros": bytes(4096),
            "a header and no more": whole[:700],
        }.items()
    ]
    return [*strangers, *foreign, *broken]


def _bombs() -> list[Bad]:
    large = sample_jpeg() + bytes(12 * MIB)
    answered = REFUSED | {200, 413}  # a picture with a bomb beside it may be a picture
    return [
        _is("a PNG that says 10,000 megapixels", 413, pictures.png_saying(100_000, 100_000)),
        _is("a JPEG that says 3,600", 413, pictures.jpeg_saying(60_000, 60_000)),
        _is("a WebP that says 268", 413, pictures.webp_saying(16_383, 16_383)),
        _is("a PNG that is 342", 413, pictures.png_bomb()),
        Bad("a PNG whose text is a bomb", answered, pictures.png_with_metadata_bomb(BOMB_BYTES)),
        Bad("a PNG with more pixels than it says", answered, pictures.png_with_too_many_pixels(BOMB_BYTES)),
        Bad("a JPEG of 10,000 scans", answered, pictures.jpeg_of_many_scans(10_000)),
        _is("12 MiB", 413, large),
        _is("12 MiB in a form", 413, form(part("file", large)), FORM),
        _is("12 MiB in a form, to DeepStack", 413, form(part("image", large)), FORM, DEEPSTACK),
        _is("12 MiB in base64", 413, json.dumps({"image_base64": base64.b64encode(large).decode()}).encode(), JSON),
        _is("100,000 files", 413, part("files", b".") * 100_000 + b"--x--\r\n", FORM, BATCH),
        _is("100,000 fields", 413, b'--x\r\nContent-Disposition: form-data; name="n"\r\n\r\n.\r\n' * 100_000, FORM),
        _is("8 MiB of brackets", 400, b"[" * (8 * MIB), JSON),
        _is("escapes where base64 has none", 400, b"image_base64=" + b"%41" * (4 * MIB), URL_FORM),
        _is("15 MiB of ampersands", 413, b"&" * (15 * MIB), URL_FORM),
    ]  # fmt: skip


def _forms() -> list[Bad]:
    whole, deepstack = sample_jpeg(), form(part("image", b"no picture"))
    told = REFUSED | {413}
    return [
        _is("text", 415, whole, "text/plain"),
        _is("a video, it says", 415, whole, "video/mp4"),
        _is("no boundary", 400, b"x", "multipart/form-data"),
        _is("no parts", 400, b"no parts here", FORM),
        Bad("no end", REFUSED, form(part("file", whole))[: len(whole) // 2], FORM),
        _is("no file", 422, form(part("picture", whole)), FORM),
        _is("two files", 413, form(part("file", b"1"), part("file", b"2")), FORM),
        Bad("a part without a name", told, b"--x\r\nContent-Disposition: form-data\r\n\r\n\r\n--x--\r\n", FORM),
        Bad("5,000 headers of a part", told, b"--x\r\n" + b"A: b\r\n" * 5000 + b"\r\n--x--\r\n", FORM),
        _is("half JSON", 400, b"{", JSON),
        _is("JSON that is no UTF-8", 400, b"\xff\xfe", JSON),
        _is("JSON that is a list", 422, b'["image_base64"]', JSON),
        _is("no base64", 400, b'{"image_base64": "%%%"}', JSON),
        _is("base64 that is a number", 422, b'{"image_base64": 7}', JSON),
        _is("base64 of a text", 400, b'{"image_base64": "' + b"QUJD" * 9 + b'"}', JSON),
        _is("no batch", 415, whole, JPEG, BATCH),
        _is("a batch of nothing", 422, form(), FORM, BATCH),
        Bad("DeepStack: no picture", REFUSED, deepstack, FORM, DEEPSTACK),
        _is("DeepStack: no image", 422, form(part("file", whole)), FORM, DEEPSTACK),
        _is("DeepStack: bad base64", 400, b"image_base64=%%%", URL_FORM, DEEPSTACK),
        *(
            Bad(f"a query: {query[:30]}", frozenset({status}), whole, query=query)
            for query, status in {
                "?camera=%00": 422, "?detector=nobody": 422, "?min_confidence=7": 422, "?backend=other": 422,
                "?backend=triton": 401, "?camera=" + "c" * 10_000: 422, "?x=" + "%41" * 20_000: 414,
            }.items()
        ),
    ]  # fmt: skip


KINDS: Mapping[str, Callable[[], list[Bad]]] = {
    "no pictures": cache(_no_pictures), "bombs": cache(_bombs), "forms": cache(_forms),
}  # fmt: skip

# --- bare lines ---------------------------------------------------------------------------------------------

HEAD = b"POST /api/detect HTTP/1.1\r\nHost: t\r\nContent-Type: image/jpeg\r\n"
CUT_SHORT = HEAD + b"Content-Length: 100000\r\n\r\n\xff\xd8\xff"
ENDLESS = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
CHUNK = b"100000\r\n" + b"\xff" * MIB + b"\r\n"
SMUGGLED = b"GET /api/rollout HTTP/1.1\r\nHost: t\r\n\r\n"

# What is sent, and what the first line of the answer may be; 0 is an end without an answer.
LINES: Mapping[str, tuple[bytes, frozenset[int]]] = {
    "a negative length": (HEAD + b"Content-Length: -5\r\n\r\n\xff\xd8", frozenset({400})),
    "a length in hex": (HEAD + b"Content-Length: 0x10\r\n\r\n\xff\xd8", frozenset({400})),
    "a length of 400 digits": (HEAD + b"Content-Length: " + b"9" * 400 + b"\r\n\r\n", frozenset({400})),
    "a length of 100 GB": (HEAD + b"Content-Length: 99999999999\r\n\r\n", frozenset({408, 413})),
    "a length and chunks": (
        HEAD + b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" % (5 + len(SMUGGLED)) + SMUGGLED,
        frozenset({400}),
    ),
    "more than its length": (HEAD + b"Content-Length: 3\r\n\r\n\xff\xd8\xff and more", frozenset({400})),
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20, frozenset({400, 0})),
    "no such method": (b"PROPFIND /api/detect HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n", frozenset({405})),
    "another method": (b"GET /api/detect HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n", frozenset({405})),
    "no such path": (b"GET /%00 HTTP/1.1\r\nHost: [\r\nConnection: close\r\n\r\n", frozenset({404})),
    "a head without end": (HEAD + b"X: y\r\n" * 100_000, frozenset({431})),
    "a field without end": (HEAD + b"X: " + b"y" * MIB, frozenset({431})),
    "a body that never comes": (HEAD + b"Content-Length: 5000\r\n\r\n", frozenset({408})),
    "a body that stops": (CUT_SHORT, frozenset({408})),
    "chunks without end": (ENDLESS + CHUNK * 50, frozenset({413, 0})),
    "a chunk that is none": (ENDLESS + b"zz\r\n", frozenset({400})),
}  # fmt: skip
