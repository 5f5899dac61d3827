"""The search at each side, in every round with servers started afresh, and the report that comes of it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.backend import build
from benchmarks.baseline import commit
from benchmarks.load.measurement import Measurement
from benchmarks.load.search import HeldRate, highest_rate
from benchmarks.load.several import closed_loop, open_loop
from benchmarks.machine import Machine, this_machine
from benchmarks.pictures import Size, draw_pictures
from benchmarks.processes import Program, Server, legacy_service, running
from benchmarks.progress import Progress
from benchmarks.sides import Side, legacy_side, triton_program, triton_sides
from benchmarks.variants import Variant

SCHEMA = 1
DETECTOR = "yolo26"
SERVED = Variant(DETECTOR)  # as `crossfade models build` makes it
LEGACY, TRITON = "legacy", "triton"
TIMEOUT_S = 5.0
CLOSED_CALLERS = 8
FIRST_SHARE = 0.5  # of the closed loop's rate: where the search begins
LEAST_FIRST_RPS = 1.0  # where nothing was answered in that window
MOST_TIMES = 8.0  # of where it began: no side answers more than that
WARM_UP_S = 2.0


@dataclass(frozen=True, slots=True)
class Settings:
    name: str
    limit_ms: float
    arrivals: str
    seconds: float  # of one window
    rounds: int
    windows: int  # that try a rate, at most
    size: str


@dataclass(frozen=True, slots=True)
class Found:
    """One side in one round."""

    round: int
    side: str
    closed_rps: float  # of 8 callers, a moment before
    held: HeldRate
    other_cpu_cores: float | None  # the median of its windows


@dataclass(frozen=True, slots=True)
class Report:
    schema_version: int
    suite: str
    date: str
    commit: str | None
    machine: Machine
    settings: Settings
    jpeg_bytes: int
    found: tuple[Found, ...]


def measure(settings: Settings) -> Report:
    machine = this_machine()
    with tempfile.TemporaryDirectory(prefix="crossfade-bench-") as created:
        folder = Path(created)
        pictures = draw_pictures(Size.of(settings.size), folder)
        jpeg_bytes = pictures.jpeg_bytes
        build(folder / "models")
        triton = triton_program(folder / "models", [SERVED], folder / "triton")
        sides = _sides(legacy_service(DETECTOR), triton, pictures.paths, settings.seconds)
        progress = Progress(settings.rounds * len(sides))
        found = [
            one for number in range(settings.rounds) for one in _round(number, sides, settings, progress)
        ]
    progress.done()
    date = datetime.now(UTC).isoformat(timespec="seconds")
    return Report(SCHEMA, "rate", date, commit(), machine, settings, jpeg_bytes, tuple(found))


def _sides(legacy: Program, triton: Program, pictures: Sequence[Path], seconds: float) -> dict[str, Side]:
    (served,) = triton_sides(triton, [SERVED], pictures, seconds)
    return {LEGACY: legacy_side(legacy, pictures, seconds), TRITON: served}


def _round(number: int, sides: Mapping[str, Side], settings: Settings, progress: Progress) -> list[Found]:
    """Both run, one is asked. Every other round goes backwards."""
    found = []
    with ExitStack() as stack:
        progress.say("starting both sides")
        servers = {name: stack.enter_context(running(side.program)) for name, side in sides.items()}
        for name in list(sides) if number % 2 == 0 else reversed(list(sides)):
            found.append(_searched(number, name, sides[name], servers[name], settings, progress))
            progress.step(f"{name} holds {found[-1].held.rate_rps:.1f}/s")
    return found


def _searched(
    number: int, name: str, side: Side, server: Server, settings: Settings, progress: Progress
) -> Found:
    closed_loop(server, side.bodies, CLOSED_CALLERS, WARM_UP_S, TIMEOUT_S * 6, side.ask)
    closed = closed_loop(server, side.bodies, CLOSED_CALLERS, settings.seconds, TIMEOUT_S * 6, side.ask)

    def attempt(rate_rps: float) -> Measurement:
        progress.say(f"{name} at {rate_rps:.1f}/s")
        return open_loop(
            server, side.bodies, rate_rps, settings.seconds, TIMEOUT_S, side.ask, arrivals=settings.arrivals
        )

    first = max(LEAST_FIRST_RPS, closed.rps * FIRST_SHARE)
    held = highest_rate(attempt, settings.limit_ms, first, first * MOST_TIMES, settings.windows)
    others = sorted(one.cores.others or 0.0 for tried in held.tried for one in tried.windows)
    return Found(number, name, closed.rps, held, others[len(others) // 2] if others else None)
