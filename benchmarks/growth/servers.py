"""What a request costs the backend's own processes as callers, pictures and workers grow: nobody behind it infers."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from benchmarks.backend_apps import PATH
from benchmarks.backend_sides import DETECTOR, alone_on_legacy, fake_backend
from benchmarks.growth.pictures import scaled_jpeg
from benchmarks.growth.series import Point, Question, Series
from benchmarks.growth.timing import Plan, repeated
from benchmarks.loadgen import TIMEOUT_S, Measurement
from benchmarks.processes import Server, do_nothing, running
from benchmarks.suite import Ask, load

CROWD = 16  # callers, where they are not what grows
CPU_US = "µs of CPU a request"

BY_CALLERS = Question(
    "backend-by-callers", "callers", "The backend, its sides fakes", "callers", CPU_US, "constant"
)
WAIT = Question("backend-wait", "callers", "The same as the callers see it", "callers", "ms, p50", "linear")
BY_BYTES = Question(
    "backend-by-picture", "picture", "The backend, its sides fakes: the bytes come in and go on", "MP", CPU_US,
    "linear", bound="25 MP, 10 MiB",
)  # fmt: skip
BY_WORKERS = Question(
    "backend-by-workers",
    "workers",
    "The backend before a service that does nothing",
    "workers",
    CPU_US,
    "constant",
)
SCRAPED = Question("metrics-by-workers", "workers", "GET /metrics", "workers", "µs a call", "linear")


@dataclass(frozen=True, slots=True)
class LoadPlan:
    rounds: int
    seconds: float


@dataclass(slots=True)
class Loads:
    """The generator's runs of one series, and what was not answered in all of them."""

    plan: LoadPlan
    runs: dict[float, list[Measurement]] = field(default_factory=dict)

    def visit(self, asked: Mapping[float, Callable[[float], Measurement]]) -> None:
        """Each size once a round, every other round backwards; one run before, to warm up."""
        next(iter(asked.values()))(min(1.0, self.plan.seconds))
        ordered = sorted(asked.items())
        for number in range(self.plan.rounds):
            for x, ask in ordered if number % 2 == 0 else reversed(ordered):
                self.runs.setdefault(x, []).append(ask(self.plan.seconds))

    def series(self, question: Question, value: Callable[[Measurement], float]) -> Series:
        points = [Point(x, tuple(value(run) for run in runs)) for x, runs in self.runs.items()]
        others = [run.cores.others or 0.0 for runs in self.runs.values() for run in runs]
        return Series.of(question, points, statistics.median(others))

    @property
    def errors(self) -> int:
        return sum(sum(run.errors.values()) + run.busy for runs in self.runs.values() for run in runs)

    @property
    def busiest_cores(self) -> float:
        return max(run.cores.loadgen for runs in self.runs.values() for run in runs)

    @property
    def highest_per_s(self) -> float:
        return max(run.rps for runs in self.runs.values() for run in runs)


def cpu_us(run: Measurement) -> float:
    return (run.cores.server or 0.0) / max(run.rps, 1e-9) * 1e6


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The generator at an endpoint that does nothing, over the highest rate of the backend."""

    callers: int
    per_s: float
    ratio: float
    busiest_cores: float  # that the generator used in any window before the backend; it has one


@dataclass(frozen=True, slots=True)
class Served:
    series: tuple[Series, ...]
    ceiling: Ceiling
    errors: int


def by_callers(plan: LoadPlan, callers: Sequence[int], folder: Path) -> Served:
    picture = _written(folder, 0.25)
    places = {"TRITON_MAX_IN_FLIGHT": str(2 * max(callers))}  # more than 256 callers would be refused some
    with running(fake_backend(folder / "fake", places)) as server, running(do_nothing()) as nothing:
        loads = Loads(plan)
        loads.visit({count: _asking(server, picture, count) for count in callers})
        bare = load(nothing, [picture], CROWD, plan.seconds, TIMEOUT_S, Ask(PATH))
    series = loads.series(BY_CALLERS, cpu_us), loads.series(WAIT, lambda run: run.p50_ms or 0.0)
    return Served(
        series, Ceiling(CROWD, bare.rps, bare.rps / loads.highest_per_s, loads.busiest_cores), loads.errors
    )


def by_picture(plan: LoadPlan, megapixels: Sequence[float], folder: Path) -> tuple[Series, int]:
    with running(fake_backend(folder / "fake")) as server:
        loads = Loads(plan)
        loads.visit({mp: _asking(server, _written(folder, mp), CROWD) for mp in megapixels})
    return loads.series(BY_BYTES, cpu_us), loads.errors


def by_workers(
    plan: LoadPlan, times: Plan, workers: Sequence[int], folder: Path
) -> Iterator[tuple[Series, int]]:
    """All of them run at once, all but one idle, so that they can take turns."""
    picture = _written(folder, 0.25)
    with ExitStack() as stack:
        nothing = stack.enter_context(running(do_nothing()))
        servers = {
            count: stack.enter_context(
                running(alone_on_legacy(folder / f"workers-{count}", DETECTOR, nothing.url, count))
            )
            for count in workers
        }
        loads = Loads(plan)
        loads.visit({count: _asking(server, picture, CROWD) for count, server in servers.items()})
        yield loads.series(BY_WORKERS, cpu_us), loads.errors
        client = stack.enter_context(httpx.Client(timeout=30.0, trust_env=False))
        works = {count: repeated(_scraping(client, server)) for count, server in servers.items()}
        pids = [nothing.pid, *(server.pid for server in servers.values())]
        yield times.times(SCRAPED, works, clock=time.perf_counter, pids=pids), 0


def _asking(server: Server, picture: Path, callers: int) -> Callable[[float], Measurement]:
    return lambda seconds: load(server, [picture], callers, seconds, TIMEOUT_S, Ask(PATH))


def _scraping(client: httpx.Client, server: Server) -> Callable[[], object]:
    return lambda: client.get(f"{server.url}/metrics").raise_for_status()


def _written(folder: Path, megapixels: float) -> Path:
    path = folder / f"{megapixels:g}.jpg"
    path.write_bytes(scaled_jpeg(megapixels))
    return path
