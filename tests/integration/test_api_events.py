"""What is new is told at once: to many, to slow ones, to ones that go, and until the server ends."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from backend.api import events
from backend.ramp.looks import Look
from tests.api_parts import ADMIN, VIEWER, Running, ramped_settings_of, running, sides_of
from tests.backends import running_backend
from tests.listening import EVENTS, listening
from tests.ramp_orders import keep_look, started

if TYPE_CHECKING:
    from backend.observe.metrics import Metrics

pytestmark = pytest.mark.beside


@pytest.fixture
def api(tmp_path, nothing_said_of_flags, monkeypatch) -> Iterator[Running]:
    """Its workers' signs of life change twenty times a second, and are no news."""
    monkeypatch.setenv("TRITON_ENABLED", "true")
    settings = ramped_settings_of(tmp_path, log_sample=0.0, rollout_heartbeat_s=0.05)
    with running(settings, sides_of()) as api:
        yield api


def change(api: Running, **flags: object) -> None:
    headers = {**ADMIN, "If-Match": "*"}
    answer = httpx.put(f"{api.url}/api/rollout", headers=headers, json=flags, timeout=30, trust_env=False)
    assert answer.status_code == 200, answer.text


def news_of(api: Running) -> events.News:
    return api.app.state.news


def until(holds: Callable[[], bool], why: str) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline, why
        time.sleep(0.01)


def test_what_stands_is_told_at_once_and_then_each_change_and_nothing_else(api):
    with listening(api.url) as listener:
        assert listener.answer.headers["content-type"].startswith("text/event-stream")
        assert listener.answer.headers["cache-control"] == "no-store"
        assert int(listener.line("retry: ").removeprefix("retry: ")) >= 1000
        first = listener.next()
        shown = api.get("/api/rollout", headers=VIEWER).json()
        assert (first.event, first.id) == ("rollout", "1")
        assert first.document | {"workers": ...} == shown | {"workers": ...}
        for fraction in (0.1, 0.2, 0.3):
            change(api, fraction=fraction)
            told = listener.next()
            while told.document["fraction"] != fraction or told.document["workers"][0]["version"] < int(
                told.id
            ):
                assert told.event == "rollout"
                told = listener.next()


def test_each_new_look_is_told_to_everybody_and_one_looks_for_all(api):
    epoch = started(api)
    with ExitStack() as all_of_them:
        listeners = [all_of_them.enter_context(listening(api.url)) for _ in range(5)]
        for listener in listeners:
            assert listener.next("rollout").document["ramps"]["yolo26"]["epoch"] == epoch
        for words in ("hold: 1 of 400", "hold: 2 of 400"):
            keep_look(api, Look("yolo26", epoch, time.time(), "hold", words))
            assert {listener.next("look").document["words"] for listener in listeners} == {words}
        looking = [task for task in asyncio.all_tasks(api.loop) if task.get_name() == "news"]
        assert len(looking) == 1


def test_who_comes_later_is_told_the_last_look_too(api):
    epoch = started(api)
    keep_look(api, Look("yolo26", epoch, time.time(), "hold", "hold: 1 of 400"))
    for _ in range(2):
        with listening(api.url) as listener:
            assert listener.next("rollout").document["ramps"]["yolo26"]["look"]["words"] == "hold: 1 of 400"
            assert listener.next("look").document["detector"] == "yolo26"


def test_who_goes_is_forgotten_and_nobody_looks_for_nobody(api):
    with listening(api.url) as listener:
        listener.next()
        assert len(news_of(api).listeners) == 1
    until(lambda: not news_of(api).listeners, "it still has a listener")
    until(lambda: "news" not in {task.get_name() for task in asyncio.all_tasks(api.loop)}, "it still looks")
    with listening(api.url) as listener:
        assert listener.next().event == "rollout"


def test_a_listener_too_many_is_told_to_come_back(api, monkeypatch):
    monkeypatch.setattr(events, "MOST_LISTENERS", 2)
    with listening(api.url) as first, listening(api.url):
        first.next()
        with listening(api.url) as refused:
            assert refused.answer.status_code == 503
            assert refused.answer.headers["content-type"] == "application/problem+json"
            assert int(refused.answer.headers["retry-after"]) >= 1
    until(lambda: not news_of(api).listeners, "the places are not given back")
    with listening(api.url) as listener:
        assert listener.next().event == "rollout"


def test_the_traffic_is_told_at_once_and_by_the_clock_and_is_no_version_of_the_flags(api):
    news_of(api).traffic_s = 0.02
    with listening(api.url) as listener:
        told = [listener.next("traffic") for _ in range(3)]
        shown = api.get("/api/traffic", headers=VIEWER).json()
    assert {one.id for one in told} == {""}
    times = [one.document["at"] for one in told]
    assert times == sorted(set(times))
    assert told[-1].document.keys() == shown.keys()


def test_the_traffic_is_read_while_somebody_listens_and_once_for_all_of_them(api, monkeypatch):
    counted = Counted(api.app.state.parts.metrics)
    monkeypatch.setattr(api.app.state.traffic, "_metrics", counted)
    news_of(api).traffic_s = 3600
    assert counted.made == 0
    with ExitStack() as all_of_them:
        listeners = [all_of_them.enter_context(listening(api.url)) for _ in range(5)]
        told = [listener.next("traffic").document["at"] for listener in listeners]
        assert counted.made == len(set(told)) == 1
        assert named_tasks(api).count("traffic") == 1
    until(lambda: not news_of(api).listeners, "it still has a listener")
    until(lambda: "traffic" not in named_tasks(api), "it still reads")
    with listening(api.url) as listener:
        assert listener.next("traffic").document["at"] > told[0]
        assert counted.made == 2


@dataclass
class Counted:
    """The metrics, and how often their traffic was read."""

    metrics: Metrics
    made: int = 0

    def traffic(self, at: float) -> dict[str, Any]:
        self.made += 1
        return self.metrics.traffic(at)


def named_tasks(api: Running) -> list[str]:
    return [task.get_name() for task in asyncio.all_tasks(api.loop)]


def test_silence_is_filled_with_signs_of_life(api):
    news_of(api).heartbeat_s = 0.05
    news_of(api).traffic_s = 3600
    with listening(api.url) as listener:
        listener.next()
        assert listener.line(":") == ": nothing new"


def test_who_reads_nothing_is_hung_up_on_and_holds_nobody_up(api):
    """The state has 2 MB, so that what no one reads cannot lie in the sockets' buffers."""
    news_of(api).patience_s = 0.5
    pins = {f"{number} of {'a camera with a long name ' * 7}": "legacy" for number in range(5000)}
    change(api, pins=pins)
    with narrow(api) as slow, listening(api.url) as quick:
        slow.sendall(f"GET {EVENTS} HTTP/1.1\r\nHost: x\r\nX-API-Key: viewer-key\r\n\r\n".encode())
        until(lambda: len(news_of(api).listeners) == 2, "both listen")
        for fraction in count(1):
            change(api, fraction=fraction / 1000)
            while quick.next().document["fraction"] != fraction / 1000:
                pass
            if len(news_of(api).listeners) == 1:
                break
        assert fraction < 100
        assert held(slow) < 4 * 2_000_000, "what was overtaken was sent all the same"


def narrow(api: Running) -> socket.socket:
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    line.connect(("127.0.0.1", api.port))
    line.settimeout(20)
    return line


def held(line: socket.socket) -> int:
    """How much of it arrived before the server hung up."""
    total = 0
    try:
        while chunk := line.recv(1 << 20):
            total += len(chunk)
    except ConnectionResetError:
        pass
    return total


def test_a_server_that_is_told_to_end_ends_its_listeners_first_and_does_not_wait_for_them():
    """Its patience is a minute, at the end of which it would say that it cancels them."""
    with (
        running_backend(workers=2, ready=False, SHUTDOWN_TIMEOUT_S="60") as backend,
        ExitStack() as all_of_them,
    ):
        listeners = [all_of_them.enter_context(listening(backend.url, backend.admin)) for _ in range(6)]
        for listener in listeners:
            listener.next()
        backend.process.send_signal(signal.SIGTERM)
        for listener in listeners:
            for _ in listener.lines:  # httpx raises where an answer breaks off instead of ending
                pass
        backend.process.wait(30)
        assert "timeout graceful shutdown exceeded" not in backend.log_text()
        assert "Traceback" not in backend.log_text()
