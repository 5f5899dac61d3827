"""Visits every side once a round at every number of callers, in turns of seconds, and keeps what was measured.

All programs of a round run at the same time, and all but one of them idle; each round starts them afresh, unless
that takes minutes. So a side and the one that it is compared with are measured within seconds of each other, and a
machine that drifts drifts for both.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from benchmarks.comparison import Alone, Window
from benchmarks.kserve import Counted
from benchmarks.loadgen import Measurement
from benchmarks.processes import Server, running
from benchmarks.progress import Progress
from benchmarks.sides import Side
from benchmarks.suite import WARM_UP_S

START_S = 600.0  # a Triton with a dozen models of one detector, on two cores

Servers = dict[str, Server]  # by the program's name


@dataclass(slots=True)
class Rounds:
    sides: Sequence[Side]
    callers: Sequence[int]
    count: int
    timeout_s: float
    run_alone: Callable[[], Alone] | None = None
    beside: Callable[[int, int], Mapping[str, float]] | None = None  # read between two moments, in ns
    afresh: bool = True  # in each round
    windows: list[Window] = field(default_factory=list)
    alone: list[Alone] = field(default_factory=list)  # of each round
    health: dict[str, dict[str, Any]] = field(default_factory=dict)  # what each program said of itself
    objects: dict[str, int] = field(default_factory=dict)  # that each side finds in all pictures

    def run(self) -> None:
        steps = len(list(self._turns(0))) + (self.run_alone is not None)
        progress = Progress(steps * self.count)
        numbers = [*range(self.count)]
        for together in [[number] for number in numbers] if self.afresh else [numbers]:
            with ExitStack() as stack:
                servers = self._start(stack, progress)
                self._look_at(servers, progress)
                for number in together:
                    self._round(number, servers, progress)
            for _ in together:
                self._without_a_server(progress)
        progress.done()

    def _round(self, number: int, servers: Servers, progress: Progress) -> None:
        for side, callers in self._turns(number):
            window = self._visit(side, servers, callers, number)
            self.windows.append(window)
            progress.step(f"{side.name} x {callers}: {window.run.rps:.1f}/s")

    def _without_a_server(self, progress: Progress) -> None:
        if self.run_alone is not None:
            self.alone.append(self.run_alone())
            progress.step("loops without a server")

    def _start(self, stack: ExitStack, progress: Progress) -> Servers:
        servers: Servers = {}
        for program in {side.program.name: side.program for side in self.sides}.values():
            progress.say(f"starting {program.name}")
            servers[program.name] = stack.enter_context(running(program, START_S))
            self.health[program.name] = servers[program.name].health
        return servers

    def _look_at(self, servers: Servers, progress: Progress) -> None:
        """Each side is warmed up, and shows that it finds what the others find."""
        for side in self.sides:
            progress.say(f"warming up {side.name}")
            self.objects[side.name] = side.objects(servers[side.program.name])
            self._load(side, servers, max(self.callers), min(WARM_UP_S, side.seconds))

    def _turns(self, number: int) -> Iterator[tuple[Side, int]]:
        """Every other round goes backwards: nobody is always first."""
        for callers in self.callers:
            for side in self.sides if number % 2 == 0 else reversed(self.sides):
                if not side.only or callers in side.only:
                    yield side, callers

    def _visit(self, side: Side, servers: Servers, callers: int, number: int) -> Window:
        before, began_ns = _counted(side, servers), time.perf_counter_ns()
        run = self._load(side, servers, callers, side.seconds)
        beside = self.beside(began_ns, time.perf_counter_ns()) if self.beside else {}
        after = _counted(side, servers)
        if before is None or after is None:
            return Window(number, side.name, callers, run, None, beside=beside)
        split_ms = before.split_ms_until(after)
        return Window(number, side.name, callers, run, before.batch_until(after), split_ms, beside)

    def _load(self, side: Side, servers: Servers, callers: int, seconds: float) -> Measurement:
        return side.measured(servers, callers, seconds, self.timeout_s)


def _counted(side: Side, servers: Servers) -> Counted | None:
    if side.model is None:
        return None
    return Counted.read(servers[side.program.name].health["metrics_url"], side.model)
