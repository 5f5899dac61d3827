"""Traces: from a caller through a real backend to a real legacy service and a real Triton, as a real receiver of OTLP
sees them; what the sides are told where nobody traces; and collectors that nobody may notice."""

from __future__ import annotations

import asyncio
import logging
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import grpc
import httpx
import pytest
from fastapi import FastAPI, Request

from ai.core.sample import sample_jpeg
from ai.web.spans_asked import TracingSettings, spans_asked_for
from ai.web.tracing import MAX_CHARS, followed, passed_on, trace_id
from backend.main import compose_client, create_app
from backend.observe.events import told
from backend.rollout.flags import Flags, View
from backend.rollout.quota import Traffic
from backend.rollout.state import RolloutState
from backend.services.tracing import Traced, Untraced
from backend.settings import Settings
from backend.sides import LEGACY, TRITON
from backend.transports.fake import FakeTransport
from backend.transports.legacy import LegacyTransport
from backend.transports.triton import TritonTarget, TritonTransport
from tests.api_parts import JPEG, asked_in_process, settings_of
from tests.backends import Backend, quick_model, running_backend
from tests.http_servers import serving_app
from tests.legacy_process import legacy_process
from tests.liars import ENCODED, GrpcLiar, HttpLiar, http
from tests.otlp_receiver import Receiver, Seen, otlp_receiver
from tests.services import ROOT, Service
from tests.tritons import RunningTriton, running_triton

SERVER, CLIENT = 2, 3  # kinds of spans, as OTLP numbers them
STAGES = ["decode", "preprocess", "queue", "inference", "postprocess"]
WORKERS = 2


@dataclass(frozen=True)
class Stack:
    receiver: Receiver
    triton: RunningTriton
    legacy: Service
    backend: Backend

    def post(self, flags: str = "01", **headers: str) -> tuple[str, httpx.Response]:
        """A picture with a trace of its caller's: the trace's id, and the answer."""
        trace, parent = secrets.token_hex(16), secrets.token_hex(8)
        sent = {"traceparent": f"00-{trace}-{parent}-{flags}", **headers, **JPEG}
        url = f"{self.backend.url}/api/detect?camera=grandmothers-bedroom"
        answer = httpx.post(url, content=sample_jpeg(), headers=sent, timeout=30, trust_env=False)
        assert answer.status_code == 200, answer.text
        return trace, answer

    def trace(self, trace: str, *names: str) -> list[Seen]:
        """Its spans, once there are some of all these names."""

        def complete(spans: list[Seen]) -> list[Seen]:
            ours = [span for span in spans if span.trace_id == trace]
            return ours if {span.name for span in ours} >= set(names) else []

        self.receiver.until(complete, f"{names} never came in {trace[:6]}")
        return self.receiver.of(trace)

    def seen_in_triton(self) -> str:
        """A trace that is complete. Triton 2.51 itself loses the spans of a few requests in a hundred."""
        sent: list[str] = []

        def complete(spans: list[Seen]) -> str | None:
            sent.append(self.post()[0])
            done = (trace for trace in sent if {"detect", "ask triton", "compute"} <= names(spans, trace))
            return next(done, None)

        return str(self.receiver.until(complete, "no trace came through Triton"))

    def logged(self, trace: str) -> dict[str, Any]:
        """The line of its one request."""
        lines: list[dict[str, Any]] = []

        def written() -> bool:
            lines[:] = [line for line in self.backend.lines("request") if line.get("trace_id") == trace]
            return bool(lines)

        self.backend.until(written, "a request has no line with its trace", 10)
        (line,) = lines
        return line


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """At 100 % Triton, each request compared, two workers."""
    repository = tmp_path_factory.mktemp("models")
    quick_model(repository, "yolo26_jpeg")
    with ExitStack() as stack, ThreadPoolExecutor() as pool:
        receiver = stack.enter_context(otlp_receiver())
        words = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_BSP_SCHEDULE_DELAY": "50"}
        triton_words = [f"--trace-config={word}" for word in (
            "mode=opentelemetry", "rate=0", "level=TIMESTAMPS", f"opentelemetry,url={receiver.url}/v1/traces",
            "opentelemetry,resource=service.name=triton", "opentelemetry,bsp_schedule_delay=50",
        )]  # fmt: skip
        triton_soon = pool.submit(stack.enter_context, running_triton(repository, triton_words))
        legacy = stack.enter_context(legacy_process(**words))
        triton = triton_soon.result()
        backend = stack.enter_context(running_backend(
            legacy=legacy, triton=triton, workers=WORKERS, TRITON_ENABLED="true", TRITON_TRAFFIC_FRACTION="1",
            TRITON_SHADOW_FRACTION="1", TRITON_MAX_RETRIES="0", **words,
        ))  # fmt: skip
        yield Stack(receiver, triton, legacy, backend)


# --- a trace from end to end ------------------------------------------------------------------------------


def test_one_trace_leads_from_the_caller_through_the_backend_into_triton(stack):
    spans = stack.receiver.of(stack.seen_in_triton())
    detect, ask = named(spans, "detect"), named(spans, "ask triton")
    assert (detect.service, detect.kind) == ("crossfade-backend", SERVER)
    assert (ask.service, ask.kind, ask.parent_id) == ("crossfade-backend", CLIENT, detect.span_id)
    ids = {span.span_id for span in spans}
    (outermost,) = [span for span in spans if span.service == "triton" and span.parent_id == ask.span_id]
    inner = [span for span in spans if span.service == "triton" and span is not outermost]
    assert inner
    assert all(span.parent_id in ids for span in inner)
    assert not any(span.failed for span in spans)


def test_a_request_says_who_served_it_and_why_but_not_which_camera(stack):
    trace, answer = stack.post()
    detect = named(stack.trace(trace, "detect"), "detect")
    served_by = answer.json()["served_by"]
    assert {name.removeprefix("crossfade."): value for name, value in detect.attributes.items()} == {
        "request_id": answer.headers["x-request-id"], "detector": "yolo26", "decided": "triton",
        "served_by": "triton", "model_version": "1", "outcome": "ok", "reason": served_by["reason"], "attempts": 1,
        "flag_version": served_by["flag_version"],
    }  # fmt: skip
    assert all("grandmother" not in str(span) for span in stack.receiver.spans)


def test_a_comparison_is_a_trace_of_its_own_linked_to_its_request_and_goes_on_in_the_service(stack):
    trace, _ = stack.post()
    detect = named(stack.trace(trace, "detect"), "detect")
    link = (trace, detect.span_id)
    twin = stack.receiver.until(
        lambda spans: next((span for span in spans if link in span.links), None), "no comparison is linked"
    )
    assert (twin.name, twin.parent_id) == ("compare legacy", "")
    assert twin.trace_id != trace
    served = [span for span in stack.trace(twin.trace_id, "detect", *STAGES) if span.name == "detect"]
    assert (served[0].service, served[0].parent_id) == ("crossfade-legacy", twin.span_id)


def test_a_service_shows_where_a_pictures_time_went(stack):
    twin = stack.receiver.until(
        lambda spans: next((span for span in spans if span.name == "compare legacy"), None), "no comparison"
    )
    spans = stack.trace(twin.trace_id, "detect", *STAGES)
    detect = next(span for span in spans if span.name == "detect")
    stages = [span for span in spans if span.parent_id == detect.span_id]
    assert [span.name for span in stages] == STAGES
    assert all(one.ended_ns == next_one.began_ns for one, next_one in pairwise(stages))
    assert all(detect.began_ns <= span.began_ns <= span.ended_ns <= detect.ended_ns for span in stages)
    assert detect.attributes == {"crossfade.detector": "scripted", "http.response.status_code": 200}


def test_every_worker_sends_its_own_and_probes_are_in_no_trace(stack):
    def heard(spans: list[Seen]) -> set[str]:
        stack.post()
        instances = {span.instance for span in spans if span.service == "crossfade-backend"}
        return instances if len(instances) == WORKERS else set()

    stack.receiver.until(heard, "a worker was never heard")
    probes = stack.backend.attempts("legacy")
    assert probes >= 1  # legacy serves nobody here: all its counted calls are probes
    assert not [span for span in stack.receiver.spans if span.name == "ask legacy"]
    assert not [
        span for span in stack.receiver.spans if span.service == "crossfade-legacy" and not span.parent_id
    ]


def test_a_caller_that_does_not_sample_is_followed_and_not_recorded(stack):
    unsampled = [stack.post(flags="00")[0] for _ in range(10)]
    stack.seen_in_triton()
    assert not [span for span in stack.receiver.spans if span.trace_id in unsampled]
    assert stack.logged(unsampled[0])["outcome"] == "ok"


@pytest.mark.parametrize(
    "wrong", ["", "00-1-2-01", "ff-" + "a" * 32 + "-" + "b" * 16 + "-01", "ü", "x" * 9000]
)
def test_a_malformed_context_begins_a_new_trace_and_is_no_error(stack, wrong):
    _, answer = stack.post(traceparent=wrong.encode("latin-1"), tracestate="a=b")
    request_id = answer.headers["x-request-id"]
    detect = stack.receiver.until(
        lambda spans: next(
            (s for s in spans if s.attributes.get("crossfade.request_id") == request_id), None
        ),
        "a request was not traced",
    )
    assert detect.parent_id == ""


def test_the_log_names_the_trace_and_the_answer_keeps_it_to_itself(stack):
    trace, answer = stack.post(tracestate="vendor=secret")
    said = f"{dict(answer.headers)} {answer.text}"
    assert trace not in said
    assert "secret" not in said
    assert stack.logged(trace)["request_id"] == answer.headers["x-request-id"]


def test_a_fallback_is_two_attempts_of_one_request(stack):
    stack.triton.kill()  # for good: this test is the last that has one
    trace, answer = stack.post()
    spans = stack.trace(trace, "detect", "ask triton", "ask legacy", *STAGES)
    request = next(span for span in spans if span.service == "crossfade-backend" and span.name == "detect")
    asked = [span for span in spans if span.parent_id == request.span_id]
    assert [(span.name, span.failed, span.attributes["crossfade.code"]) for span in asked] == [
        ("ask triton", True, "unavailable"), ("ask legacy", False, "ok"),
    ]  # fmt: skip
    (served,) = [span for span in spans if span.service == "crossfade-legacy" and span.name == "detect"]
    assert served.parent_id == asked[1].span_id
    assert request.attributes["crossfade.fallback_reason"] == "unavailable"
    assert (request.attributes["crossfade.attempts"], request.failed) == (2, False)
    assert answer.json()["served_by"]["backend"] == "legacy"


def names(spans: list[Seen], trace: str) -> set[str]:
    return {span.name for span in spans if span.trace_id == trace}


def named(spans: list[Seen], name: str) -> Seen:
    (found,) = [span for span in spans if span.name == name]
    return found


# --- where nobody traces ----------------------------------------------------------------------------------

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Noted:
    """Every call's headers."""

    seen: list[dict[str, str]]
    headers = property(lambda self: self.seen[-1], lambda self, headers: self.seen.append(headers))

    def __init__(self) -> None:
        self.seen = []
        super().__init__()


class NotedGrpc(Noted, GrpcLiar): ...


class NotedHttp(Noted, HttpLiar): ...


def counting_legacy(seen: list[dict[str, str]]) -> FastAPI:
    app = FastAPI()

    @app.post("/detect")
    async def detect(request: Request) -> dict[str, Any]:
        seen.append(dict(request.headers))
        await request.body()
        return {"detections": [], "inference_time_ms": 1.0, "image_width": 4, "image_height": 4}

    return app


@pytest.mark.parametrize("protocol", ["grpc", "http"])
async def test_both_sides_get_the_callers_context_as_it_came(protocol, tmp_path, monkeypatch):
    monkeypatch.setenv("TRITON_ENABLED", "true")
    monkeypatch.setenv("TRITON_TRAFFIC_FRACTION", "1")
    settings = settings_of(tmp_path, triton_enabled=True, triton_traffic_fraction=1.0, triton_max_retries=0)
    liar = NotedGrpc() if protocol == "grpc" else NotedHttp()
    if isinstance(liar, GrpcLiar):
        liar.status = (grpc.StatusCode.INTERNAL, "no")
    else:
        liar.reply = http(b"{}", "500 No")
    asked: list[dict[str, str]] = []
    address = await liar.start()
    with serving_app(counting_legacy(asked)) as legacy:
        triton = TritonTransport(TritonTarget(address, address, protocol), {"rtdetr": ENCODED})
        sides = {LEGACY: LegacyTransport({"rtdetr": legacy}), TRITON: triton}
        async with asked_in_process(create_app(settings, sides)) as api:
            sent = {"traceparent": PARENT, "tracestate": "vendor=1", **JPEG}
            good = await api.post("/api/detect", content=sample_jpeg(), headers=sent)
            assert good.json()["served_by"]["fallback_reason"] == "server_error", good.text
            sent |= {"traceparent": "00-none-01"}
            bad = await api.post("/api/detect", content=sample_jpeg(), headers=sent)
        for transport in sides.values():
            await transport.close()
    await liar.stop()
    for calls in (asked, liar.seen):
        (one,) = [call for call in calls if call.get("x-request-id") == good.headers["x-request-id"]]
        (other,) = [call for call in calls if call.get("x-request-id") == bad.headers["x-request-id"]]
        assert (one["traceparent"], one["tracestate"]) == (PARENT, "vendor=1")
        assert not {"traceparent", "tracestate"} & set(other)


WITHOUT = """
import asyncio, os, sys
from pathlib import Path
import ai.serving.app, backend.main
assert "opentelemetry.sdk" not in sys.modules
os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://127.0.0.1:9"
for name in ("opentelemetry.sdk", "opentelemetry.exporter", "opentelemetry.proto"):
    sys.modules[name] = None  # its API comes with FastAPI
from ai.core.sample import sample_jpeg
from backend.main import create_app
from tests.api_parts import JPEG, asked_in_process, settings_of, sides_of

async def main():
    sides = sides_of()
    async with asked_in_process(create_app(settings_of(Path(sys.argv[1])), sides)) as api:
        answer = await api.post("/api/detect", content=sample_jpeg(), headers={"traceparent": sys.argv[2], **JPEG})
    assert answer.status_code == 200, answer.text
    asked = [ask for ask in sides["legacy"].asked if ask.request_id == answer.headers["x-request-id"]]
    assert asked[0].headers == {"traceparent": sys.argv[2]}, asked

asyncio.run(main())
"""


def test_without_the_extra_everything_works_and_says_once_what_is_missing(tmp_path):
    """Nor is the library imported where nobody asks for spans."""
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT, str(tmp_path), PARENT],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert (ended.stdout + ended.stderr).count("the extra `tracing` is not installed") == 1


@pytest.mark.parametrize(
    ("said", "asks"),
    [
        ({}, False),
        ({"EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, True),
        ({"EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, True),
        ({"TRACES_EXPORTER": "otlp"}, True),
        ({"TRACES_EXPORTER": "none", "EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, False),
        ({"TRACES_EXPORTER": "otlp", "SDK_DISABLED": "True"}, False),
        ({"EXPORTER_OTLP_ENDPOINT": ""}, False),
    ],
)
def test_spans_are_made_where_opentelemetrys_own_words_ask_for_them(monkeypatch, said, asks):
    for name, word in said.items():
        monkeypatch.setenv(f"OTEL_{name}", word)
    assert TracingSettings().asks_for_spans is asks


# --- what a caller may say --------------------------------------------------------------------------------

STATE = "a=b, c@d=e ,,f/g=h i"
ANOTHER = "cc-" + PARENT[3:-2] + "ff-what-comes-later"
OURS = PARENT[:-2] + "03"


@pytest.mark.parametrize(
    ("came", "goes"),
    [
        ({"Traceparent": PARENT}, {"traceparent": PARENT}),
        ({"traceparent": ANOTHER}, {"traceparent": OURS}),
        ({"traceparent": ANOTHER * 200, "tracestate": "a=b"}, {"traceparent": OURS, "tracestate": "a=b"}),
        ({"traceparent": PARENT + "-more"}, {}),
        ({"traceparent": PARENT.upper()}, {}),
        ({"traceparent": "00-" + "0" * 32 + PARENT[35:]}, {}),
        ({"traceparent": PARENT[:36] + "0" * 16 + "-01"}, {}),
        ({"traceparent": PARENT, "TraceParent": PARENT}, {}),
        ({"tracestate": "a=b"}, {}),
        ({"traceparent": PARENT, "tracestate": STATE}, {"traceparent": PARENT, "tracestate": STATE}),
        ({"traceparent": PARENT, "tracestate": "A=b"}, {"traceparent": PARENT}),
        ({"traceparent": PARENT, "tracestate": "a=b=c"}, {"traceparent": PARENT}),
        ({"traceparent": PARENT, "tracestate": ",".join(f"k{n}=v" for n in range(33))}, {"traceparent": PARENT}),
    ],
)  # fmt: skip
def test_a_context_is_passed_on_if_it_is_one(came, goes):
    assert followed(came) == goes
    assert trace_id(came) == goes.get("traceparent", "")[3:35]


def test_a_state_never_travels_without_its_context():
    sent = {"traceparent": PARENT, "tracestate": "a=b"}
    assert dict(passed_on(sent, "r")) == {"x-request-id": "r", **sent}
    full = "r" * (MAX_CHARS - 10)
    assert dict(passed_on(sent, full)) == {"x-request-id": full}


OLDER = {
    "b3": f"{'c' * 32}-{'d' * 16}-1",
    "x-cloud-trace-context": f"{'e' * 32}/1;o=1",
    "x-amzn-trace-id": "Root=1",
}


@pytest.mark.parametrize("traced", [False, True])
async def test_a_side_is_told_of_one_trace_whatever_words_the_caller_has(traced, tmp_path, monkeypatch):
    """Untraced, the caller's words are the only ones; traced, ours are."""
    monkeypatch.setenv("TRITON_ENABLED", "false")
    asked: list[dict[str, str]] = []
    with otlp_receiver() as receiver, serving_app(counting_legacy(asked)) as legacy:
        if traced:
            monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        side = LegacyTransport({"rtdetr": legacy})
        async with asked_in_process(
            create_app(settings_of(tmp_path), {LEGACY: side, TRITON: FakeTransport()})
        ) as api:
            sent = {**OLDER, "baggage": "a=b", **JPEG}
            answer = await api.post("/api/detect", content=sample_jpeg(), headers=sent)
        await side.close()
    (one,) = [call for call in asked if call.get("x-request-id") == answer.headers["x-request-id"]]
    told_of = {name for name in one if name in {*OLDER, "traceparent", "baggage"}}
    assert told_of == ({"traceparent", "baggage"} if traced else {*OLDER, "baggage"})


def test_a_caller_writes_no_lines_into_the_log_by_a_state_that_opentelemetry_refuses(monkeypatch, caplog):
    """W3C lets a key begin with a digit, the library does not and says so, for each request, in the caller's words."""
    monkeypatch.setattr(logging.getLogger("opentelemetry.trace.span"), "level", logging.NOTSET)
    with otlp_receiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        spans = spans_asked_for("crossfade-test")
        assert spans is not None
        spans.begin("detect", "server", {"traceparent": PARENT, "tracestate": "1a=forged"}).end({})
        spans.close()
    assert "forged" not in caplog.text


# --- collectors that nobody may notice --------------------------------------------------------------------

CALLS = 100


def client_of(tracing: Untraced) -> Callable[[], Any]:
    flags = Flags(View(RolloutState(version=1, fraction=1.0)))
    settings = Settings(_env_file=None, triton_enabled=True, triton_model="yolo26")
    sides = tracing.sides({LEGACY: FakeTransport(), TRITON: FakeTransport()})
    client, _ = compose_client(
        settings, sides, flags, Traffic(60.0).seen, told(*tracing.listeners), begun=tracing.begun
    )
    return lambda: client.detect(sample_jpeg())


async def best_of(detect: Callable[[], Any], rounds: int = 4) -> float:
    """Of the quickest round: what else the machine does is in the others."""
    took: list[float] = []
    for _ in range(rounds):
        started = time.perf_counter()
        for _ in range(CALLS):
            await detect()
        took.append(time.perf_counter() - started)
    return min(took)


@pytest.mark.parametrize("collector", ["dead", "hanging"])
def test_a_collector_that_takes_nothing_costs_no_more_than_one_that_takes_all(collector, monkeypatch):
    """Its queue is full: what a request pays then is what it pays with a collector that is well, and not a wait."""
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "64")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "32")
    if collector == "dead":  # it is tried again for as long as this, behind everybody's back
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.2")
    with otlp_receiver() as well, otlp_receiver() as ill:
        ill.hangs = True
        took = {}
        for name, url in (
            ("well", well.url),
            (collector, ill.url if collector == "hanging" else "http://127.0.0.1:9"),
        ):
            monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
            spans = spans_asked_for("crossfade-test")
            assert spans is not None
            took[name] = asyncio.run(best_of(client_of(Traced(spans))))
            started = time.perf_counter()
            spans.close()
            closing_s = time.perf_counter() - started
        assert well.spans
        assert ill.connections == (collector == "hanging")
    assert took[collector] < 2 * took["well"] + 0.1
    assert closing_s < 5  # the library would wait for half a minute


def test_what_is_wrong_with_tracing_stops_no_start(monkeypatch, caplog):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    assert spans_asked_for("crossfade-test") is None
    assert "not as grpc" in caplog.text
