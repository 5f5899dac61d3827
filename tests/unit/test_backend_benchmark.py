"""The backend's benchmark measures what it says: both sides are served alike and say the same, ratios are a round's."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import uvicorn
import uvloop

from ai.core.sample import sample_jpeg
from backend import serve
from backend.sides import TRITON
from backend.transports.base import Ask
from benchmarks import backend, backend_apps, detect_cost, processes
from benchmarks.backend_report import Measured, Report, Settings
from benchmarks.backend_sides import (
    AGAINST_TRITON,
    BACKEND,
    BARE,
    DIRECT,
    THROUGH,
    bare_route,
    fake_backend,
    fake_sides,
    real_backend,
    write_forms,
)
from benchmarks.backend_text import as_text
from benchmarks.comparison import Window
from benchmarks.detect_cost import WHOLE, Part
from benchmarks.loadgen import Measurement
from benchmarks.machine import this_machine
from benchmarks.meter import Cores, Reading
from benchmarks.processes import NotStartedError, running
from benchmarks.report import Spread

pytestmark = pytest.mark.alone

SETTINGS = Settings(
    callers=(1, 32), size="640x360", seconds=0.2, triton_seconds=0.2, ceiling_seconds=0.2, rounds=3,
    timeout_s=30.0, repeats=1, calls=5,
)  # fmt: skip


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "sample.jpg"
    path.write_bytes(sample_jpeg())
    return path


def test_the_backend_and_the_bare_route_say_the_same_of_a_picture_and_of_a_form(
    tmp_path, picture, monkeypatch
):
    """To the byte, but for the digits of times; what stands in a `.env` here changes nothing."""
    monkeypatch.setenv("PYTHONPATH", str(processes.ROOT))
    monkeypatch.setattr(processes, "ROOT", tmp_path)  # where programs are started
    (tmp_path / ".env").write_text("TRITON_ENABLED=false\n")
    ours, bare, ours_form, bare_form, _ = fake_sides([picture], tmp_path / "elsewhere", 1.0, 1.0)
    with running(fake_backend(tmp_path / "elsewhere")) as backend_, running(bare_route()) as route:
        answers = [
            _post(server.url, side)
            for side, server in ((ours, backend_), (bare, route), (ours_form, backend_), (bare_form, route))
        ]
        assert [side.objects(server) for side, server in ((ours, backend_), (bare, route))] == [8, 8]
    said = [answer.json() for answer in answers]
    assert said[0]["served_by"]["backend"] == TRITON
    assert [one["detections"] for one in said] == [said[0]["detections"]] * 4
    sizes = [len(answer.content) for answer in answers]
    assert max(sizes) - min(sizes) <= 12


def _post(url: str, side) -> httpx.Response:
    return httpx.post(
        url + side.ask.path,
        content=side.bodies[0].read_bytes(),
        headers={"Content-Type": side.ask.content_type},
        trust_env=False,
    ).raise_for_status()


def test_both_are_served_as_the_backend_is(monkeypatch):
    told = {}
    monkeypatch.setattr(uvicorn, "run", lambda *_, **options: told.update(options))
    serve.main()
    assert {name: told[name] for name in backend_apps.SERVED} == backend_apps.SERVED
    of_workers = {"factory", "port", "workers", "timeout_graceful_shutdown", "timeout_worker_healthcheck"}
    assert told.keys() - backend_apps.SERVED.keys() == of_workers


async def test_the_fake_sides_keep_no_pictures():
    side = backend_apps.sides()[TRITON]
    for _ in range(3):
        await side.detect(Ask("yolo26", b"picture", 1.0))
    assert len(side.asked) == 1


def test_a_form_holds_the_picture_as_it_is(picture):
    (form,) = write_forms([picture])
    assert sample_jpeg() in form.read_bytes()


def test_without_a_triton_the_backend_before_it_does_not_start(tmp_path):
    with pytest.raises(NotStartedError), running(real_backend(tmp_path, tmp_path)):
        pass


def test_the_cpu_time_of_those_behind_a_server_is_counted():
    """One spins and one sleeps: both together are as busy as the one."""
    with _python("while True: pass") as busy, _python("import time; time.sleep(60)") as idle:
        before = Reading.take(idle.pid, busy.pid)
        while before.cores_until(after := Reading.take(idle.pid, busy.pid)).server < 0.02:
            time.sleep(0.05)
        assert (after.server_s or 0) > (Reading.take(idle.pid).server_s or 0)
    assert Reading.take(os.getpid(), busy.pid).server_s is None


@contextmanager
def _python(code: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        try:
            yield process
        finally:
            process.kill()


# --- what follows from the windows ------------------------------------------------------------------------

SPEEDS = (1.0, 0.5, 0.8)  # of the machine in each round: it drifts


def window(number: int, side: str, callers: int, rps: float, p50_ms: float, others: float = 0.0) -> Window:
    run = Measurement(
        callers=callers, seconds=1.0, sent=50, answered=40, rps=rps, p50_ms=p50_ms, p95_ms=p50_ms, p99_ms=p50_ms,
        split_ms={}, cores=Cores(rps / 1000, 0.1, others), busy=0, errors={},
    )  # fmt: skip
    return Window(number, side, callers, run, None)


def windows(share: float, added_ms: float, others: float = 0.0) -> list[Window]:
    return [
        one
        for number, speed in enumerate(SPEEDS)
        for callers in SETTINGS.callers
        for one in (
            window(number, DIRECT, callers, 50 * speed, 20 / speed, others),
            window(number, THROUGH, callers, 50 * speed * share, 20 / speed + added_ms, others),
            window(number, "nothing", callers, 5000 * speed, 0.1 / speed),
        )
    ]


def report(share: float = 0.95, added_ms: float = 1.5, others: float = 0.0) -> Report:
    measured = Measured.of(
        windows(share, added_ms, others), AGAINST_TRITON, {DIRECT: 9, THROUGH: 9}, "1x1", 137_000
    )
    parts = tuple(
        Part(name, Spread(us, us, us)) for name, us in ((WHOLE, 70.0), ("flags", 2.0), ("log", 10.0))
    )
    return Report(
        1, "backend-overhead", "2026-12-01", "0123", this_machine(), SETTINGS, measured, measured, parts
    )


def test_what_is_added_is_that_of_one_round():
    """The machine's drift, twofold here, is in none of it."""
    for one in report().bare.added:
        assert (one.share.min, one.share.max) == pytest.approx((0.95, 0.95))
        assert (one.p50_ms.min, one.p50_ms.max) == pytest.approx((1.5, 1.5))
        assert one.cpu_us.median == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (report(), ["MET", "MET"]),
        (report(share=0.89), ["MET", "NOT MET"]),
        (report(added_ms=2.1), ["NOT MET", "MET"]),
        (report(others=0.5), ["UNDECIDED, the machine was disturbed"] * 2),
    ],
)
def test_targets_are_said_honestly(made, words):
    lines = [line for line in as_text(made).splitlines() if "; wanted" in line]
    assert [line.split(":")[0] for line in lines] == words


def test_a_side_that_answered_nothing_adds_nothing():
    silent = [
        replace(one, run=replace(one.run, answered=0, rps=0.0))
        if one.side == THROUGH and one.callers == 32
        else one
        for one in windows(1.0, 1.0)
    ]
    measured = Measured.of(silent, AGAINST_TRITON, {}, "1x1", 1)
    assert [one.callers for one in measured.added] == [1]


def test_sides_that_find_different_things_are_flagged():
    honest = report()
    strange = replace(honest, triton=replace(honest.triton, objects={DIRECT: 9, THROUGH: 0, "nothing": 64}))
    assert "FLAG: not all sides of triton" in as_text(strange)
    assert "FLAG" not in as_text(honest)


def test_the_rest_is_what_the_parts_leave():
    assert report().rest_us == pytest.approx(58.0)


# --- running ----------------------------------------------------------------------------------------------


def test_each_part_of_a_detect_is_asked():
    parts = uvloop.run(detect_cost.costs(repeats=3, calls=20))
    assert parts[0].name == WHOLE
    whole, *own = (part.cpu_us.min for part in parts)  # the collector goes through all that the tests hold
    assert whole > max(own) >= min(own) > 0


def test_a_run_becomes_a_file_and_a_table(tmp_path):
    made = backend.measure(replace(SETTINGS, callers=(1,), rounds=1), this_machine(), with_triton=False)
    figures, table = backend.save(made, tmp_path)
    assert Report.read(figures) == made
    assert made.errors == 0
    assert made.bare.agrees
    assert {(one.side, one.against) for one in made.bare.added} >= {(BACKEND, BARE)}
    assert all(one.cpu_us.median > 0 for one in made.bare.added)
    assert "Targets: not measured here" in table.read_text()
