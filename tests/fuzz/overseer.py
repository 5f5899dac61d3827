"""Runs the workers and outlives them: a crash or a hang is laid to its case, and the next worker goes on behind it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from tests.fuzz.tally import DEFECT, Defect, Tally
from tests.fuzz.target import Target
from tests.fuzz.targets import TARGETS
from tests.fuzz.worker import CONTROL, NUMBER, keep, made

ROOT = Path(__file__).parents[2]
STALL_S = 60.0  # of one case, however busy the machine is
STALL_CONTROLS = 40  # and where a control takes long, that many of it
POLL_S = 0.1
MAX_CRASHES = 20  # then it is told, and mended, before more is tried


@dataclass
class Overseer:
    """Of one target."""

    name: str
    seed: int
    cases: int
    folder: Path  # what is to be kept is put there
    seconds: float = float("inf")
    stall_s: float = STALL_S
    first: int = 0
    skipped: set[int] = field(default_factory=set)

    def run(self) -> Tally:
        began = time.monotonic()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._tally = Tally(self.name, self.seed)
        self._ends_at = began + self.seconds
        while (
            self.first < self.cases and time.monotonic() < self._ends_at and len(self.skipped) < MAX_CRASHES
        ):
            self._one_worker()
        self._tally.took_s = time.monotonic() - began
        return self._tally

    def _one_worker(self) -> None:
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as printed:
            told = Path(folder, "told")
            with told.open("wb") as telling:
                process = subprocess.Popen(self._words(folder), cwd=ROOT, stdout=telling, stderr=printed)
            try:
                fault = self._watch(process, told, Path(folder, "number"))
            finally:
                _end(process)
            self._read(told)
            self._bring_home(Path(folder))
            if fault or process.returncode not in (0, -signal.SIGTERM):
                self._lay(fault or f"ended with {process.returncode}", Path(folder, "number"), _tail(printed))
            if process.returncode > 0:  # an end of its own, not a crash: these parts are at fault
                raise RuntimeError(f"The worker of {self.name} failed: {_tail(printed)}")

    def _words(self, folder: str) -> list[str]:
        skipped = ",".join(map(str, sorted(self.skipped)))
        numbers = (self.seed, self.first, self.cases, skipped)
        return [sys.executable, "-m", "tests.fuzz.worker", self.name, *map(str, numbers), folder]

    def _watch(self, process: subprocess.Popen[bytes], told: Path, number: Path) -> str:
        """What is wrong with it, if something is; it is left to itself until then."""
        at, since = None, time.monotonic()
        while process.poll() is None:
            time.sleep(POLL_S)
            self._read(told)
            now = time.monotonic()
            if (noted := _noted(number)) != at:
                at, since = noted, now
            if now - since > self._patience_s(at):
                process.kill()
                return f"a hang: nothing for {now - since:.0f} s"
            if now > self._ends_at:
                process.terminate()
                process.wait(60)
                return ""
        return ""

    def _patience_s(self, number: int | None) -> float:
        """With a case; with what comes before all cases it is never short."""
        least_s = STALL_S if number in (None, CONTROL) else self.stall_s
        return max(least_s, STALL_CONTROLS * self._tally.control_s)

    def _read(self, told: Path) -> None:
        """The lines that are whole, once each."""
        with told.open("rb") as file:
            file.seek(self._read_bytes.get(told, 0))
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._read_bytes[told] = self._read_bytes.get(told, 0) + len(line)
                self._add(json.loads(line))

    def _add(self, words: dict[str, Any]) -> None:
        self.first = words.pop("done")
        self._tally.add(words)

    def _bring_home(self, folder: Path) -> None:
        for file in folder.glob("*.bin"):
            (self.folder / file.name).write_bytes(file.read_bytes())
        self._tally.defects = [
            Defect(**{**vars(d), "file": d.file.replace(str(folder), str(self.folder))})
            for d in self._tally.defects
        ]

    def _lay(self, what: str, number: Path, printed: str) -> None:
        """To the case that was asked when it happened. What was asked since the last line is asked again."""
        at = _noted(number)
        if at is None or at == CONTROL:
            raise RuntimeError(f"The worker of {self.name} did not get to its cases: {what}\n{printed}")
        target: Target = TARGETS[self.name]()
        try:
            file = keep(self.folder, self.name, self.seed, at, made(target, self.seed, at))
        finally:
            target.close()
        self._tally.defects.append(
            Defect(self.name, self.seed, at, "crash or hang", f"{what} {printed}", file)
        )
        self._tally.count(at, DEFECT, 0.0, 0.0)
        self.skipped.add(at)

    def __post_init__(self) -> None:
        self._read_bytes: dict[Path, int] = {}


def _noted(number: Path) -> int | None:
    try:
        return int(NUMBER.unpack(number.read_bytes())[0])
    except (OSError, ValueError):
        return None


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
    process.wait()


def _tail(printed: IO[bytes]) -> str:
    printed.seek(0)
    return printed.read()[-500:].decode(errors="replace").strip()
