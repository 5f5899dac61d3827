"""Asks a target its cases in a process of its own, so that a decoder that crashes takes nobody with it.

    python -m tests.fuzz.worker TARGET SEED FIRST LAST SKIPPED FOLDER

It notes the number of each case in FOLDER before it asks, and says what came of them on its standard output, a line
of JSON at a time. What a library prints goes to standard error, which has to stay empty.
"""

from __future__ import annotations

import json
import mmap
import os
import random
import resource
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.fuzz.memory import Peak
from tests.fuzz.tally import DEFECT, Defect, Tally
from tests.fuzz.target import BrokenPromise, Target, random_of
from tests.fuzz.targets import TARGETS

NUMBER = struct.Struct("<q")
BREATH_S = 1.0  # between two lines
MAX_ADDRESSES_BYTES = 12 * 1024**3  # a bomb hits this, not the machine
LEAST_SLOW_S = 0.5  # what is quicker harms nobody, however small the controls are
MAX_KEPT = 20  # of a target's defects; a thousand of one kind say no more
CONTROL = -1  # the number noted while the controls are measured


class Worker:
    def __init__(self, target: Target, seed: int, folder: Path) -> None:
        self._target, self._seed, self._folder = target, seed, folder
        self._watched = getattr(target, "watched", tuple)
        self._note = _note_in(folder / "number")
        self._tally = Tally(target.name, seed)
        self._kept = 0

    def measure_controls(self) -> None:
        """Twice: what a library loads at its first call is not the case's."""
        self._note(CONTROL)
        for data in (*self._target.controls(), *self._target.controls()):
            kind, took_s, grown_mb = self._asked(data)
            if kind != "accepted":
                raise SystemExit(f"a control of {self._target.name} came to {kind}")
            self._tally.control_s = max(self._tally.control_s, took_s)
            self._tally.control_mb = max(self._tally.control_mb, grown_mb)

    def run(self, first: int, last: int, skipped: set[int]) -> None:
        told_at = time.monotonic()
        for number in range(first, last):
            if number not in skipped:
                self._take(number)
            if time.monotonic() - told_at > BREATH_S or number == last - 1:
                self._tell(number + 1)
                told_at = time.monotonic()

    def _take(self, number: int) -> None:
        self._note(number)
        data = self._target.make(number, random_of(self._seed, self._target.name, number))
        printed = _printed_bytes()
        try:
            kind, took_s, grown_mb = self._asked(data)
        except BrokenPromise as broken:
            self._tally.count(number, DEFECT, 0.0, 0.0)
            self._defect(number, data, "broken promise", str(broken))
            return
        except Exception as error:  # noqa: BLE001  (whatever escapes is what is looked for)
            self._tally.count(number, DEFECT, 0.0, 0.0)
            self._defect(number, data, type(error).__name__, str(error)[:500])
            return
        if _printed_bytes() > printed:
            self._defect(number, data, "noise", "a library printed to standard error")
        self._tally.count(number, kind, took_s, grown_mb)
        self._weigh(number, data, took_s, grown_mb)

    def _weigh(self, number: int, data: bytes, took_s: float, grown_mb: float) -> None:
        """A case that was slow because the machine was busy is quick the next time."""
        target, tally = self._target, self._tally
        longest_s = max(LEAST_SLOW_S, target.time_bound * tally.control_s)
        if took_s > longest_s and (again_s := min(self._asked(data)[1] for _ in range(2))) > longest_s:
            self._defect(
                number, data, "time", f"{again_s:.3f} s, where a control takes {tally.control_s:.3f} s"
            )
        if grown_mb > tally.control_mb + target.memory_bound_mb:
            self._defect(
                number, data, "memory", f"{grown_mb:.0f} MB; a control takes {tally.control_mb:.0f} MB"
            )

    def _asked(self, data: bytes) -> tuple[str, float, float]:
        peak, began = Peak(self._watched()), time.perf_counter()
        kind = self._target.ask(data)
        return kind, time.perf_counter() - began, peak.grown_mb()

    def _defect(self, number: int, data: bytes, kind: str, words: str) -> None:
        file = (
            keep(self._folder, self._target.name, self._seed, number, data) if self._kept < MAX_KEPT else ""
        )
        self._kept += 1
        self._tally.defects.append(Defect(self._target.name, self._seed, number, kind, words, file))

    def _tell(self, done: int) -> None:
        print(json.dumps(self._tally.document() | {"done": done}), file=_TELLING, flush=True)
        control_s, control_mb = self._tally.control_s, self._tally.control_mb
        self._tally = Tally(self._target.name, self._seed, control_s=control_s, control_mb=control_mb)


def keep(folder: Path, target: str, seed: int, number: int, data: bytes) -> str:
    file = folder / f"{target}-{seed}-{number}.bin"
    file.write_bytes(data)
    return str(file)


def made(target: Target, seed: int, number: int) -> bytes:
    return target.make(number, random_of(seed, target.name, number))


def _note_in(file: Path) -> Callable[[int], None]:
    """Memory that is shared with the file outlives a crash."""
    file.write_bytes(NUMBER.pack(CONTROL))
    with file.open("r+b") as opened:
        shared = mmap.mmap(opened.fileno(), NUMBER.size)
    return lambda number: NUMBER.pack_into(shared, 0, number)


def _printed_bytes() -> int:
    return os.fstat(sys.stderr.fileno()).st_size


def main(target: str, seed: str, first: str, last: str, skipped: str, folder: str) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MAX_ADDRESSES_BYTES, MAX_ADDRESSES_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    random.seed(int(seed))
    made_target = TARGETS[target]()
    try:
        worker = Worker(made_target, int(seed), Path(folder))
        worker.measure_controls()
        worker.run(int(first), int(last), {int(number) for number in skipped.split(",") if number})
    finally:
        made_target.close()


_TELLING = sys.stdout

if __name__ == "__main__":
    main(*sys.argv[1:])
