"""How a look becomes messages: what is introduced when, what is owed, how often a backend is asked."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise

import pytest

from backend.home.entities import Message, Names
from backend.home.look import Counts, Flags, Look, flags_of, sides_of
from backend.home.publishing import Publisher
from backend.home.story import Story
from backend.home.watching import READY, ROLLOUT, TRAFFIC, Watching
from backend.rollout.ramps import Ramp
from backend.rollout.state import RolloutState
from backend.stack.backend_api import BackendApi
from backend.stack.signals import asked_to_end

DETECTOR = "yolo26"
NAMES = Names("homeassistant", "crossfade", 10)
SERVES: dict = {DETECTOR: {"legacy": "serves", "triton": "not asked"}}


class Line:
    """Takes what it is sent, unless it is down."""

    def __init__(self) -> None:
        self.is_up = True
        self.batches: list[list[str]] = []  # topics

    def send(self, messages: Sequence[Message]) -> bool:
        if self.is_up:
            self.batches.append([message.topic for message in messages])
        return self.is_up


def seen() -> Look:
    return Look(time.monotonic(), sides=SERVES, counts={DETECTOR: Counts({"ok": 0})})


def publisher(look: Callable[[], Look] = seen, usual: Sequence[str] = (DETECTOR,)) -> Publisher:
    return Publisher(look, Story(NAMES, usual), NAMES, lambda _: None)


def configs(batch: Sequence[str]) -> int:
    return sum(topic.endswith("/config") for topic in batch)


# --- what is introduced -------------------------------------------------------------------------------------


def test_detectors_that_the_backend_has_not_are_taken_away_again():
    looks, line = iter([Look(0, away="silent"), seen()]), Line()
    one = publisher(lambda: next(looks), ["rtdetr", DETECTOR])
    told: list[Message] = []
    one.once(line.send)
    one.once(lambda messages: not told.extend(messages))
    emptied = {message.topic for message in told if not message.payload}
    assert emptied == {message.topic for message in NAMES.forgetting("rtdetr")}


def test_what_could_not_be_told_is_owed():
    line = Line()
    one = publisher()
    line.is_up = False
    one.once(line.send)
    line.is_up = True
    one.once(line.send)
    one.once(line.send)
    assert [configs(batch) > 0 for batch in line.batches] == [True, False]
    one.hear()
    line.is_up = False
    one.once(line.send)
    line.is_up = True
    one.once(line.send)
    assert configs(line.batches[-1]) > 0


# --- how often, and how it ends -----------------------------------------------------------------------------


def test_a_storm_of_births_asks_the_backend_no_oftener_than_it_may(monkeypatch):
    """Nor seldomer than once in its time: a birth is heard."""
    monkeypatch.setattr("backend.home.publishing.LEAST_S", 0.25)
    line, looks = Line(), []
    one = publisher(lambda: looks.append(time.monotonic()) or seen())
    thread = threading.Thread(target=one.run, args=(line.send, 60.0))
    thread.start()
    ends_at = time.monotonic() + 0.4
    while time.monotonic() < ends_at:
        one.hear()
        time.sleep(0.001)
    one.stop()
    thread.join(10)
    assert not thread.is_alive()
    gaps = [later - earlier for earlier, later in pairwise(looks)]
    assert gaps
    assert min(gaps) >= 0.25
    assert configs(line.batches[1]) > 0


def test_a_signal_ends_it_while_it_waits():
    line = Line()
    one = publisher()
    began = time.monotonic()
    with asked_to_end(one.stop):
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()
        one.run(line.send, 60.0)
    assert time.monotonic() - began < 30
    assert len(line.batches) == 1


# --- what is read out of the backend's documents ----------------------------------------------------------


@pytest.mark.parametrize("rolled_back", [False, True])
def test_a_rollback_is_what_the_rollouts_own_state_calls_one(rolled_back):
    state = RolloutState(fraction=0.3, ramps={DETECTOR: Ramp("a", (0.5, 1.0), phase="running", step=0)})
    state = state.rolled_back() if rolled_back else state
    table = json.loads(json.dumps(state.to_table())) | {"effective": {DETECTOR: 0.25}}
    flags = flags_of(table)[DETECTOR]
    phase = "ended" if rolled_back else "running"
    assert flags == Flags(state.fraction_of(DETECTOR), 0.25, phase, state.is_rolled_back(DETECTOR))
    assert flags.rolled_back is rolled_back


def test_a_side_without_a_lane_is_not_asked():
    lane = {"detector": DETECTOR, "backend": "triton", "allowed": True, "breaker": "closed", "heard": True}
    assert sides_of([lane]) == {DETECTOR: {"legacy": "not asked", "triton": "serves"}}


def test_a_side_that_is_only_compared_with_serves_no_caller():
    lane = {"detector": DETECTOR, "backend": "triton", "allowed": True, "breaker": "closed", "heard": True}
    assert sides_of([lane | {"for_callers": False}])[DETECTOR]["triton"] == "compared"
    assert sides_of([lane | {"for_callers": False, "breaker": "open"}])[DETECTOR]["triton"] == "fails"
    with pytest.raises(KeyError):
        sides_of([lane | {"backend": "somewhere"}])


# --- a backend that says strange things ---------------------------------------------------------------------

LANE = {"detector": DETECTOR, "backend": "legacy", "allowed": True, "breaker": "closed", "heard": True,
        "for_callers": True, "in_flight": 0}  # fmt: skip
FIGURES = {"detectors": {DETECTOR: {"sides": {}, "unserved": {"late": 0}}}, "edges_s": [1.0]}
WELL = {
    READY: (200, json.dumps({"lanes": [LANE]})),
    TRAFFIC: (200, json.dumps(FIGURES)),
    ROLLOUT: (200, json.dumps({
        "effective": {DETECTOR: 0}, "fraction": 0, "overrides": {}, "ramps": {}, "pins_suspended": [],
    })),
}  # fmt: skip
HTML = "<html><title>502 Bad Gateway</title></html>"


@contextmanager
def strange_backend(**answers: tuple[int, str]) -> Iterator[str]:
    """`READY=(status, body)` and so on, in place of what a well one says; status 0 drips for ever."""
    told = WELL | {
        {"READY": READY, "TRAFFIC": TRAFFIC, "ROLLOUT": ROLLOUT}[name]: a for name, a in answers.items()
    }
    over = threading.Event()

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = told[self.path]
            self.send_response(status or 200)
            self.end_headers()
            try:
                while not status and not over.wait(0.02):
                    self.wfile.write(b" ")
                self.wfile.write(body.encode())
            except OSError:  # who asked has left
                return

        def log_message(self, *_: object) -> None:
            """Into no test's output."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        over.set()
        server.shutdown()
        thread.join()
        server.server_close()


def looked(url: str, patience_s: float = 3.0) -> Look:
    return Watching(BackendApi(url, None), patience_s=patience_s).look()


def test_a_backend_that_is_well_is_read_whole():
    with strange_backend() as url:
        look = looked(url)
    assert look.sides == SERVES
    assert look.counts[DETECTOR].outcomes == {"late": 0}
    assert look.flags[DETECTOR].effective == 0
    assert (look.away, look.missing) == ("", "")


@pytest.mark.parametrize(
    "ready",
    [
        (200, "null"), (200, "{}"), (200, '{"lanes": null}'), (200, '{"lanes": [null]}'), (200, HTML), (502, HTML),
        (200, '{"lanes": [{"detector": "yolo26", "backend": "third", "allowed": true}]}'), (302, ""), (0, ""),
        (200, "[" * 100_000),
    ],
    ids=lambda answer: f"{answer[0]} {answer[1][:16]}",
)  # fmt: skip
def test_a_backend_that_does_not_say_who_serves_is_away(ready):
    with strange_backend(READY=ready) as url:
        assert looked(url, 0.3).away


@pytest.mark.parametrize(
    "traffic",
    [
        (401, "{}"), (404, "{}"), (500, HTML), (200, HTML), (200, "null"), (200, '{"detectors": null}'),
        (200, '{"detectors": {"yolo26": {"sides": {}, "unserved": {"late": null}}}, "edges_s": []}'),
        (200, '{"detectors": {"yolo26": {"sides": {}, "unserved": {"late": Infinity}}}, "edges_s": []}'), (0, ""),
    ],
    ids=lambda answer: f"{answer[0]} {answer[1][:16]}",
)  # fmt: skip
def test_counters_that_cannot_be_read_are_missing_and_all_else_is_told(traffic):
    with strange_backend(TRAFFIC=traffic) as url:
        look = looked(url, 0.3)
    assert (look.away, look.sides) == ("", SERVES)
    assert look.missing
    assert not look.counts
    assert look.flags


def test_a_rollout_that_cannot_be_read_takes_no_counter_away():
    with strange_backend(ROLLOUT=(503, "{}")) as url:
        look = looked(url)
    assert look.counts
    assert not look.flags
    assert "/api/rollout answers 503" in look.missing


def test_a_password_in_the_backends_address_is_not_published():
    for url in ("http://me:hidden@127.0.0.1:9", "http://me:hid@den@127.0.0.1:9/x"):
        look = looked(url)
        assert "127.0.0.1:9" in look.away
        assert "hid" not in look.away
