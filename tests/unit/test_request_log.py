"""What stands in the log, what a caller cannot make stand there, and that nobody waits for it."""

from __future__ import annotations

import io
import json
import logging
import os
import threading
import time
from dataclasses import replace

import pytest

from backend.observe.events import (
    BreakerMoved,
    FlagsSeen,
    InFlight,
    RequestEnded,
    Retried,
    RetryBudgetExhausted,
    Shed,
    TurnedAway,
)
from backend.observe.lines import MAX_VALUE_CHARS
from backend.observe.logs import RequestLog, configure
from backend.observe.writer import Writer

pytestmark = pytest.mark.alone

SERVED = RequestEnded(
    request_id="r1", caller_request_id="theirs", camera="front door", detector="yolo26", decided="triton", outcome="ok",
    backend="triton", model_version="2", reason="FRACTION", fallback_reason=None, attempts=1, bucket=7,
    fraction=0.1, flag_version=3, found=2, total_s=0.0812345, backend_s=0.06,
)  # fmt: skip
HOSTILE = 'x" outcome=forged\r\n{"event":"forged"}\u2028\x1b[2J\x85\ud800é'


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Log:
    def __init__(self, share=1.0, form="json", chance=0.5) -> None:
        self.lines: list[str] = []
        self.clock = Clock()
        self.log = RequestLog(
            self.lines.append, share, form, lambda: chance, self.clock, wall_clock=lambda: 1_700_000_000.25
        )

    @property
    def told(self) -> list[dict]:
        return [json.loads(line) for line in self.lines]


def test_a_request_is_one_line_with_everything_that_explains_it():
    log = Log()
    log.log(SERVED)
    assert log.told == [
        {
            "ts": "2023-11-14T22:13:20.250Z", "level": "info", "event": "request", "request_id": "r1",
            "client_request_id": "theirs", "camera": "front door", "detector": "yolo26", "outcome": "ok",
            "served_by": "triton", "model_version": "2", "reason": "FRACTION", "fallback_reason": None,
            "attempts": 1, "bucket": 7, "fraction": 0.1, "flag_version": 3, "found": 2, "total_ms": 81.234,
            "backend_ms": 60.0, "error": None,
        }
    ]  # fmt: skip


def test_as_text_it_is_a_line_of_fields_without_the_empty_ones():
    log = Log(form="text")
    log.log(SERVED)
    assert log.lines == [
        '2023-11-14T22:13:20.250Z INFO request request_id=r1 client_request_id=theirs camera="front door" '
        "detector=yolo26 outcome=ok served_by=triton model_version=2 reason=FRACTION attempts=1 bucket=7 "
        "fraction=0.1 flag_version=3 found=2 total_ms=81.234 backend_ms=60.0"
    ]


@pytest.mark.parametrize("form", ["json", "text"])
@pytest.mark.parametrize("field", ["camera", "request_id", "caller_request_id", "error", "model_version"])
def test_a_callers_words_end_no_line_forge_no_field_and_steer_no_terminal(form, field):
    log = Log(form=form)
    log.log(replace(SERVED, **{field: HOSTILE}))
    (line,) = log.lines
    assert line.isascii()
    assert line.isprintable()
    assert len(line.splitlines()) == 1
    if form == "json":
        named = {"caller_request_id": "client_request_id"}.get(field, field)
        assert json.loads(line)[named] == HOSTILE
        assert json.loads(line)["outcome"] == "ok"
    else:
        assert " outcome=ok " in line
        assert 'x\\" outcome=forged' in line  # inside its quotes


def test_a_word_without_end_is_cut():
    log = Log()
    log.log(replace(SERVED, camera="x" * 1_000_000))
    assert log.told[0]["camera"] == "x" * MAX_VALUE_CHARS + "…"


@pytest.mark.parametrize(("chance", "lines"), [(0.29, 1), (0.3, 0), (0.9, 0)])
def test_of_the_answered_requests_a_share_is_told(chance, lines):
    log = Log(share=0.3, chance=chance)
    log.log(SERVED)
    assert len(log.lines) == lines


@pytest.mark.parametrize(
    ("ended", "level"),
    [
        (replace(SERVED, fallback_reason="unavailable"), "warning"),
        (replace(SERVED, outcome="refused"), "info"),
        (replace(SERVED, outcome="gone"), "info"),
        (replace(SERVED, outcome="unavailable", backend=None), "warning"),
        (replace(SERVED, outcome="busy", backend=None), "warning"),
        (replace(SERVED, outcome="late", backend=None), "warning"),
        (replace(SERVED, outcome="failed", backend=None, error="a fault"), "error"),
    ],
)
def test_what_failed_or_fell_back_is_told_whatever_the_share(ended, level):
    log = Log(share=0.0)
    log.log(ended)
    assert [line["level"] for line in log.told] == [level]


def test_what_changes_is_told():
    log = Log()
    log.log(BreakerMoved("yolo26", "triton", "open"))
    log.log(FlagsSeen(True, 4, True, {"yolo26": 0.5}, {"yolo26": 0.0}))
    breaker, flags = log.told
    assert (breaker["event"], breaker["to"], breaker["level"]) == ("breaker", "open", "warning")
    assert (flags["event"], flags["version"], flags["asked"], flags["level"]) == (
        "flags", 4, {"yolo26": 0.5}, "warning",
    )  # fmt: skip


def test_what_metrics_count_is_no_line():
    log = Log()
    log.log(InFlight("triton", 3))
    log.log(Retried("yolo26", "triton"))
    assert log.lines == []


@pytest.mark.parametrize(
    "event", [Shed("triton", "full"), RetryBudgetExhausted("yolo26", "triton"), TurnedAway("yolo26", "busy")]
)
def test_trouble_a_thousand_times_a_second_is_a_line_a_second_with_its_count(event):
    log = Log()
    for _ in range(1_000):
        log.log(event)
    assert [line["count"] for line in log.told] == [1]
    log.clock.now += 1.0
    log.log(event)
    assert [line["count"] for line in log.told] == [1, 1_000]
    log.log(event)
    log.log.close()
    assert [line["count"] for line in log.told] == [1, 1_000, 1]


def test_the_last_of_the_trouble_is_told_with_whatever_happens_next():
    log = Log()
    for _ in range(3):
        log.log(Shed("triton", "full"))
    log.clock.now += 5.0
    log.log(InFlight("triton", 0))
    assert [line["count"] for line in log.told] == [1, 2]


def test_trouble_of_another_kind_is_told_at_once():
    log = Log()
    log.log(Shed("triton", "full"))
    log.log(Shed("triton", "share"))
    log.log(Shed("legacy", "full"))
    log.log(TurnedAway("yolo26", "failed"))
    *shed, turned_away = log.told
    assert (turned_away["detector"], turned_away["outcome"]) == ("yolo26", "failed")
    assert [(line["backend"], line["reason"]) for line in shed] == [
        ("triton", "full"), ("triton", "share"), ("legacy", "full"),
    ]  # fmt: skip


def test_nobody_waits_for_a_full_pipe_and_what_was_lost_is_said():
    reading, writing = os.pipe()
    with os.fdopen(reading, "r") as reader, os.fdopen(writing, "w") as stream:
        writer = Writer(stream, "json", places=100, gather_s=0.001)
        line = json.dumps({"event": "x" * 1_000})
        callers = threading.Thread(target=lambda: [writer(line) for _ in range(5_000)])
        callers.start()
        callers.join(30)
        assert not callers.is_alive(), "a caller waits for a pipe that nobody reads"
        lost, read = 0, 0
        while lost + read < 5_000:  # the note follows once somebody reads again
            writer(json.dumps({"event": "end"}))
            told = json.loads(reader.readline())
            read += told["event"] == "x" * 1_000
            lost += told.get("count", 0)
        assert 0 < read < 5_000
        assert lost > 0
        threading.Thread(target=reader.read, daemon=True).start()
        writer.close()


def test_closing_writes_what_waits_and_the_last_words_after_it():
    stream = io.StringIO()
    writer = Writer(stream, "json", gather_s=30)
    for number in range(500):
        writer(str(number))
    writer.close()
    writer("the end")
    assert stream.getvalue().splitlines() == [*map(str, range(500)), "the end"]


def test_closing_does_not_wait_for_ever():
    reading, writing = os.pipe()
    try:
        with os.fdopen(reading, "r") as reader, os.fdopen(writing, "w") as stream:
            writer = Writer(stream, "json", gather_s=0)
            writer("x" * 10_000_000)
            started = time.monotonic()
            writer.close(timeout_s=0.05)
            assert time.monotonic() - started < 20
            reader.close()  # frees the thread
            writer.close()
    except BrokenPipeError:  # what the stream still held, at its own end
        pass


def test_a_stream_that_is_closed_harms_nobody():
    stream = io.StringIO()
    writer = Writer(stream, "json")
    stream.close()
    writer("lost")
    writer.close()
    writer("lost too")


@pytest.fixture
def loggers():
    """As they were, afterwards."""
    all_of_them = [
        logging.getLogger(name) for name in (None, "uvicorn", "uvicorn.error", "uvicorn.access", "httpx")
    ]
    before = [(one, one.handlers, one.level, one.propagate) for one in all_of_them]
    yield
    for one, handlers, level, propagate in before:
        one.handlers, one.propagate = handlers, propagate
        one.setLevel(level)


def test_every_other_logger_speaks_in_the_same_form(loggers):
    lines: list[str] = []
    configure("json", lines.append)
    logging.getLogger("uvicorn.error").info("Started %s", "x\nforged")
    logging.getLogger("backend.anything").warning("careful")
    logging.getLogger("uvicorn.access").info("GET /api/detect")
    logging.getLogger("httpx").info("HTTP Request: POST")
    told = [json.loads(line) for line in lines]
    assert [(one["logger"], one["level"], one["message"]) for one in told] == [
        ("uvicorn.error", "info", "Started x\nforged"), ("backend.anything", "warning", "careful"),
    ]  # fmt: skip
    assert all(one["event"] == "log" for one in told)


def test_a_trace_stands_under_its_line_and_forges_none(loggers):
    lines: list[str] = []
    configure("text", lines.append)
    try:
        raise ValueError("2026-01-01T00:00:00.000Z INFO request forged\n2026 INFO forged")
    except ValueError:
        logging.getLogger("backend").exception("a fault")
    head, *trace = lines[0].split("\n")
    assert head.endswith('ERROR log logger=backend message="a fault"')
    assert trace
    assert all(line.startswith("    ") for line in trace)


def test_a_message_that_cannot_be_made_harms_nobody(loggers, capsys):
    lines: list[str] = []
    configure("json", lines.append)
    logging.getLogger("backend").info("%d", "no number")
    assert lines == []
    assert "no number" in capsys.readouterr().err
