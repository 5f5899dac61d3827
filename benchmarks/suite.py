"""Visits every cell once a round, each service started afresh, and keeps what was measured.

The rounds are outermost, so that a drift of the machine falls on all cells alike; the services take turns, so
that they do not compete.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.load.ask import LEGACY, Ask, LoadFailedError
from benchmarks.load.measurement import Measurement
from benchmarks.load.several import closed_loop
from benchmarks.pictures import Pictures
from benchmarks.processes import ROOT, Program, Server, running
from benchmarks.progress import Progress
from benchmarks.report import Cell, summarise

__all__ = ["LEGACY", "Ask", "LoadFailedError", "Suite", "Target", "load", "told_by"]

WARM_UP_CALLERS = 2
WARM_UP_S = 1.0


@dataclass(frozen=True, slots=True)
class Target:
    program: Program
    seconds: float  # of one window


@dataclass(slots=True)
class Suite:
    targets: Sequence[Target]
    pictures: Sequence[Pictures]
    callers: Sequence[int]
    repeats: int
    timeout_s: float
    health: dict[str, dict[str, Any]] = field(default_factory=dict)
    _runs: dict[tuple[str, str, int], list[Measurement]] = field(default_factory=dict)

    def run(self) -> None:
        progress = Progress(len(self.targets) * len(self.pictures) * len(self.callers) * self.repeats)
        for _ in range(self.repeats):
            for target in self.targets:
                progress.say(f"starting {target.program.name}")
                with running(target.program) as server:
                    self.health[target.program.name] = server.health
                    self._warm_up(server, min(WARM_UP_S, target.seconds))
                    self._visit(target, server, progress)
        progress.done()

    def cells(self, name: str) -> tuple[Cell, ...]:
        return tuple(
            summarise(name, str(some.size), some.jpeg_bytes, self._runs[name, str(some.size), callers])
            for some, callers in self._grid()
        )

    def _warm_up(self, server: Server, seconds: float) -> None:
        everything = [path for some in self.pictures for path in some.paths]
        load(server, everything, WARM_UP_CALLERS, seconds, self.timeout_s)

    def _visit(self, target: Target, server: Server, progress: Progress) -> None:
        name = target.program.name
        for some, callers in self._grid():
            run = load(server, some.paths, callers, target.seconds, self.timeout_s)
            self._runs.setdefault((name, str(some.size), callers), []).append(run)
            progress.step(f"{name} {some.size} x {callers}: {run.rps:.1f}/s, p95 {_whole(run.p95_ms)} ms")

    def _grid(self) -> Iterator[tuple[Pictures, int]]:
        for some in self.pictures:
            for callers in self.callers:
                yield some, callers


def load(
    server: Server,
    bodies: Sequence[Path],
    callers: int,
    seconds: float,
    timeout_s: float,
    ask: Ask = LEGACY,
    behind: Sequence[Server] = (),
    processes: int = 1,
) -> Measurement:
    """One closed loop, in processes of its own: no other work shares its event loops."""
    return closed_loop(server, bodies, callers, seconds, timeout_s, ask, behind, processes)


def told_by(module: Sequence[str], longest_s: float, *variables: str) -> str:
    """What `python -m module` prints; it has ended when this returns, or is interrupted."""
    try:
        answer = subprocess.run(
            ["env", *variables, sys.executable, "-m", *module],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=longest_s,
            check=True,
            start_new_session=True,
        )
    except subprocess.CalledProcessError as error:
        raise LoadFailedError(error.stderr.strip()) from error
    except subprocess.TimeoutExpired as error:
        raise LoadFailedError(f"no result within {longest_s:.0f} s") from error
    return answer.stdout


def _whole(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"
