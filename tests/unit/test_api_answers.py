"""What the API makes of a query, of detections and of errors."""

from __future__ import annotations

import contextlib

import pytest
from fastapi import Request
from hypothesis import given
from hypothesis import strategies as st

from ai.core.detections import Detections, Thresholds
from ai.core.labels import COCO_80
from ai.web.problems import Problem
from ai.web.tracing import passed_on
from backend.api.asked import Asked
from backend.api.deepstack import MAX_PREDICTIONS, predictions
from backend.api.errors import not_served
from backend.api.upload import introduced
from backend.services.errors import AllRefused, NoSide, SideOff, TooBusy, TooLate, UnknownDetector


def request_of(query: bytes = b"", **headers: bytes) -> Request:
    raw = [(name.replace("_", "-").encode(), value) for name, value in headers.items()]
    return Request({"type": "http", "query_string": query, "headers": raw})


def test_nothing_asked_leaves_everything_to_the_settings():
    for query in (b"", b"detector=&camera=&min_confidence=&backend=", b"colour=blue&detektor=x", b"&&==&"):
        assert Asked.of(request_of(query)) == Asked()


def test_what_is_asked_is_read():
    query = b"detector=yolo26&camera=front%20door%20%C3%A9&min_confidence=0&backend=legacy"
    assert Asked.of(request_of(query)) == Asked("yolo26", "front door é", Thresholds(0.0), "legacy")


@pytest.mark.parametrize(
    ("query", "words"),
    [
        (b"min_confidence=nan", "a number from 0 to 1"),
        (b"min_confidence=1.01", "a number from 0 to 1"),
        (b"min_confidence=-0.1", "a number from 0 to 1"),
        (b"min_confidence=1e999", "a number from 0 to 1"),
        (b"min_confidence=half", "'half'"),
        (b"backend=both", "legacy or triton"),
        (b"backend=Triton", "legacy or triton"),
        (b"camera=" + b"x" * 201, "at most 200"),
        (b"detector=" + b"x" * 10_000, "at most 200"),
        (b"camera=a%00b", "cannot be printed"),
        (b"camera=a%0d%0ab", "cannot be printed"),
    ],
)
def test_a_value_that_cannot_be_is_a_422_that_says_what_can(query, words):
    with pytest.raises(Problem, match=words) as refused:
        Asked.of(request_of(query))
    assert refused.value.status == 422
    assert len(refused.value.detail) < 200


def test_a_query_without_end_is_414():
    with pytest.raises(Problem, match="at most 16,384") as refused:
        Asked.of(request_of(b"camera=a&" * 5000))
    assert refused.value.status == 414


@given(st.binary(max_size=300))
def test_no_query_is_more_than_a_problem(query):
    with contextlib.suppress(Problem):
        camera = Asked.of(request_of(query)).camera
        assert camera is None or camera.isprintable()


@pytest.mark.parametrize(
    ("theirs", "echoed"),
    [(b"abc-123", "abc-123"), (b"a b\tc\xffd\x7f", "abcd"), (b"x" * 500, "x" * 128), (b" \t", None), (None, None)],
)  # fmt: skip
def test_a_callers_own_id_is_echoed_without_what_a_header_or_a_log_could_trip_over(theirs, echoed):
    request = request_of(**({} if theirs is None else {"x_request_id": theirs}))
    about = introduced(request)
    headers = request.scope["state"]["answer_headers"]
    assert headers.get("X-Client-Request-ID") == echoed
    assert about.caller_request_id == (echoed or "")
    assert headers["X-Request-ID"] == about.request_id != echoed


@pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [
        (UnknownDetector("x"), 422, None),
        (AllRefused("x"), 422, None),
        (SideOff("x"), 409, None),
        (TooBusy("x", 0.05), 503, "1"),
        (NoSide("x", 3.2), 503, "4"),
        (TooLate("x"), 504, None),
    ],
)
def test_each_way_not_to_be_served_has_its_status(error, status, retry_after):
    problem = not_served(error)
    assert (problem.status, problem.headers.get("Retry-After")) == (status, retry_after)
    assert problem.detail == "x"


# --- DeepStack

LABELS = ("ghost", *COCO_80)  # of a detector of somebody's own


def found(*rows: tuple[float, float, float, float, float, float]) -> Detections:
    return Detections.from_table([tuple(map(float, row)) for row in rows], 320, 240, LABELS)


def test_frigate_gets_the_certain_first_and_last_what_it_would_stop_at():
    told = predictions(found((0, 0, 9, 9, 0.99, 0), (0, 0, 9, 9, 0.5, 1), (0, 0, 9, 9, 0.9, 3)))
    assert [(one["label"], one["confidence"]) for one in told] == [
        ("car", 0.9), ("person", 0.5), ("ghost", 0.99),
    ]  # fmt: skip


def test_frigate_gets_no_more_than_it_has_room_for_and_loses_the_least_certain():
    told = predictions(found(*[(0, 0, 9, 9, (index + 1) / 100, 1) for index in range(60)]))
    assert [one["confidence"] for one in told] == [score / 100 for score in range(60, 40, -1)]
    assert len(told) == MAX_PREDICTIONS == 20


def test_an_unknown_label_takes_no_place_from_a_known_one():
    ghosts = [(0, 0, 9, 9, 0.99, 0)] * 30
    assert [one["label"] for one in predictions(found(*ghosts, (0, 0, 9, 9, 0.1, 1)))][:2] == [
        "person",
        "ghost",
    ]


def test_corners_are_whole_pixels_of_the_picture():
    (told,) = predictions(found((-0.9, -0.4, 320.9, 239.5, 0.9, 1)))
    assert told == {
        "label": "person", "confidence": 0.9, "x_min": 0, "y_min": 0, "x_max": 320, "y_max": 240,
    }  # fmt: skip
    assert all(type(told[side]) is int for side in ("x_min", "y_min", "x_max", "y_max"))


def test_headers_that_a_side_would_choke_on_do_not_travel_and_ours_always_does():
    """More than 8 KiB of metadata fails a gRPC call, and would open a breaker for what one caller sent."""
    traceparent = f"00-{'a' * 32}-{'b' * 16}-01"
    sent = {
        "baggage": "b" * 4000,
        "tracestate": "t=" + "t" * 200,
        "TraceParent": traceparent,
        "x-request-id": "theirs",
    }
    kept = dict(passed_on(sent, "ours"))
    assert kept["x-request-id"] == "ours"
    assert kept["traceparent"] == traceparent
    assert kept["tracestate"] == sent["tracestate"]
    assert "baggage" not in kept
    assert sum(map(len, kept.values())) <= 4096
    assert dict(passed_on({"baggage": "b" * 10**6}, "ours")) == {"x-request-id": "ours"}
