"""Forms as nobody sends them, to the running backend and the running service: an answer, never a 500, never a hang.

Pictures: tests/integration/test_bad_input.py; known bad forms: test_api_uploads.py; the schema: test_api_schema.py.
"""

from __future__ import annotations

import random

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ai.core.sample import sample_jpeg
from tests.security.house import CALLER, House
from tests.security.lines import Line, line_to

MIB = 1024 * 1024
PATHS = {
    "/api/detect": "backend", "/api/detect/batch": "backend", "/v1/vision/detection": "backend",
    "/detect": "legacy", "/detect/batch": "legacy",
}  # fmt: skip
PIECES = (
    b"--x", b"--x--", b"--", b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"Content-Disposition: form-data", b"; name=",
    b'"image"', b'"file"', b'"files"', b'"min_confidence"', b'"api_key"', b'"image_base64"', b"; filename=",
    b'"a.jpg"', b'"', b"\\", b";", b"; filename*=utf-8''%00%ff", b"Content-Type: image/jpeg", b":", b"0.5", b"nan",
    b"Content-Type: multipart/mixed; boundary=x", b"Content-Transfer-Encoding: base64", b"\x00", b"\xff\xd8\xff",
    b"%00", b"a" * 5000, sample_jpeg(),
)  # fmt: skip
TYPES = (
    "multipart/form-data; boundary=x", 'multipart/form-data; boundary="x"',
    "multipart/form-data; boundary=x; boundary=y",
    "multipart/form-data; boundary=" + "x" * 300, "application/x-www-form-urlencoded", "application/json", "image/jpeg",
)  # fmt: skip
FINE = {200, 400, 401, 413, 415, 422, 503}
FORM = (
    b'--x\r\nContent-Disposition: form-data; name="api_key"\r\n\r\nk\r\n'
    b'--x\r\nContent-Disposition: form-data; name="min_confidence"\r\n\r\n0.4\r\n'
    b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
    + sample_jpeg()
    + b"\r\n--x--\r\n"
)


class Caller:
    """Goes on with the same line as long as it holds, and finds out whether it does."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._line = Line(port)

    def ask(self, path: str, kind: str, body: bytes) -> int:
        head = f"POST {path} HTTP/1.1\r\nHost: t\r\nX-API-Key: {CALLER}\r\nContent-Type: {kind}\r\n"
        self._line.say(head.encode() + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        answer = self._line.answer()
        assert answer is not None, "hung up without a word"
        if answer.all("Connection") == [b"close"]:
            assert self._line.answer() is None
            self._line = Line(self._port)
        else:
            self._require_usable()
        return answer.status

    def _require_usable(self) -> None:
        self._line.say(b"GET /metrics HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n")
        next_one = self._line.answer()
        assert next_one is not None
        assert next_one.status == 200


@pytest.mark.parametrize("path", PATHS)
def test_no_form_fails_hangs_or_is_kept(house: House, path: str) -> None:
    """Grown out of the pieces of forms, and a true one spoilt by chance, always in the same way."""
    port, pid = _of(house, PATHS[path])
    caller, memory = Caller(port), psutil.Process(pid).memory_info
    caller.ask(path, TYPES[0], FORM)
    before = memory().rss

    @settings(
        max_examples=50,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        st.lists(st.sampled_from(PIECES) | st.binary(max_size=20), max_size=40).map(b"".join),
        st.sampled_from(TYPES),
    )
    def grown(body: bytes, kind: str) -> None:
        assert caller.ask(path, kind, body) in FINE

    grown()
    spoilt = {caller.ask(path, TYPES[0], body) for body in _spoilt(40)}
    assert spoilt <= FINE
    assert len(spoilt) > 1
    assert memory().rss - before < 60 * MIB
    with line_to(port) as line:
        line.say(b"GET /metrics HTTP/1.1\r\nHost: t\r\n\r\n")
        assert line.answer() is not None


def _spoilt(count: int) -> list[bytes]:
    chance = random.Random(11)
    bodies = []
    for _ in range(count):
        body = bytearray(FORM)
        for _ in range(chance.randrange(1, 6)):
            at = (
                chance.randrange(min(len(body), 500))
                if chance.random() < 0.8
                else chance.randrange(len(body))
            )
            cut = chance.choice((0, 1, 2, 30))
            body[at : at + cut] = chance.choice((b"", chance.randbytes(3), chance.choice(PIECES[:-1])))
        bodies.append(bytes(body))
    return bodies


def _of(house: House, side: str) -> tuple[int, int]:
    if side == "backend":
        return house.backend.port, house.backend.pid
    return house.legacy.port, house.legacy.process.pid
