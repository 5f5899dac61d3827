"""The legacy transport against answers that no honest service gives: each is named rightly and harms no other call."""

from __future__ import annotations

import asyncio
import gzip
import inspect
import json
import sys
import time

import httpcore
import httpx
import pytest
import respx
from httpx._transports import default

from ai.core.errors import (
    BackendError,
    DeadlineExceeded,
    InvalidModelOutput,
    ModelNotFound,
    Overloaded,
    Refused,
    ServerError,
    Unavailable,
)
from backend.transports import legacy
from backend.transports.base import Ask
from backend.transports.legacy import LegacyTransport
from backend.transports.legacy_answers import Reply, detections_of
from tests import http_servers
from tests.http_servers import raw_server, sockets_to, until

pytestmark = pytest.mark.alone

SERVICE = "http://legacy.test:8090"
ASK = Ask("rtdetr", b"\xff\xd8 a picture", timeout_s=20.0)
A_CAT = {
    "class": "cat",
    "class_id": 15,
    "confidence": 0.75,
    "bbox": {"x": 1.5, "y": 2, "width": 30, "height": 40},
}
GOOD = {"detections": [A_CAT], "image_width": 640, "image_height": 480, "inference_time_ms": 12.5}
PROBLEM = {"Content-Type": "application/problem+json"}
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
async def side():
    transport = LegacyTransport({"rtdetr": SERVICE})
    yield transport
    await transport.close()


async def answer(side, ask=ASK, **response):
    """What the transport makes of this response."""
    with respx.mock as router:
        router.post(f"{SERVICE}/detect").mock(return_value=httpx.Response(**{"status_code": 200, **response}))
        return await side.detect(ask)


async def fault(side, **response):
    with pytest.raises(BackendError) as raised:
        await answer(side, **response)
    return raised.value


def http(body=b"", status="200 OK", **headers):
    named = {"Content_Length": len(body), **headers}
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in named.items())
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


HONEST = http(json.dumps(GOOD).encode())


# --- what is sent and what comes back ---------------------------------------------------------------------


async def test_a_good_answer_is_detections(side):
    found = await answer(side, json=GOOD)
    (cat,) = found.detections
    assert cat == (1.5, 2, 31.5, 42, 0.75, 15, "cat")
    assert (found.detections.image_width, found.detections.image_height) == (640, 480)
    assert found.model_version == ""


async def test_the_best_comes_first_and_labels_are_the_services_own(side):
    worse = {**A_CAT, "confidence": 0.25, "class": "forklift", "class_id": 9999}
    found = await answer(side, json={**GOOD, "detections": [worse, A_CAT]})
    assert [(one.label, one.class_id) for one in found.detections] == [("cat", 15), ("forklift", 9999)]


async def test_nothing_seen_is_an_answer(side):
    assert len((await answer(side, json={**GOOD, "detections": []})).detections) == 0


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
async def test_the_pictures_own_bytes_are_sent_with_type_deadline_and_trace(side, kind):
    headers = {"TraceParent": TRACEPARENT, "Cookie": "secret", "Authorization": "secret", "B3": "x\r\ny"}
    ask = Ask("rtdetr", kind(b"RIFF picture"), 1.5, media_type="image/webp", request_id="r1", headers=headers)
    with respx.mock as router:
        router.post(f"{SERVICE}/detect").mock(return_value=httpx.Response(200, json=GOOD))
        await side.detect(ask)
        sent = router.calls.last.request
    assert sent.content == b"RIFF picture"
    assert sent.headers["content-type"] == "image/webp"
    assert 1000 < float(sent.headers["x-deadline-ms"]) <= 1500
    assert (sent.headers["traceparent"], sent.headers["x-request-id"]) == (TRACEPARENT, "r1")
    assert not {"cookie", "authorization", "b3"} & set(sent.headers)


async def test_neither_proxies_of_the_environment_nor_cookies_come_into_it(side, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    reply = http(json.dumps(GOOD).encode(), Set_Cookie="a=b")
    async with raw_server(http_servers.says(reply)) as server:
        transport = LegacyTransport({"rtdetr": server.url})
        await transport.detect(ASK)
        await transport.detect(ASK)
        assert b"cookie" not in server.head.lower()
        await transport.close()


async def test_a_call_looks_for_no_module(monkeypatch):
    """httpcore asks for sniffio four times in each: where it is not installed Python searches the disk for it, which
    took a third of the whole call."""
    looked_for = []

    class Watch:
        @staticmethod
        def find_spec(name, *_):
            looked_for.append(name)

    async with raw_server(http_servers.says(http(json.dumps(GOOD).encode()))) as server:
        transport = LegacyTransport({"rtdetr": server.url})
        await transport.detect(ASK)
        monkeypatch.setattr(sys, "meta_path", [Watch, *sys.meta_path])
        await transport.detect(ASK)
        await transport.close()
    assert looked_for == []


# --- statuses ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (201, ServerError),
        (204, InvalidModelOutput),
        (206, InvalidModelOutput),
        (301, ServerError),
        (302, ServerError),
        (307, ServerError),
        (400, Refused),
        (401, ServerError),
        (403, ServerError),
        (404, ModelNotFound),
        (405, ModelNotFound),
        (408, Unavailable),
        (413, Refused),
        (415, Refused),
        (422, Refused),
        (418, ServerError),
        (429, Overloaded),
        (499, ServerError),
        (500, ServerError),
        (501, ServerError),
        (502, Unavailable),
        (503, Unavailable),
        (504, DeadlineExceeded),
        (599, ServerError),
    ],
)
async def test_each_status_is_the_error_that_it_means(side, status, kind):
    error = await fault(side, status_code=status, json={"detail": "planned"}, headers=PROBLEM)
    assert type(error) is kind
    assert str(status) in str(error)


async def test_a_full_queue_is_busy_and_a_service_that_is_not_ready_or_behind_a_proxy_is_away(side):
    again = {"Retry-After": "1"}
    full = {"detail": "64 requests are waiting already, and no more than 64 may"}
    loading = {"detail": "RT-DETR is not ready: loading"}
    assert type(await fault(side, status_code=503, json=full, headers=PROBLEM | again)) is Overloaded
    assert type(await fault(side, status_code=503, json=loading, headers=PROBLEM | again)) is Unavailable
    assert type(await fault(side, status_code=503, html="<h1>later</h1>", headers=again)) is Unavailable


async def test_the_services_sentence_is_passed_on_and_a_page_is_cut_short(side):
    error = await fault(side, status_code=400, json={"detail": "the picture is broken"}, headers=PROBLEM)
    assert "the picture is broken" in str(error)
    error = await fault(side, status_code=500, text="x" * 100_000 + "\n/secret/path.py")
    assert len(str(error)) < 400
    assert "secret" not in str(error)


async def test_a_redirect_is_named_and_not_followed(side):
    with respx.mock(assert_all_called=False) as router:
        elsewhere = router.post("http://elsewhere.test/detect").mock(
            return_value=httpx.Response(200, json=GOOD)
        )
        router.post(f"{SERVICE}/detect").mock(
            return_value=httpx.Response(307, headers={"Location": "http://elsewhere.test/detect"})
        )
        with pytest.raises(ServerError, match=r"redirects .* to http://elsewhere\.test"):
            await side.detect(ASK)
        assert not elsewhere.called


# --- a 200 that is none -----------------------------------------------------------------------------------


def but(**changes):
    """A good answer whose one box is changed; None takes a key out."""
    box = {key: changes.pop(key, value) for key, value in A_CAT["bbox"].items()}
    one = {key: changes.pop(key, value) for key, value in {**A_CAT, "bbox": box}.items()}
    assert not changes
    table = {key: value for key, value in one.items() if value is not None}
    table["bbox"] = (
        {key: value for key, value in box.items() if value is not None} if table.get("bbox") else 0
    )
    return {**GOOD, "detections": [table]}


NONSENSE = {
    "an HTML page": b"<html><body>It works!</body></html>",
    "nothing": b"",
    "JSON that is cut": json.dumps(GOOD).encode()[:-20],
    "no UTF-8": b'{"detections": "\xff\xfe"}',
    "a list": [],
    "null": None,
    "a string": "detections",
    "too deep": b"[" * 100_000,
    "no detections": {key: value for key, value in GOOD.items() if key != "detections"},
    "no width": {key: value for key, value in GOOD.items() if key != "image_width"},
    "no height": {key: value for key, value in GOOD.items() if key != "image_height"},
    "detections as null": {**GOOD, "detections": None},
    "detections as an empty table": {**GOOD, "detections": {}},
    "detections as an empty string": {**GOOD, "detections": ""},
    "detections as zero": {**GOOD, "detections": 0},
    "a detection as null": {**GOOD, "detections": [None]},
    "a detection as a list": {**GOOD, "detections": [[1, 2, 3, 4, 0.5, 1]]},
    "an error for a 200": {"error": "CUDA out of memory"},
    "no box": but(bbox=None),
    "no class": but(**{"class": None}),
    "no class id": but(class_id=None),
    "no confidence": but(confidence=None),
    "no x": but(x=None),
    "no height of a box": but(height=None),
    "x as a string": but(x="1"),
    "width as a bool": but(width=True),
    "confidence as a string": but(confidence="0.5"),
    "confidence over 1": but(confidence=1.01),
    "confidence under 0": but(confidence=-0.01),
    "NaN": json.dumps(but(confidence=float("nan"))).encode(),
    "infinity": json.dumps(but(width=float("inf"))).encode(),
    "a number that is infinity": json.dumps(GOOD).replace("1.5", "1e999").encode(),
    "a number without end": json.dumps(GOOD).replace("1.5", "1" + "0" * 400).encode(),
    "a number of too many digits": json.dumps(GOOD).replace("1.5", "1" + "0" * 10_000).encode(),
    "a box turned around": but(width=-5),
    "a box of no height": but(height=0),
    "a box outside the picture": but(x=700),
    "a class id as a float": but(class_id=1.0),
    "a class id as a bool": but(class_id=True),
    "a class id under 0": but(class_id=-1),
    "a class id too large": but(class_id=10_000),
    "a class without a name": but(**{"class": ""}),
    "a class with a long name": but(**{"class": "x" * 101}),
    "a class that is a number": but(**{"class": 7}),
    "a class of two names": {**GOOD, "detections": [A_CAT, {**A_CAT, "class": "dog"}]},
    "a picture of no size": {**GOOD, "image_width": 0},
    "a picture of negative size": {**GOOD, "image_height": -480},
    "a width as a float": {**GOOD, "image_width": 640.0},
    "a width as a string": {**GOOD, "image_width": "640"},
    "a width as a bool": {**GOOD, "image_width": True},
    "a width beyond reason": {**GOOD, "image_width": 10**7},
}


@pytest.mark.parametrize("what", NONSENSE)
async def test_nonsense_is_never_an_empty_scene(side, what):
    body = NONSENSE[what]
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    assert type(await fault(side, content=content)) is InvalidModelOutput


async def test_a_compressed_answer_is_not_unpacked(side):
    bomb = gzip.compress(b" " * 50_000_000 + json.dumps(GOOD).encode())
    error = await fault(side, content=bomb, headers={"Content-Encoding": "gzip"})
    assert type(error) is InvalidModelOutput
    assert "compress" in str(error)


async def test_an_answer_without_end_is_cut_and_its_connection_with_it():
    body = json.dumps(GOOD).encode() + b" " * 100_000
    flood = http_servers.floods(b"HTTP/1.1 200 OK\r\n\r\n", body)
    async with raw_server(flood) as server:
        transport = LegacyTransport({"rtdetr": server.url})
        with pytest.raises(InvalidModelOutput, match="too large"):
            await transport.detect(ASK)
        await until(lambda: sockets_to(server.url) == 0, "the flooding connection is still open")
        await transport.close()


async def test_twenty_thousand_boxes_that_could_be_are_not_read_while_all_callers_wait(side):
    """On the event loop they take as long as a hundred requests."""
    content = json.dumps({**GOOD, "detections": [A_CAT] * 20_000}).encode()
    error = await fault(side, content=content)
    assert type(error) is InvalidModelOutput
    assert "too large" in str(error)


async def test_a_problem_without_end_is_read_as_far_as_needed():
    flood = http_servers.floods(b"HTTP/1.1 500 Oh\r\n\r\n", b"x" * 100_000)
    async with raw_server(flood) as server:
        transport = LegacyTransport({"rtdetr": server.url})
        with pytest.raises(ServerError, match="500"):
            await transport.detect(ASK)
        await transport.close()


def test_an_answer_is_read_in_less_time_than_its_json():
    """A control in the same run: to believe an answer costs no more than a few times what unpacking it does."""
    boxes = [{**A_CAT, "class_id": n % 80, "class": f"class {n % 80}"} for n in range(300)]
    content = json.dumps({**GOOD, "detections": boxes}).encode()

    def best(work):
        def once():
            started = time.perf_counter()
            work()
            return time.perf_counter() - started

        return min(once() for _ in range(20))

    reading = best(lambda: detections_of(Reply(200, {}, content)))
    assert reading < 4 * best(lambda: json.loads(content))


# --- connections that misbehave ---------------------------------------------------------------------------


BROKEN = {
    "it hangs up at once": (http_servers.hangs_up_after(b""), Unavailable),
    "it hangs up within the head": (http_servers.hangs_up_after(HONEST[:20]), Unavailable),
    "it hangs up within the body": (http_servers.hangs_up_after(HONEST[:-10]), Unavailable),
    "it half-closes at once": (http_servers.half_closes_after(b""), Unavailable),
    "it half-closes within the body": (http_servers.half_closes_after(HONEST[:-10]), Unavailable),
    "it speaks no HTTP": (http_servers.hangs_up_after(b"SSH-2.0-OpenSSH_9.2\r\n"), Unavailable),
    "its head has no end": (http_servers.floods(b"HTTP/1.1 200 OK\r\n", b"X-Filler: " + b"x" * 500), Unavailable),
    "its length is a lie": (http_servers.says(http(b"{}", Content_Length=50)), DeadlineExceeded),
    "its length is no number": (http_servers.says(http(b"{}", Content_Length="x")), Unavailable),
    "it never answers": (http_servers.hangs, DeadlineExceeded),
    "it only ever continues": (http_servers.floods(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), DeadlineExceeded),
    "it drips its head": (http_servers.drips(HONEST), DeadlineExceeded),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
async def test_a_connection_that_misbehaves_ends_in_time_and_the_next_call_is_answered(what):
    behaviour, kind = BROKEN[what]
    async with raw_server(behaviour) as server:
        transport = LegacyTransport({"rtdetr": server.url}, connections=2)
        for _ in range(4):
            with pytest.raises(kind):
                async with asyncio.timeout(10):
                    await transport.detect(Ask("rtdetr", b"", timeout_s=0.15))
        await until(lambda: sockets_to(server.url) == 0, "a bad connection is kept")
        server.behave = http_servers.says(HONEST)
        found = await asyncio.gather(*(transport.detect(ASK) for _ in range(10)))
        assert [len(one.detections) for one in found] == [1] * 10
        await transport.close()


async def test_an_honest_answer_before_a_half_close_is_taken():
    async with raw_server(http_servers.half_closes_after(HONEST)) as server:
        transport = LegacyTransport({"rtdetr": server.url})
        for _ in range(3):
            assert len((await transport.detect(ASK)).detections) == 1
        await transport.close()


async def test_a_service_that_drips_harms_nobody_who_asks_another():
    """All that may ask the dripping one do, and more; the other answers as if nothing were."""
    async with (
        raw_server(http_servers.drips(HONEST)) as dripping,
        raw_server(http_servers.says(HONEST)) as well,
    ):
        transport = LegacyTransport({"yolo26": dripping.url, "rtdetr": well.url}, connections=8)
        stuck = [asyncio.create_task(transport.detect(Ask("yolo26", b"", timeout_s=20))) for _ in range(30)]
        await until(lambda: dripping.connections == 8, "it is not asked")
        found = await asyncio.gather(*(transport.detect(ASK) for _ in range(50)))
        assert len(found) == 50
        assert not any(task.done() for task in stuck)
        for task in stuck:
            task.cancel()
        ended = await asyncio.gather(*stuck, return_exceptions=True)
        assert all(isinstance(one, asyncio.CancelledError) for one in ended)
        dripping.behave = http_servers.says(HONEST)
        again = (transport.detect(Ask("yolo26", b"", timeout_s=20)) for _ in range(20))
        assert len(await asyncio.gather(*again)) == 20
        await transport.close()


async def test_who_finds_every_connection_taken_until_its_time_is_over_hears_that_it_is_busy():
    async with raw_server(http_servers.hangs) as server:
        transport = LegacyTransport({"rtdetr": server.url}, connections=1)
        first = asyncio.create_task(transport.detect(ASK))
        await until(lambda: server.connections == 1, "it is not asked")
        with pytest.raises(Overloaded, match="No connection"):
            await transport.detect(Ask("rtdetr", b"", timeout_s=0.05))
        await transport.close()
        with pytest.raises(Unavailable):
            await first


async def test_whoever_waits_for_a_connection_when_it_goes_to_rest_opens_none():
    async with raw_server(http_servers.hangs) as server:
        transport = LegacyTransport({"rtdetr": server.url}, connections=1)
        calls = [asyncio.create_task(transport.detect(ASK)) for _ in range(3)]
        await until(lambda: server.connections == 1, "it is not asked")
        await transport.rest()
        ended = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(one) for one in ended] == [Unavailable] * 3
        await until(lambda: server.connections == 0, "a connection is left")
        assert sockets_to(server.url) == 0
        await transport.close()


async def test_connections_are_used_again(side):
    seen = []

    async def behave(_, writer):
        seen.append(writer)
        writer.write(HONEST)

    async with raw_server(behave) as server:
        transport = LegacyTransport({"rtdetr": server.url})
        for _ in range(10):
            await transport.detect(ASK)
        assert len(set(seen)) == 1
        await transport.close()


# --- the boundary -----------------------------------------------------------------------------------------

# What httpx raises only for calls that the transport does not make.
NOT_RAISED_HERE = (
    httpx.InvalidURL,  # when the transport is made; settings checked it before
    httpx.CookieConflict,
    httpx.StreamError,  # a body is read once, and while it is open
    httpx.HTTPStatusError,
    httpx.TooManyRedirects,
    httpx.DecodingError,
)


def leaves(module):
    """The exceptions of a library that stand above no other one: those which are raised."""
    kinds = [one for _, one in inspect.getmembers(module, inspect.isclass) if issubclass(one, Exception)]
    return [one for one in kinds if not any(other is not one and issubclass(other, one) for other in kinds)]


def test_every_exception_of_httpx_is_mapped():
    for one in leaves(httpx):
        assert issubclass(one, (*legacy.LIBRARY_ERRORS, *NOT_RAISED_HERE)), one


def test_every_exception_of_httpcore_becomes_one_of_httpx_or_is_mapped():
    with pytest.raises(httpx.PoolTimeout), default.map_httpcore_exceptions():
        raise httpcore.PoolTimeout
    for one in leaves(httpcore):
        assert issubclass(one, (*legacy.LIBRARY_ERRORS, *default.HTTPCORE_EXC_MAP)), one


@pytest.mark.parametrize("foreign", [one for one in leaves(httpx) if not issubclass(one, NOT_RAISED_HERE)])
async def test_no_foreign_exception_comes_out(side, foreign):
    with respx.mock:
        respx.post(f"{SERVICE}/detect").mock(side_effect=foreign("planned"))
        with pytest.raises(BackendError) as raised:
            await side.detect(ASK)
    assert isinstance(raised.value.__cause__, foreign)


async def test_names_that_lead_nowhere_are_unavailable():
    for url in ("http://no-such-host.invalid:80", f"http://{'a' * 70}.test:80"):
        transport = LegacyTransport({"rtdetr": url})
        with pytest.raises(Unavailable):
            await transport.detect(ASK)
        await transport.close()


async def test_a_detector_without_a_service_is_not_found(side):
    with pytest.raises(ModelNotFound, match="yolo99"):
        await side.detect(Ask("yolo99", b"", 1.0))
