"""A caller's words stay words: in the headers of its answer, in the lines of the log, in the documents of problems.

The lines themselves, as JSON and as text: tests/unit/test_request_log.py, test_log_writer.py. What a page makes of such
words: tests/browser/test_hostile_names.py.
"""

from __future__ import annotations

import json
import logging
import time
from urllib.parse import quote

import pytest

from ai.core.sample import sample_jpeg
from backend.observe.logs import configure
from tests.security.house import ADMIN, House
from tests.security.lines import Answer, line_to

FORGED = '\r\n{"ts":"2000-01-01T00:00:00.000Z","level":"error","event":"forged"}\r\nX-Forged: yes\r\n\r\n'
WORDS = {
    "lines": FORGED, "a return": FORGED.replace("\n", ""), "feeds": FORGED.replace("\r", ""), "NUL": "a\x00b" + FORGED,
    "other ends of lines": FORGED.replace("\r\n", "\u2028\x85\x0b\x0c"), "not latin": "摄像头\U0001f4a9" + FORGED,
    "right to left": "\u202e" + FORGED, "a terminal's": "\x1b[2J\x9b1m" + FORGED, "long": FORGED * 80,
}  # fmt: skip
KNOWN_HEADERS = {
    b"date", b"content-type", b"content-length", b"x-request-id", b"x-client-request-id", b"x-detector-backend",
    b"server-timing", b"etag", b"retry-after", b"connection",
}  # fmt: skip
JPEG = sample_jpeg()
PATIENCE_S = 30.0  # for the log's writer


@pytest.mark.parametrize("kind", WORDS)
def test_words_become_neither_a_header_nor_a_line(house: House, kind: str) -> None:
    """As id, camera, detector, file name, reason, pin and path; the long ones have over 6,000 signs each."""
    words = WORDS[kind]
    answers = [answer for request in requests(words) if (answer := asked(house, request)) is not None]
    assert len(answers) >= 7
    for answer in answers:
        assert answer.status < 500, answer
        assert {name for name, _ in answer.headers} <= KNOWN_HEADERS
        assert len(answer.headers) == len({name for name, _ in answer.headers})
        assert all(0x20 <= sign < 0x7F for _, value in answer.headers for sign in value)
        if answer.all("Content-Type") != [b"text/plain; charset=utf-8"]:  # the server's own 400
            json.loads(answer.body)
    assert_every_line_is_ours(house)


def requests(words: str) -> list[bytes]:
    encoded, raw = quote(words, safe=""), words.encode()
    form = b'--x\r\nContent-Disposition: form-data; name="files"; filename="%b"\r\n\r\n%b\r\n--x--\r\n' % (
        raw,
        JPEG,
    )
    change = {"fraction": 0.2, "reason": words}
    return [
        request("POST", "/api/detect", JPEG, b"X-Request-ID: " + raw + b"\r\n"),
        request("POST", "/api/detect", JPEG, b"X-Request-ID: " + raw.translate(None, b"\r\n\x00") + b"\r\n"),
        request("POST", f"/api/detect?camera={encoded}", JPEG),
        request("POST", f"/api/detect?detector={encoded}", JPEG),
        request("POST", "/api/detect/batch", form, b"Content-Type: multipart/form-data; boundary=x\r\n"),
        request("PUT", "/api/rollout", json.dumps(change).encode(), b"If-Match: *\r\n"),
        request("PUT", "/api/rollout", json.dumps({"pins": {words: "legacy"}}).encode(), b"If-Match: *\r\n"),
        request("POST", "/api/rollout/rollback", json.dumps({"reason": words}).encode()),
        request("DELETE", f"/api/rollout/samples?camera={encoded}"),
        request("GET", f"/{encoded}"),
        request("GET", "/api/rollout", b"", b"If-None-Match: " + raw.translate(None, b"\r\n\x00") + b"\r\n"),
    ]


def request(method: str, path: str, body: bytes = b"", more: bytes = b"") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: t\r\nConnection: close\r\nX-API-Key: {ADMIN}\r\n"
    return head.encode() + more + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


def asked(house: House, request: bytes) -> Answer | None:
    with line_to(house.backend.port) as line:
        line.say(request)
        return line.answer()


def assert_every_line_is_ours(house: House) -> None:
    """A line is written soon after its answer; whatever is not whole yet is the last one."""
    ends_at = time.monotonic() + PATIENCE_S
    while (text := house.backend.log_text()).count("\n") < 4 or '"event": "request"' not in text:
        assert time.monotonic() < ends_at, text
        time.sleep(0.02)
    lines = house.backend.log_text().split("\n")[:-1]
    documents = [json.loads(line) for line in lines]
    assert len(documents) > 3
    assert any(document["event"] == "request" for document in documents)
    assert all(document["event"] != "forged" for document in documents)
    assert all(line.isascii() and line.isprintable() for line in lines)


@pytest.mark.parametrize("kind", WORDS)
def test_an_id_comes_back_as_at_most_128_visible_signs(house: House, kind: str) -> None:
    raw = WORDS[kind].encode().translate(None, b"\r\n\x00\x0b\x0c\x1b")
    answer = asked(house, request("POST", "/api/detect", JPEG, b"X-Request-ID: " + raw + b"\r\n"))
    assert answer is not None
    assert answer.status == 200
    (ours,), theirs = answer.all("X-Request-ID"), answer.all("X-Client-Request-ID")
    assert len(ours) == 32
    assert len(theirs) == 1
    assert 0 < len(theirs[0]) <= 128


@pytest.mark.parametrize("form", ["json", "text"])
def test_what_any_other_part_logs_stays_one_line(form, monkeypatch: pytest.MonkeyPatch) -> None:
    """A library that logs what a caller sent, as `%s`."""
    root, said = logging.getLogger(), []
    monkeypatch.setattr(root, "handlers", root.handlers)
    monkeypatch.setattr(root, "level", root.level)
    configure(form, said.append)
    for words in WORDS.values():
        logging.getLogger("a.library").warning("a caller sent %s", words)
    assert len(said) == len(WORDS)
    assert all(line.isascii() and line.isprintable() for line in said)
