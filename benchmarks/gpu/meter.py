"""How busy the GPU is, what it draws and what it holds, as `nvidia-smi` says five times a second.

Its *busy* is the share of time in which some kernel ran, not how much of the chip that kernel used.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from benchmarks.machine import shown_gpus

EVERY_MS = 200
FIRST_S = 20.0  # until the driver has answered for the first time
QUERY = ("utilization.gpu", "power.draw", "memory.used")
END_S = 5.0


@dataclass(frozen=True, slots=True)
class Reading:
    at_ns: int
    busy_percent: float
    watts: float
    held_mib: float

    @classmethod
    def of(cls, line: str, at_ns: int) -> Reading | None:
        """None for what is no reading: a heading, or a card that does not say."""
        with suppress(ValueError):
            busy, watts, held = (float(part) for part in line.split(","))
            return cls(at_ns, busy, watts, held)
        return None


@dataclass(frozen=True, slots=True)
class GpuLoad:
    """Of one window."""

    busy_percent: float
    watts: float
    held_mib: float


@dataclass(slots=True)
class GpuMeter:
    readings: list[Reading] = field(default_factory=list)
    _first: threading.Event = field(default_factory=threading.Event)

    def between(self, began_ns: int, ended_ns: int) -> GpuLoad | None:
        """The means; None where the window was too short to be looked at."""
        inside = [one for one in self.readings if began_ns <= one.at_ns <= ended_ns]
        return _mean(inside) if inside else None

    def read(self, lines: Iterator[str]) -> None:
        for line in lines:
            if reading := Reading.of(line, time.perf_counter_ns()):
                self.readings.append(reading)
                self._first.set()

    def wait(self) -> bool:
        return self._first.wait(FIRST_S)


def _mean(readings: Sequence[Reading]) -> GpuLoad:
    return GpuLoad(
        busy_percent=statistics.fmean(one.busy_percent for one in readings),
        watts=statistics.fmean(one.watts for one in readings),
        held_mib=max(one.held_mib for one in readings),
    )


@contextmanager
def metered() -> Iterator[GpuMeter]:
    """As long as the block lasts; it sees nothing where there is no `nvidia-smi`."""
    meter, program, (gpu, *_) = GpuMeter(), shutil.which("nvidia-smi"), shown_gpus() or ["0"]
    if program is None:
        yield meter
        return
    command = [
        program, f"--id={gpu}", f"--query-gpu={','.join(QUERY)}", "--format=csv,noheader,nounits",
        f"-lms={EVERY_MS}",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        reader = threading.Thread(target=meter.read, args=(process.stdout,), daemon=True)
        reader.start()
        try:
            meter.wait()
            yield meter
        finally:
            process.terminate()
            reader.join(END_S)
