"""What callers send by mistake or malice, to the running services: a 4xx with a sentence, never a 5xx, never harm."""

from __future__ import annotations

import base64
import concurrent.futures
import json
import socket
import time

import numpy as np
import pytest

from ai.core.sample import sample_jpeg
from tests import pictures
from tests.services import running

pytestmark = pytest.mark.beside

JPEG = {"content-type": "image/jpeg"}
JSON = {"content-type": "application/json"}
FORM = {"content-type": "multipart/form-data; boundary=x"}
UNBOUNDED = {"content-type": "multipart/form-data"}
UPLOAD = b"POST /detect HTTP/1.1\r\nHost: t\r\nContent-Type: image/jpeg\r\nContent-Length: 100000\r\n\r\n\xff"
HALF = len(sample_jpeg()) // 2
MIB = 1024 * 1024


def assert_refused(answer, status: int, *words: str) -> None:
    assert answer.status_code == status, answer.text[:300]
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert len(problem["detail"]) > 15
    for word in words:
        assert word.lower() in problem["detail"].lower(), problem["detail"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        pytest.param(b"", ["empty"], id="empty"),
        pytest.param(b"\xff\xd8", ["2 bytes"], id="two bytes"),
        pytest.param(sample_jpeg()[:HALF], ["JPEG"], id="half a JPEG"),
        pytest.param(b"<!DOCTYPE html><html><body>502 Bad Gateway</body></html>", ["HTML"], id="HTML"),
        pytest.param(b"\x00" * 4096, ["expected JPEG, PNG or WebP"], id="zeros"),
        pytest.param(b"\xff\xd9" + sample_jpeg()[2:], ["expected JPEG, PNG or WebP"], id="wrong magic"),
        pytest.param(pictures.png()[:-200], ["PNG"], id="half a PNG"),
        pytest.param(pictures.webp()[:-200], ["WebP"], id="half a WebP"),
    ],
)
def test_what_is_no_picture_or_a_broken_one_is_400(service, body, words):
    assert_refused(service.post("/detect", content=body, headers=JPEG), 400, *words)


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF", "SVG"])
def test_other_types_of_pictures_are_415_and_named(service, kind):
    data = {name.upper(): body for name, body in pictures.foreign().items()}[kind]
    assert_refused(service.post("/detect", content=data, headers=JPEG), 415, kind, "JPEG, PNG")


@pytest.mark.parametrize("media_type", ["text/plain", "application/pdf", "video/mp4"])
def test_a_body_that_says_it_is_something_else_is_415(service, media_type):
    answer = service.post("/detect", content=sample_jpeg(), headers={"content-type": media_type})
    assert_refused(answer, 415, media_type, "multipart/form-data")


@pytest.mark.parametrize(
    "bomb", [pictures.png_saying(100_000, 100_000), pictures.jpeg_saying(60_000, 60_000), pictures.png_bomb()]
)
def test_too_many_pixels_are_413_before_any_is_decoded(service, bomb):
    assert_refused(service.post("/detect", content=bomb), 413, "25,000,000")


def test_twelve_megabytes_are_413_however_they_are_sent(service):
    large = sample_jpeg() + b"\x00" * (12 * MIB)
    assert_refused(service.post("/detect", content=large, headers=JPEG), 413, "10,485,760")
    assert_refused(service.post("/detect", files={"file": ("a.jpg", large)}), 413, "10,485,760")
    assert_refused(service.post("/detect", json={"image_base64": base64.b64encode(large).decode()}), 413)
    assert_refused(service.post("/detect", content=iter([large[:MIB]] * 12), headers=JPEG), 413)


def test_a_body_without_a_length_is_served_and_one_without_an_end_refused(service):
    """Chunked, with a good picture: served. Chunked and never ending: refused while reading."""
    assert service.post("/detect", content=iter([sample_jpeg()]), headers=JPEG).status_code == 200
    endless = (b"\xff" * MIB for _ in range(60))
    assert_refused(service.post("/detect", content=endless, headers=JPEG), 413, "10,485,760")


@pytest.mark.parametrize("length", [b"0" * 5000 + b"2", b"9" * 30])
def test_an_absurd_length_is_no_fault_of_ours(service, length):
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as line:
        line.sendall(b"POST /detect HTTP/1.1\r\nHost: t\r\nContent-Length: " + length + b"\r\n\r\nab")
        line.shutdown(socket.SHUT_WR)
        answer = line.recv(4096)
    assert answer[:10] in {b"HTTP/1.1 4", b""}, answer[:200]


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(pictures.jpeg_cmyk, id="CMYK"),
        pytest.param(pictures.png_16_bit, id="16-bit"),
        pytest.param(pictures.png_palette, id="palette"),
        pytest.param(lambda: pictures.png_palette(transparent=3), id="palette with a transparent colour"),
        pytest.param(lambda: pictures.png(np.zeros((32, 48, 4), np.uint8)), id="alpha"),
        pytest.param(pictures.png_interlaced, id="interlaced"),
        pytest.param(lambda: pictures.jpeg(np.zeros((32, 48), np.uint8)), id="grey"),
        pytest.param(pictures.webp_animated, id="animated"),
        pytest.param(lambda: pictures.png(np.zeros((1, 1, 3), np.uint8)), id="one pixel"),
        pytest.param(lambda: pictures.png(np.zeros((2, 4000, 3), np.uint8)), id="a line"),
    ],
)
def test_unusual_but_honest_pictures_are_answered(service, make):
    answer = service.post("/detect", content=make())
    assert answer.status_code == 200, answer.text
    assert answer.json()["image_width"] > 0


# --- Where the image should be


@pytest.mark.parametrize(
    ("request_of", "status", "word"),
    [
        pytest.param({"json": {"image_base64": "%%%not base64%%%"}}, 400, "base64", id="bad base64"),
        pytest.param({"json": {"image_base64": "QUJD" * 7}}, 400, "picture", id="base64 of text"),
        pytest.param({"json": {"image_base64": ""}}, 400, "empty", id="empty base64"),
        pytest.param({"json": {"image_base64": 7}}, 422, "image_base64", id="base64 is a number"),
        pytest.param({"json": {}}, 422, "image_base64", id="JSON without the field"),
        pytest.param({"json": ["image_base64"]}, 422, "object", id="JSON that is a list"),
        pytest.param({"content": b"{", "headers": JSON}, 400, "JSON", id="half JSON"),
        pytest.param({"content": b"[" * 100_000, "headers": JSON}, 400, "JSON", id="deep"),
        pytest.param({"content": b"\xff\xfe", "headers": JSON}, 400, "JSON", id="not UTF-8"),
        pytest.param({"data": {"picture": "x"}}, 422, "image_base64", id="form without the field"),
        pytest.param({"files": {"picture": ("a.jpg", sample_jpeg())}}, 422, "'file'", id="no file field"),
        pytest.param({"files": {"file": (None, "text")}}, 422, "'file'", id="file that is text"),
        pytest.param({"files": [("file", ("a.jpg", b"1")), ("file", ("b.jpg", b"2"))]}, 413, "files", id="two files"),
        pytest.param({"content": b"x", "headers": UNBOUNDED}, 400, "boundary", id="no boundary"),
        pytest.param({"content": b"no parts here", "headers": FORM}, 400, "multipart", id="not multipart"),
    ],
)  # fmt: skip
def test_an_image_that_is_not_where_it_should_be_is_told(service, request_of, status, word):
    assert_refused(service.post("/detect", **request_of), status, word)


def test_a_multipart_body_that_ends_early_is_refused(service):
    whole = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n' + sample_jpeg()
    answer = service.post("/detect", content=whole, headers=FORM)
    assert answer.status_code in {400, 422}


@pytest.mark.parametrize("path", ["/detect", "/detect/batch"])
def test_a_hundred_thousand_parts_are_refused_at_the_first_too_many(service, path):
    part = b'--x\r\nContent-Disposition: form-data; name="files"; filename="f"\r\n\r\n.\r\n'
    body = part * 100_000 + b"--x--\r\n"
    answer = service.post(path, content=body, headers=FORM)
    assert_refused(answer, 413, "too many files")


def test_a_hundred_thousand_fields_are_refused_too(service):
    body = b'--x\r\nContent-Disposition: form-data; name="n"\r\n\r\n.\r\n' * 100_000 + b"--x--\r\n"
    answer = service.post("/detect", content=body, headers=FORM)
    assert_refused(answer, 413, "too many fields")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../../etc/passwd", "passwd"),
        ("C:\\Windows\\a.jpg", "a.jpg"),
        ("a" * 4000 + ".jpg", "a" * 255),
        ("", ""),
    ],
)
def test_a_file_name_is_only_ever_text_in_the_answer(service, name, shown):
    """Path-like, very long or missing: the last part comes back, and no file is touched."""
    body = (
        b'--x\r\nContent-Disposition: form-data; name="files"; filename="%s"\r\n\r\n' % name.encode()
        + sample_jpeg()
        + b"\r\n--x--\r\n"
    )
    answer = service.post("/detect/batch", content=body, headers=FORM)
    if name:
        assert answer.json()["results"][0]["filename"] == shown
    else:
        assert answer.status_code in {200, 422}


@pytest.mark.parametrize(
    "charset", ["undefined", "punycode", "unicode_escape", "utf-7", "utf-16", "none-such", '"a;b"']
)
def test_a_forms_charset_cannot_fail_the_service(service, charset):
    """Names are UTF-8, whatever a caller says; a codec that fails, or makes half characters, is not used."""
    body = (
        b'--x\r\nContent-Disposition: form-data; name="files"; filename="\\ud800+2AA-.jpg"\r\n\r\n'
        + sample_jpeg()
        + b"\r\n--x--\r\n"
    )
    form = {"content-type": f"multipart/form-data; charset={charset}; boundary=x"}
    answer = service.post("/detect/batch", content=body, headers=form)
    assert answer.status_code == 200, answer.text
    assert answer.json()["results"][0]["image_width"] == 960


def test_base64_as_people_really_send_it_is_taken(service):
    """Line breaks, a plus that was not escaped, a data URL with parameters, other fields beside it."""
    text = base64.b64encode(sample_jpeg()).decode()
    wrapped = "\r\n".join(text[i : i + 76] for i in range(0, len(text), 76))
    form = {"content-type": "application/x-www-form-urlencoded"}
    answers = [
        service.post("/detect", json={"image_base64": wrapped}),
        service.post("/detect", json={"image_base64": "DATA:image/jpeg;name=a.jpg;base64," + text}),
        service.post("/detect", content=b"image_base64=" + text.encode(), headers=form),
        service.post("/detect", data={"camera": "porch", "image_base64": wrapped}),
    ]
    assert [answer.status_code for answer in answers] == [200] * 4


@pytest.mark.parametrize("body", [b"", b"--x--\r\n"])
def test_a_batch_of_nothing_is_told(service, body):
    answer = service.post("/detect/batch", content=body, headers=FORM)
    assert answer.status_code in {400, 422}
    answer = service.post("/detect/batch", content=sample_jpeg(), headers=JPEG)
    assert_refused(answer, 415, "files")


def test_other_methods_and_paths_are_told(service):
    assert_refused(service.get("/detect"), 405, "GET /detect")
    assert_refused(service.get("/nothing"), 404, "/nothing")


# --- Harm


def test_twenty_bombs_at_once_cost_little_memory_and_health_stays_answered(service):
    """Peak memory stays within 150 MB of idle while 20 of each bomb arrive in parallel."""
    service.post("/detect", content=sample_jpeg(), headers=JPEG)
    bombs = [
        pictures.png_bomb(),
        pictures.png_saying(100_000, 100_000),
        pictures.png_with_metadata_bomb(300 * MIB),
        pictures.png_with_too_many_pixels(300 * MIB),
    ]
    idle_kib = service.memory_kib("VmRSS")
    service.forget_peak_memory()
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        for bomb in bombs:
            asked = [pool.submit(service.post, "/detect", content=bomb, headers=JPEG) for _ in range(20)]
            assert service.get("/health").status_code == 200
            assert all(one.result().status_code < 500 for one in asked)
    grown_mb = (service.memory_kib("VmHWM") - idle_kib) * 1024 / 1e6
    assert grown_mb <= 150


URL_FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize(
    ("make", "headers"),
    [
        pytest.param(lambda: b"[" * (8 * MIB), JSON, id="brackets"),
        pytest.param(lambda: b'{"a":[' + b"[]," * (4 * MIB) + b"[]]}", JSON, id="empty lists"),
        pytest.param(lambda: b'{"image_base64":"' + b"AA " * (4 * MIB) + b'"}', JSON, id="blanks"),
        pytest.param(lambda: b"image_base64=" + b"%41" * (5 * MIB), URL_FORM, id="escapes"),
        pytest.param(lambda: b"&" * (15 * MIB), URL_FORM, id="ampersands"),
    ],
)
def test_a_body_that_is_costly_to_unpack_costs_little_and_holds_nobody_up(yolo26, make, headers):
    """Four at once: memory stays within 150 MB, and /health is never slower than the bodies take to be refused."""
    yolo26.post("/detect", content=sample_jpeg(), headers=JPEG)
    body = make()
    idle_kib = yolo26.memory_kib("VmRSS")
    yolo26.forget_peak_memory()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        started = time.monotonic()
        asked = [pool.submit(yolo26.post, "/detect", content=body, headers=headers) for _ in range(4)]
        slowest = 0.0
        while not all(one.done() for one in asked):
            before = time.monotonic()
            assert yolo26.get("/health").status_code == 200
            slowest = max(slowest, time.monotonic() - before)
        took = time.monotonic() - started
    assert {one.result().status_code for one in asked} <= {400, 413, 422, 503}
    assert (yolo26.memory_kib("VmHWM") - idle_kib) * 1024 / 1e6 <= 150
    assert slowest < max(took, 0.5)


def test_bodies_that_arrive_slowly_take_no_place_from_others():
    """A hundred callers that send their headers and then nothing: others are served as if they were not there."""
    with running("yolo26", UPLOAD_TIMEOUT_S="30") as service:
        lines = []
        for _ in range(100):
            line = socket.create_connection(("127.0.0.1", service.port), timeout=10)
            line.sendall(UPLOAD)
            lines.append(line)
        answers = [service.post("/detect", content=sample_jpeg(), headers=JPEG).status_code for _ in range(3)]
        for line in lines:
            line.close()
    assert answers == [200] * 3


def test_bodies_over_the_budget_are_503_and_nothing_is_held_after():
    with running("yolo26", MAX_RECEIVING_BYTES="3000000") as service:
        large = sample_jpeg() + b"\x00" * (2 * MIB)
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            asked = [pool.submit(service.post, "/detect", content=large, headers=JPEG) for _ in range(6)]
            codes = [one.result().status_code for one in asked]
        assert set(codes) <= {200, 503}
        assert 200 in codes
        assert service.post("/detect", content=large, headers=JPEG).status_code == 200


def read_answer(line: socket.socket) -> bytes:
    """Head and body may come apart; a problem document ends with its brace."""
    answer = b""
    while not answer.endswith(b"}") and (chunk := line.recv(4096)):
        answer += chunk
    return answer


def test_a_slow_upload_is_ended_and_holds_nobody_up():
    """A caller that sends a byte now and then gets 408 when its time is over; others are served meanwhile."""
    with running("yolo26", UPLOAD_TIMEOUT_S="1.0") as service:
        with socket.create_connection(("127.0.0.1", service.port), timeout=10) as line:
            line.sendall(UPLOAD)
            assert service.post("/detect", content=sample_jpeg(), headers=JPEG).status_code == 200
            answer = read_answer(line)
        assert answer.startswith(b"HTTP/1.1 408")
        assert b"1 s" in answer
        service.wait_until_idle()


def test_an_upload_that_is_cut_off_leaves_nothing_behind(service):
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", service.port), timeout=10) as line:
            line.sendall(UPLOAD)
    assert service.post("/detect", content=sample_jpeg(), headers=JPEG).status_code == 200
    service.wait_until_idle()


@pytest.mark.parametrize("codec", ["jpeg", "png", "webp"])
def test_flipped_bytes_get_an_answer_or_a_400_never_a_5xx(yolo26, codec):
    """Sixty damaged copies of a valid file; what the decoder itself does is tested with thousands elsewhere."""
    random = np.random.default_rng(7)
    good = getattr(pictures, codec)(pictures.scene(96, 64))
    codes = set()
    for _ in range(60):
        bad = bytearray(good)
        for position in random.integers(0, len(bad), 3):
            bad[position] ^= int(random.integers(1, 256))
        answer = yolo26.post("/detect", content=bytes(bad))
        codes.add(answer.status_code)
        assert json.loads(answer.text)
    assert codes <= {200, 400, 413, 415}
    assert 400 in codes
