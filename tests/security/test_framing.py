"""Where a message ends is never a matter of opinion: what a proxy could read otherwise is refused, and the line closed.

More of it: tests/integration/test_api_uploads.py; the deployment's proxy in front: tests/integration/test_proxy.py.
"""

from __future__ import annotations

import pytest

from tests.security.house import ADMIN, House
from tests.security.lines import line_to

SMUGGLED = f"GET /api/me HTTP/1.1\r\nHost: t\r\nX-API-Key: {ADMIN}\r\n\r\n".encode()
POST = b"POST /api/detect HTTP/1.1\r\nHost: t\r\nContent-Type: image/jpeg\r\n"
LENGTH = b"Content-Length: %d\r\n" % (5 + len(SMUGGLED))
AMBIGUOUS = {
    "length and chunks": LENGTH + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": b"Transfer-Encoding: chunked\r\n" + LENGTH + b"\r\n0\r\n\r\n",
    "two lengths": b"Content-Length: 0\r\n" + LENGTH + b"\r\n",
    "a list of lengths": b"Content-Length: 0, 5\r\n\r\n",
    "a length with a sign": b"Content-Length: +0\r\n\r\n",
    "a length with a blank": b"Content-Length: 0 0\r\n\r\n",
    "a blank before the colon": b"Transfer-Encoding : chunked\r\n" + LENGTH + b"\r\n0\r\n\r\n",
    "a coding that is none": b"Transfer-Encoding: xchunked\r\n" + LENGTH + b"\r\n0\r\n\r\n",
    "chunked, but not last": b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "a folded header": b"X-A: b\r\n Transfer-Encoding: chunked\r\n"
    + LENGTH
    + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "a bare return": b"X-A: b\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a size that is none": b"Transfer-Encoding: chunked\r\n\r\nz\r\n\r\n",
    "a negative size": b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
    "a size with a prefix": b"Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n",
    "a size over all bounds": b"Transfer-Encoding: chunked\r\n\r\n" + b"F" * 17 + b"\r\n\r\n",
    "a size that wraps": b"Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n\r\n",
    "a chunk that is longer than said": b"Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("kind", AMBIGUOUS)
@pytest.mark.parametrize("side", ["backend", "legacy"])
def test_what_is_ambiguous_is_refused_and_what_follows_it_is_never_served(
    house: House, side: str, kind: str
) -> None:
    port = house.backend.port if side == "backend" else house.legacy.port
    path = b"/api/detect" if side == "backend" else b"/detect"
    with line_to(port) as line:
        line.say(POST.replace(b"/api/detect", path) + AMBIGUOUS[kind] + SMUGGLED)
        answers = line.answers()
    assert [answer.status for answer in answers if answer.status < 400] == []
    assert len(answers) <= 1, answers


def test_control_what_is_plain_is_served_and_what_follows_it_too(house: House) -> None:
    with line_to(house.backend.port) as line:
        line.say(b"GET /health/live HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n" + SMUGGLED)
        assert [answer.status for answer in (line.answer(), line.answer()) if answer] == [200, 200]
