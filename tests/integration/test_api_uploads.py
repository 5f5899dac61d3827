"""What callers send by mistake or malice, to the API behind a real server: an answer or an end, never a 500."""

from __future__ import annotations

import concurrent.futures
import socket
import struct
import time

import pytest

from ai.core.sample import sample_jpeg
from backend.transports.fake import FakeTransport, Hang
from tests.api_parts import ADMIN, JPEG, Running, read_answer, running, settings_of, sides_of

pytestmark = pytest.mark.beside

MIB = 1024 * 1024
HEAD = b"POST /api/detect HTTP/1.1\r\nHost: t\r\nContent-Type: image/jpeg\r\n"
CUT_SHORT = HEAD + b"Content-Length: 100000\r\n\r\n\xff\xd8\xff"
PATHS = ("/api/detect", "/api/detect/batch", "/v1/vision/detection")


@pytest.fixture(scope="module")
def legacy():
    return FakeTransport()


@pytest.fixture(scope="module")
def api(tmp_path_factory, legacy):
    """Impatient, so that what is slow ends soon."""
    settings = settings_of(tmp_path_factory.mktemp("var"), upload_timeout_s=1.0, log_sample=0.0)
    with running(settings, sides_of(legacy)) as api:
        yield api


@pytest.fixture(autouse=True)
def nothing_is_left(api):
    """After whatever was sent, no body is held and the next caller is served."""
    yield
    api.wait_until_nothing_is_held()
    assert api.post("/api/detect", content=sample_jpeg(), headers=JPEG).status_code == 200


def chunked(*chunks: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)


def form_of(name: str, body: bytes) -> bytes:
    return b'--x\r\nContent-Disposition: form-data; name="%b"; filename="a.jpg"\r\n\r\n%b\r\n--x--\r\n' % (
        name.encode(), body,
    )  # fmt: skip


# --- Too much


def test_a_chunked_body_over_the_limit_is_413_while_it_still_comes(api):
    """With no Content-Length; what is left unsaid is far more than what was taken."""
    with api.line() as line:
        line.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        piece = chunked(b"\xff" * MIB)
        for _ in range(11):
            line.sendall(piece)
        assert api.held_bytes <= 10 * MIB + 64 * 1024
        line.sendall(b"0\r\n\r\n")
        answer = read_answer(line)
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"10,485,760" in answer


def test_a_chunked_body_without_end_is_ended(api):
    with api.line() as line:
        line.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        pieces = chunked(b"\xff" * MIB) * 500
        with pytest.raises(ConnectionError):
            line.sendall(pieces)


@pytest.mark.parametrize("length", [b"99999999999", b"9" * 18])
def test_a_declared_length_over_the_limit_is_refused_without_being_waited_for(api, length):
    answer = api.raw(HEAD + b"Content-Length: " + length + b"\r\nConnection: close\r\n\r\n")
    assert answer.startswith((b"HTTP/1.1 413", b"HTTP/1.1 408"))


@pytest.mark.parametrize("length", [b"-5", b"1e3", b"0x10", b"9" * 400])
def test_a_length_that_is_none_is_refused_by_the_server(api, length):
    assert api.raw(HEAD + b"Content-Length: " + length + b"\r\n\r\n\xff\xd8").startswith(b"HTTP/1.1 400")


def test_a_body_shorter_than_declared_is_408_and_a_longer_one_another_request(api):
    assert api.raw(CUT_SHORT).startswith(b"HTTP/1.1 408")
    assert api.raw(HEAD + b"Content-Length: 3\r\n\r\n\xff\xd8\xff and more").startswith(b"HTTP/1.1 400")


def test_length_and_chunks_at_once_are_no_way_to_smuggle(api):
    smuggled = b"GET /api/rollout HTTP/1.1\r\nHost: t\r\n\r\n"
    body = b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" % (5 + len(smuggled))
    assert api.raw(HEAD + body + smuggled).startswith(b"HTTP/1.1 400")


def test_bodies_of_all_callers_together_are_bounded(tmp_path):
    settings = settings_of(tmp_path, max_receiving_bytes=3 * MIB, upload_timeout_s=1.0)
    with running(settings, sides_of()) as small:
        large = sample_jpeg() + b"\x00" * (2 * MIB)
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            asked = [pool.submit(small.post, "/api/detect", content=large, headers=JPEG) for _ in range(6)]
            answers = [one.result() for one in asked]
        assert {answer.status_code for answer in answers} <= {200, 503}
        assert all(answer.headers["Retry-After"] for answer in answers if answer.status_code == 503)
        small.wait_until_nothing_is_held()
        assert small.post("/api/detect", content=large, headers=JPEG).status_code == 200


# --- Too slow, or gone


def test_a_slow_upload_is_ended_and_holds_nobody_up(api):
    with api.line() as line:
        line.sendall(CUT_SHORT)
        assert api.post("/api/detect", content=sample_jpeg(), headers=JPEG).status_code == 200
        answer = read_answer(line)
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"within 1 s" in answer


def test_a_dripping_upload_is_ended_too(api):
    """A byte now and then does not win more time."""
    with api.line() as line:
        line.sendall(CUT_SHORT)
        line.settimeout(0.1)
        for _ in range(100):
            line.sendall(b"\x00")
            try:
                answer = line.recv(4096)
            except TimeoutError:
                continue
            break
    assert answer.startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize("path", PATHS)
def test_an_upload_that_is_half_closed_is_ended_without_an_answer(api, path):
    with api.line() as line:
        line.sendall(CUT_SHORT.replace(b"/api/detect", path.encode()))
        line.shutdown(socket.SHUT_WR)
        line.settimeout(10)
        answer = read_answer(line)
    assert answer == b"" or answer.split(b" ")[1] in {b"408", b"415"}


def test_uploads_that_are_cut_off_leave_nothing_behind(api):
    for abrupt in (False, True) * 20:
        with api.line() as line:
            if abrupt:  # a reset instead of an end
                line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            line.sendall(CUT_SHORT)


def test_a_caller_that_hangs_up_while_a_side_works_is_let_go(api, legacy):
    """Its request ends long before the side answers; what it sent is held no longer."""
    hang = Hang()
    legacy.then(hang)
    before = legacy.calls
    with api.line() as line:
        line.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(sample_jpeg()) + sample_jpeg())
        deadline = time.monotonic() + 10
        while legacy.calls == before:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        assert api.held_bytes == len(sample_jpeg())
    api.wait_until_nothing_is_held(timeout_s=2)
    assert 'outcome="gone"} 1.0' in api.get("/metrics").text


# --- Nonsense


def test_a_thousand_headers_are_no_matter(api):
    headers = JPEG | {f"x-{number}": "v" * 50 for number in range(1000)}
    assert api.post("/api/detect", content=sample_jpeg(), headers=headers).status_code == 200


@pytest.mark.parametrize("name", ["X-API-Key", "X-Request-ID", "X-Deadline-Ms", "If-Match", "traceparent"])
@pytest.mark.parametrize("value", [b"\xff\xfe\x80", b"v" * 50_000, b"", b'"', b"%00"])
def test_no_header_is_more_than_a_problem(api, name, value):
    sent = {**{key: text.encode() for key, text in (JPEG | ADMIN).items()}, name: value}
    for answer in (
        api.post("/api/detect?backend=legacy", content=sample_jpeg(), headers=sent),
        api.post("/v1/vision/detection", content=sample_jpeg(), headers=sent),
        api.get("/api/rollout", headers=sent),
    ):
        assert answer.status_code in {200, 400, 401, 422}


@pytest.mark.parametrize(
    ("query", "status"),
    [
        (b"%", 200), (b"%zz=%zz&camera=%ff%fe", 200), (b"camera=%00", 422), (b"detector=%00", 422),
        (b"camera=" + b"c" * 10_000, 422), (b"min_confidence=%F0%9F%92%A9", 422), (b"&=&=;;??//", 200),
        (b"camera=a&camera=" + b"b" * 201, 422), (b"x=" + b"%41" * 20_000, 414),
    ],
)  # fmt: skip
def test_no_query_is_more_than_a_problem(api, query, status):
    head = HEAD.replace(b"/api/detect", b"/api/detect?" + query)
    answer = api.raw(head + b"Content-Length: %d\r\n\r\n" % len(sample_jpeg()) + sample_jpeg())
    assert answer.startswith(b"HTTP/1.1 %d" % status), answer[:300]


@pytest.mark.parametrize(
    "path", ["/nothing", "//", "/%00", "/api/detect%00", "/api/../api/detect", "/" + "a" * 20_000]
)
@pytest.mark.parametrize("host", [b"t", b"[", b"a b", b"", b"\xff"])
def test_no_path_and_no_host_is_more_than_a_problem(api, path, host):
    answer = api.raw(b"GET %b HTTP/1.1\r\nHost: %b\r\nConnection: close\r\n\r\n" % (path.encode(), host))
    assert answer.split(b" ")[1] in {b"400", b"404", b"405"}, answer[:300]
    assert len(answer) < 2000


@pytest.mark.parametrize("host", [b"[", b"a b", b"", b"\xff", b"evil.example"])
def test_the_console_is_the_same_whatever_host_is_named(api, host):
    def page(name: bytes) -> bytes:
        return api.raw(b"GET / HTTP/1.1\r\nHost: %b\r\nConnection: close\r\n\r\n" % name).partition(
            b"\r\n\r\n"
        )[2]

    assert page(host) == page(b"t") != b""


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "PROPFIND"])
def test_wrong_methods_are_405_with_those_that_are_right(api, method):
    for path in PATHS:
        answer = api.raw(f"{method} {path} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 405")
        assert b"\r\nallow: POST\r\n" in answer


@pytest.mark.parametrize(
    "form",
    [
        b"", b"--x", b"--x\r\n", b"--x--\r\n", b"\x00" * 100, b"--x\r\n\r\n\r\n--x--\r\n",
        form_of("file", b"\x00"), form_of("\x00", b"\x00"), form_of("image", b""),
        form_of("file", b"\x00") * 50, b"--x\r\nContent-Disposition: form-data\r\n\r\n\r\n--x--\r\n",
        b"--x\r\n" + b"A: b\r\n" * 5000 + b"\r\n--x--\r\n",
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", PATHS)
def test_no_form_is_more_than_a_problem(api, path, form):
    answer = api.post(path, content=form, headers={"content-type": "multipart/form-data; boundary=x"})
    assert answer.status_code in {200, 400, 413, 422}
    if answer.status_code == 200:  # a batch of what are no pictures
        assert all(one["error"]["status"] in {400, 415} for one in answer.json()["results"])


@pytest.mark.parametrize(
    "media_type",
    ["multipart/form-data", "multipart/form-data; boundary=", "text/plain", "image/" + "x" * 9000],
)
def test_a_media_type_that_cannot_be_is_told(api, media_type):
    for path in PATHS:
        answer = api.post(path, content=b"x", headers={"content-type": media_type})
        assert answer.status_code in {400, 415}


def test_a_hundred_silent_callers_keep_nobody_out(api: Running):
    lines = [api.line() for _ in range(100)]
    for line in lines:
        line.sendall(CUT_SHORT)
    assert api.post("/api/detect", content=sample_jpeg(), headers=JPEG).status_code == 200
    for line in lines:
        line.close()
