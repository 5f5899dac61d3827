"""Our generator and perf_analyzer take turns on one Triton: the rounds, and the report that comes of them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from ai.triton.client import Protocol
from benchmarks import kserve
from benchmarks.backend import build
from benchmarks.baseline import commit
from benchmarks.judge.analyzing import Seen, judged, write_input
from benchmarks.judge.fetching import Analyzer
from benchmarks.load.by_client import Order, client_loop
from benchmarks.load.measurement import Measurement
from benchmarks.load.several import closed_loop
from benchmarks.machine import Machine, this_machine
from benchmarks.pictures import Size, draw_pictures
from benchmarks.processes import Server, running
from benchmarks.progress import Progress
from benchmarks.sides import triton_program
from benchmarks.suite import LoadFailedError
from benchmarks.variants import Variant

SCHEMA = 1
SERVED = Variant("yolo26")  # as `crossfade models build` makes it
TIMEOUT_S = 30.0
WARM_UP_S = 2.0
HTTP, GRPC = "http", "grpc"


@dataclass(frozen=True, slots=True)
class Settings:
    name: str
    protocols: tuple[str, ...]
    callers: tuple[int, ...]
    seconds: float  # of one turn
    rounds: int
    size: str


@dataclass(frozen=True, slots=True)
class Pair:
    """Two neighbouring turns."""

    round: int
    protocol: str
    callers: int
    ours: Seen
    judge: Seen
    other_cpu_cores: float | None  # while it was our turn: beside us and Triton


@dataclass(frozen=True, slots=True)
class Report:
    schema_version: int
    suite: str
    date: str
    commit: str | None
    machine: Machine
    settings: Settings
    judge: str  # as it calls itself
    jpeg_bytes: int
    pairs: tuple[Pair, ...]


@dataclass(frozen=True, slots=True)
class _Table:
    """Where both are asked from: a server, pictures, and the two forms that they are sent in."""

    analyzer: Analyzer
    server: Server
    pictures: tuple[Path, ...]
    bodies: tuple[Path, ...]
    input: Path

    def ours(self, protocol: str, callers: int, seconds: float) -> Measurement:
        run = self._over_http(callers, seconds) if protocol == HTTP else self._over_grpc(callers, seconds)
        if run.failures or None in (run.p50_ms, run.p95_ms, run.p99_ms):
            raise LoadFailedError(
                f"our generator over {protocol}: {run.busy} busy, {run.errors or 'nothing answered'}"
            )
        return run

    def judges(self, protocol: str, callers: int, seconds: float) -> Seen:
        url = str(self.server.health[f"{protocol}_url"]).removeprefix("http://")
        return judged(self.analyzer, url, protocol, SERVED.model, self.input, callers, seconds)

    def _over_http(self, callers: int, seconds: float) -> Measurement:
        return closed_loop(self.server, self.bodies, callers, seconds, TIMEOUT_S, kserve.ask(SERVED.model))

    def _over_grpc(self, callers: int, seconds: float) -> Measurement:
        order = Order(
            str(self.server.health["grpc_url"]), cast(Protocol, GRPC), SERVED.model, self.pictures, callers, seconds,
            TIMEOUT_S, (self.server.pid,),
        )  # fmt: skip
        return client_loop(order, len(os.sched_getaffinity(0)))


def measure(settings: Settings, analyzer: Analyzer) -> Report:
    machine, version = this_machine(), analyzer.version
    with tempfile.TemporaryDirectory(prefix="crossfade-bench-") as created:
        folder = Path(created)
        pictures = draw_pictures(Size.of(settings.size), folder)
        jpeg_bytes = pictures.jpeg_bytes
        build(folder / "models")
        progress = Progress(settings.rounds * len(settings.protocols) * len(settings.callers))
        progress.say("starting Triton")
        with running(triton_program(folder / "models", [SERVED], folder / "triton")) as server:
            table = _Table(
                analyzer, server, pictures.paths, kserve.write_bodies(pictures.paths),
                write_input(pictures.paths, folder / "input.json"),
            )  # fmt: skip
            pairs = tuple(_pairs(table, settings, progress))
    progress.done()
    date = datetime.now(UTC).isoformat(timespec="seconds")
    return Report(SCHEMA, "judge", date, commit(), machine, settings, version, jpeg_bytes, pairs)


def _pairs(table: _Table, settings: Settings, progress: Progress) -> Iterator[Pair]:
    table.ours(HTTP, max(settings.callers), min(WARM_UP_S, settings.seconds))
    for number, protocol, callers in _turns(settings):
        pair = _pair(table, number, protocol, callers, settings.seconds)
        progress.step(
            f"{protocol} x {callers}: ours {pair.ours.rps:.1f}/s, the judge's {pair.judge.rps:.1f}/s"
        )
        yield pair


def _turns(settings: Settings) -> Iterator[tuple[int, str, int]]:
    for number in range(settings.rounds):
        for protocol in settings.protocols:
            for callers in settings.callers:
                yield number, protocol, callers


def _pair(table: _Table, number: int, protocol: str, callers: int, seconds: float) -> Pair:
    """Every other round the judge is first."""
    if number % 2:
        judge = table.judges(protocol, callers, seconds)
        run = table.ours(protocol, callers, seconds)
    else:
        run = table.ours(protocol, callers, seconds)
        judge = table.judges(protocol, callers, seconds)
    return Pair(number, protocol, callers, _seen(run), judge, run.cores.others)


def _seen(run: Measurement) -> Seen:
    assert run.p50_ms is not None
    assert run.p95_ms is not None
    assert run.p99_ms is not None
    return Seen(run.rps, run.p50_ms, run.p95_ms, run.p99_ms)
