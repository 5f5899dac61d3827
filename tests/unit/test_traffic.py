"""The traffic's figures are those of the requests that were made, by all workers, and are read once for all who ask."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from ai.core.errors import Refused, Unavailable
from ai.core.sample import sample_jpeg
from backend.api.traffic import Readings
from backend.main import create_app
from backend.observe import events
from backend.observe.metrics import DURATION_BUCKETS_S, Metrics
from backend.transports.fake import FakeTransport
from tests.api_parts import ADMIN, CALLER, KEYS, VIEWER, asked_in_process, settings_of, sides_of
from tests.counting_app import ENDED


@pytest.fixture
def legacy() -> FakeTransport:
    return FakeTransport()


@pytest.fixture
async def api(tmp_path, legacy) -> AsyncIterator[httpx.AsyncClient]:
    async with asked_in_process(create_app(settings_of(tmp_path, api_keys=KEYS), sides_of(legacy))) as client:
        yield client


async def traffic(api: httpx.AsyncClient) -> dict[str, Any]:
    answer = await api.get("/api/traffic", headers=VIEWER)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    return dict(answer.json())


async def detected(api: httpx.AsyncClient, detector: str, times: int = 1) -> list[int]:
    asked = {"params": {"detector": detector}, "content": sample_jpeg(), "headers": CALLER}
    return [(await api.post("/api/detect", **asked)).status_code for _ in range(times)]


def read(metrics: Metrics) -> dict[str, Any]:
    return metrics.traffic(1795248000.0)


def of_yolo26(metrics: Metrics) -> dict[str, Any]:
    return dict(read(metrics)["detectors"]["yolo26"])


# --- Who may


@pytest.mark.parametrize(("headers", "status"), [({}, 401), ({"X-API-Key": "no"}, 401), (CALLER, 403)])
async def test_it_is_shown_to_viewers_and_admins_only(api, headers, status):
    answer = await api.get("/api/traffic", headers=headers)
    assert (answer.status_code, answer.json()["status"]) == (status, status)
    for allowed in (VIEWER, ADMIN):
        assert (await api.get("/api/traffic", headers=allowed)).status_code == 200


# --- Its figures


async def test_each_request_is_counted_once_where_it_was_served(api):
    before = await traffic(api)
    assert await detected(api, "rtdetr", 3) + await detected(api, "yolo26", 2) == [200] * 5
    after = await traffic(api)
    assert after["at"] > before["at"]
    for detector, count in (("rtdetr", 3), ("yolo26", 2)):
        served, idle = (after["detectors"][detector]["sides"][side] for side in ("legacy", "triton"))
        assert served["requests"] == {"ok": count}
        assert served["attempts"]["ok"] >= count
        assert served["durations"][-1] == count
        assert len(served["durations"]) == len(after["edges_s"]) + 1
        assert served["durations"] == sorted(served["durations"])
        assert idle["requests"] == {"ok": 0}
        assert not any(idle["durations"])
        assert not any(after["detectors"][detector]["unserved"].values())


async def test_what_no_side_served_is_counted_by_what_became_of_it(api, legacy):
    legacy.always(Refused("no picture"))
    assert await detected(api, "rtdetr", 2) == [422, 422]
    legacy.always(Unavailable("gone"))
    assert await detected(api, "rtdetr") == [503]
    rtdetr = (await traffic(api))["detectors"]["rtdetr"]
    assert rtdetr["unserved"] == {
        "refused": 2, "unavailable": 1, "busy": 0, "late": 0, "gone": 0, "failed": 0,
    }  # fmt: skip
    assert rtdetr["sides"]["legacy"]["attempts"]["refused"] >= 2  # and what was probed
    assert rtdetr["sides"]["legacy"]["attempts"]["unavailable"] >= 1
    assert rtdetr["sides"]["legacy"]["requests"] == {"ok": 0}


def test_durations_are_those_within_each_edge_and_last_all():
    metrics = Metrics(None)
    for took_s in (0.0015, 0.004, 0.06, 60.0):
        metrics(replace(ENDED, total_s=took_s))
    durations = of_yolo26(metrics)["sides"]["triton"]["durations"]
    within = dict(zip(DURATION_BUCKETS_S, durations[:-1], strict=True))
    assert (within[0.002], within[0.005], within[0.05], within[0.07], within[10], durations[-1]) == (
        1, 2, 2, 3, 3, 4,
    )  # fmt: skip
    assert read(metrics)["edges_s"] == list(DURATION_BUCKETS_S)


def test_only_the_fallbacks_that_there_were_are_told():
    metrics = Metrics(None)
    assert of_yolo26(metrics)["fallbacks"] == []
    for _ in range(3):
        metrics(events.FellBack("yolo26", "triton", "legacy", "overloaded"))
    told = {"from": "triton", "to": "legacy", "reason": "overloaded", "count": 3}
    assert of_yolo26(metrics)["fallbacks"] == [told]
    assert read(metrics)["detectors"]["rtdetr"]["fallbacks"] == []


def test_states_are_told_in_words_and_what_nobody_knows_as_nothing():
    metrics = Metrics(None)
    side = of_yolo26(metrics)["sides"]["triton"]
    assert (side["breaker"], side["ready"], side["in_flight_all_detectors"]) == ("closed", None, 0)
    assert of_yolo26(metrics)["headroom"] is None
    metrics(events.BreakerMoved("yolo26", "triton", "half_open"))
    metrics(events.InFlight("triton", 7))
    metrics(events.HeadroomMeasured("yolo26", 3.25))
    for ready in (True, False, None):
        metrics(events.SideReady("yolo26", "triton", ready))
        assert of_yolo26(metrics)["sides"]["triton"]["ready"] is ready
    side = of_yolo26(metrics)["sides"]["triton"]
    assert (side["breaker"], side["in_flight_all_detectors"]) == ("half_open", 7)
    assert of_yolo26(metrics)["headroom"] == 3.25
    metrics(events.HeadroomMeasured("yolo26", float("inf")))
    assert of_yolo26(metrics)["headroom"] is None, "JSON has no infinity"


def test_comparisons_retries_and_what_was_shed_are_told():
    metrics = Metrics(None)
    metrics(events.Compared("yolo26", "different"))
    metrics(events.Retried("yolo26", "triton"))
    metrics(events.Shed("triton", "pace"))
    assert of_yolo26(metrics)["compared"] == {
        "same": 0, "different": 1, "triton_failed": 0, "legacy_failed": 0,
    }  # fmt: skip
    assert (read(metrics)["retries"], read(metrics)["shed"]) == (1, {"full": 0, "share": 0, "pace": 1})


def test_two_workers_are_added_up_and_of_their_states_the_worse_shows(tmp_path):
    """Two children of one launcher, as uvicorn starts workers; each reads what both have counted."""
    script = tmp_path / "launcher.py"
    script.write_text(WORKERS)
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, env={"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["5 5 5 2 1 half_open False 2.0 5"] * 2


WORKERS = """
import multiprocessing, pathlib
from dataclasses import replace
from backend.observe import workers
from tests.counting_app import ENDED

def child(count, meeting):
    directory = workers.metrics_directory(pathlib.Path("."))
    from backend.observe import events
    from backend.observe.metrics import Metrics
    metrics = Metrics(directory)
    for _ in range(count):
        metrics(replace(ENDED, total_s=0.003 * count))
        metrics(events.Retried("yolo26", "triton"))
        metrics(events.FellBack("yolo26", "triton", "legacy", "overloaded"))
    metrics(events.InFlight("triton", 1))
    metrics(events.BreakerMoved("yolo26", "triton", "half_open" if count == 2 else "closed"))
    metrics(events.SideReady("yolo26", "triton", count == 2))
    metrics(events.HeadroomMeasured("yolo26", float(count)))
    meeting.wait(30)
    traffic = metrics.traffic(0.0)
    meeting.wait(30)
    yolo26 = traffic["detectors"]["yolo26"]
    side = yolo26["sides"]["triton"]
    print(side["requests"]["ok"], side["durations"][-1], traffic["retries"], side["in_flight_all_detectors"],
          len(yolo26["fallbacks"]), side["breaker"], side["ready"], yolo26["headroom"], yolo26["fallbacks"][0]["count"])

if __name__ == "__main__":
    spawning = multiprocessing.get_context("spawn")
    meeting = spawning.Barrier(2)
    both = [spawning.Process(target=child, args=(count, meeting)) for count in (2, 3)]
    for one in both: one.start()
    for one in both: one.join()
    raise SystemExit(max(one.exitcode for one in both))
"""


# --- Read off the loop, once for all


class Slow:
    """Metrics whose reading ends when it is let."""

    def __init__(self) -> None:
        self.made = 0
        self.threads: set[int] = set()
        self.let = threading.Event()

    def traffic(self, at: float) -> dict[str, Any]:
        self.made += 1
        self.threads.add(threading.get_ident())
        assert self.let.wait(30)
        return {"number": self.made}


async def test_who_asks_while_it_is_read_gets_the_same_and_who_asks_later_a_new_one():
    slow = Slow()
    readings = Readings(slow)
    asking = [asyncio.create_task(readings.newest()) for _ in range(5)]
    await asyncio.sleep(0)
    asking[0].cancel()  # who came first goes, and takes nothing from the others
    slow.let.set()
    first, *others = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(first, asyncio.CancelledError)
    assert others == [{"number": 1}] * 4
    assert await readings.newest() == {"number": 2}
    assert threading.get_ident() not in slow.threads


async def test_a_reading_that_failed_is_told_to_who_asked_and_the_next_one_is_made():
    class Failing(Slow):
        def traffic(self, at: float) -> dict[str, Any]:
            self.made += 1
            if self.made == 1:
                raise OSError("the disk is away")
            return {}

    readings = Readings(Failing())
    with pytest.raises(OSError, match="away"):
        await readings.newest()
    assert await readings.newest() == {}
