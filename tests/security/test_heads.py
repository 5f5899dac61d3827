"""A head without an end, a head that drips, fields after the body: bounded, ended, and nobody else notices."""

from __future__ import annotations

import time

import psutil
import pytest

from ai.core.sample import sample_jpeg
from ai.web import heads
from tests.api_parts import KEYS, running, settings_of, sides_of
from tests.security.house import House
from tests.security.lines import line_to

GET = b"GET /health/live HTTP/1.1\r\nHost: t\r\n"
CHUNKED = b"POST /health/live HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
MIB = 1024 * 1024
ENDLESS = {
    "one value": (GET + b"X-A: ", b"a" * MIB),
    "one name": (GET, b"a" * MIB),
    "many headers": (GET, b"X-A: b\r\n" * (MIB // 8)),
    "a path": (b"GET /", b"a" * MIB),
    "what follows a size": (CHUNKED + b"5;", b"a" * MIB),
    "fields after the body": (CHUNKED + b"0\r\n", b"X-A: b\r\n" * (MIB // 8)),
}


@pytest.mark.parametrize("kind", ENDLESS)
@pytest.mark.parametrize("side", ["backend", "legacy"])
def test_a_head_without_end_is_cut_off_and_costs_no_memory(house: House, side: str, kind: str) -> None:
    """Before, 60 MB of it took 700 MB here."""
    port, pid = _of(house, side)
    opening, piece = ENDLESS[kind]
    before = _memory_bytes(pid)
    with line_to(port) as line:
        line.say(opening)
        with pytest.raises(ConnectionError):
            line.repeat(piece, 60)
    assert _memory_bytes(pid) - before < 30 * MIB


def test_the_refusal_is_in_words_and_the_longest_honest_head_is_served(house: House) -> None:
    with line_to(house.backend.port) as line:
        line.say(GET + b"X-A: " + b"a" * (heads.MAX_HEAD_BYTES + 1))
        answer = line.answer()
        assert answer is not None
        assert answer.status == 431
        assert answer.all("Content-Type") == [b"application/problem+json"]
        assert line.answer() is None
    with line_to(house.backend.port) as line:
        for _ in range(3):  # each head by itself
            line.say(GET + b"X-A: " + b"a" * (heads.MAX_HEAD_BYTES - 2000) + b"\r\n\r\n")
            answer = line.answer()
            assert answer is not None
            assert answer.status == 200


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch, tmp_path):
    monkeypatch.setattr(heads, "HEAD_TIMEOUT_S", 0.5)
    with running(settings_of(tmp_path, api_keys=KEYS), sides_of()) as api:
        yield api


def test_who_says_no_whole_head_is_hung_up_on(impatient) -> None:
    """Silent from the start, in the midst of a first head, in that of a second."""
    with (
        line_to(impatient.port) as silent,
        line_to(impatient.port) as first,
        line_to(impatient.port) as second,
    ):
        first.say(GET)
        second.say(GET + b"\r\n" + GET)
        found = [[answer.status for answer in line.answers()] for line in (silent, first, second)]
    assert found == [[], [408], [200, 408]]


def test_a_head_that_drips_wins_no_time(impatient) -> None:
    with line_to(impatient.port) as line:
        line.say(GET)
        with pytest.raises(ConnectionError):
            line.repeat(b"X", 4000, every_s=0.01)


def test_empty_lines_between_two_requests_win_no_time_either(impatient) -> None:
    """uvicorn stops its own clock at the first byte, and an empty line begins no head."""
    with line_to(impatient.port) as line:
        line.say(GET + b"\r\n")
        answer = line.answer()
        assert answer is not None
        with pytest.raises(ConnectionError):
            line.repeat(b"\r\n", 4000, every_s=0.01)


def test_a_request_that_takes_longer_than_a_head_may_is_answered(impatient) -> None:
    """The time is the head's alone: not the body's, nor the answer's, nor that between two requests."""
    body = sample_jpeg()
    head = (
        b"POST /api/detect HTTP/1.1\r\nHost: t\r\nX-API-Key: caller-key\r\nContent-Length: %d\r\n\r\n"
        % len(body)
    )
    with line_to(impatient.port) as line:
        for wait_s in (0.8, 0.0):
            line.say(head)
            time.sleep(wait_s)
            line.say(body)
            answer = line.answer()
            assert answer is not None
            assert answer.status == 200, answer.body
            time.sleep(wait_s)


def test_a_key_that_comes_after_the_body_is_none(impatient) -> None:
    """Fields that follow a chunked body pass a proxy that checked the headers: uvicorn added them to those."""
    form = (
        b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'
        + sample_jpeg()
        + b"\r\n--x--\r\n"
    )
    head = (
        b"POST /v1/vision/detection HTTP/1.1\r\nHost: t\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    )
    chunked = head + b"Transfer-Encoding: chunked\r\n%b\r\n%x\r\n%b\r\n0\r\n%b\r\n"
    for before, after, status in (
        (b"X-API-Key: caller-key\r\n", b"", 200),
        (b"", b"X-API-Key: caller-key\r\n", 401),
    ):
        with line_to(impatient.port) as line:
            line.say(chunked % (before, len(form), form, after))
            answer = line.answer()
            assert answer is not None
            assert answer.status == status


def _of(house: House, side: str) -> tuple[int, int]:
    if side == "backend":
        return house.backend.port, house.backend.pid
    return house.legacy.port, house.legacy.process.pid


def _memory_bytes(pid: int) -> int:
    return psutil.Process(pid).memory_info().rss
