"""Spoiled pictures sent to a running legacy service and a running backend: what the decoder says, as a status."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import ExitStack

import httpx

from ai.core.errors import ImageTooLarge, InvalidImage, UnsupportedImage
from ai.core.image import decode, read_header
from tests.backends import running_backend
from tests.fuzz.picture_seeds import FORMATS, heaviest
from tests.fuzz.picture_spoiling import spoiled_picture
from tests.fuzz.target import ACCEPTED, hold
from tests.legacy_process import legacy_process

_TYPES = ("image/jpeg", "image/png", "image/webp", "application/octet-stream", "")
PATIENCE_S = 60.0


class ServedPictures:
    """Each case goes to both, as a body or as a form; the first byte says how."""

    name = "served"
    memory_bound_mb = 256.0  # of both together, each with its own pools
    time_bound = 8.0

    def __init__(self) -> None:
        with ExitStack() as stack:
            legacy = stack.enter_context(legacy_process())
            backend = stack.enter_context(running_backend(legacy=legacy, env_file="", DETECT_DEADLINE_S="60"))
            self._client = stack.enter_context(httpx.Client(timeout=PATIENCE_S, trust_env=False))
            self._urls = f"{legacy.url}/detect", f"{backend.url}/api/detect"
            self._pids = legacy.process.pid, backend.pid
            self._stack = stack.pop_all()

    def watched(self) -> Sequence[int]:
        return self._pids

    def make(self, number: int, rng: random.Random) -> bytes:
        return bytes([rng.randrange(2 * len(_TYPES))]) + spoiled_picture(FORMATS[number % len(FORMATS)], rng)

    def ask(self, data: bytes) -> str:
        how, picture = data[0], data[1:]
        legacy, backend = (self._post(url, how, picture) for url in self._urls)
        size, of_header, of_pixels = _expected(picture)
        hold(
            legacy.status_code == of_pixels,
            f"legacy {legacy.status_code}, not {of_pixels}: {legacy.text[:300]}",
        )
        wanted = 422 if of_header == 200 and of_pixels != 200 else of_header
        hold(
            backend.status_code == wanted,
            f"backend {backend.status_code}, not {wanted}: {backend.text[:300]}",
        )
        if wanted != 200:
            return f"{wanted}"
        seen = backend.json()["image"]
        hold((seen["width"], seen["height"]) == size, f"{seen} is not the size {size}")
        return ACCEPTED

    def controls(self) -> Sequence[bytes]:
        return [b"\0" + picture for codec in FORMATS for picture in heaviest(codec)]

    def close(self) -> None:
        self._stack.close()

    def _post(self, url: str, how: int, picture: bytes) -> httpx.Response:
        kind = _TYPES[how % len(_TYPES)]
        if how >= len(_TYPES):
            return self._client.post(url, files={"file": ("picture", picture, kind or None)})
        return self._client.post(url, content=picture, headers={"content-type": kind} if kind else {})


def _expected(picture: bytes) -> tuple[tuple[int, int], int, int]:
    """Its upright size, and the statuses that header and pixels deserve."""
    try:
        header = read_header(picture)
    except InvalidImage as refusal:
        return (0, 0), _status(refusal), _status(refusal)
    try:
        decode(picture)
    except InvalidImage as refusal:
        return (header.width, header.height), 200, _status(refusal)
    return (header.width, header.height), 200, 200


def _status(refusal: InvalidImage) -> int:
    return (
        413 if isinstance(refusal, ImageTooLarge) else 415 if isinstance(refusal, UnsupportedImage) else 400
    )
