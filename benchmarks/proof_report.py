"""What the proof found, as data and as the table of docs/proof.md."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter

from benchmarks.baseline import commit
from benchmarks.machine import Machine
from benchmarks.proof_cases import CASES, HEALTHY, Case
from tests.faults import FAULTS
from tests.proof_stack import Run

SCHEMA = 1
NAME = "proof.json"
CAUGHT_BEFORE = 0.25
HEAD = ("planted", "what the ramp said", "share", "seconds", "samples", "requests", "callers served")


@dataclass(frozen=True, slots=True)
class Proven:
    case: Case
    run: Run
    holds: bool
    made_at: str
    commit: str | None

    @classmethod
    def of(cls, case: Case, run: Run) -> Proven:
        served = not run.lost and sum(run.served.values()) > 0
        holds = served and (_earned(run) if case.fault == HEALTHY else _caught(run))
        return cls(case, run, holds, datetime.now(UTC).isoformat(timespec="seconds"), commit())

    @property
    def verdict(self) -> str:
        return f"{'holds' if self.holds else 'DOES NOT HOLD'}: {self.run.reasons[-1]}"


@dataclass(frozen=True, slots=True)
class Report:
    machine: Machine
    proven: tuple[Proven, ...]
    schema: int = SCHEMA

    def and_also(self, proven: Proven) -> Report:
        return replace(self, proven=(*self.proven, proven))

    def with_others_of(self, before: Report) -> Report:
        """Whatever was proven before on the same machine and not anew."""
        if before.machine.title != self.machine.title:
            return self
        known = {one.case.fault: one for one in (*before.proven, *self.proven)}
        return replace(self, proven=tuple(known[case.fault] for case in CASES if case.fault in known))


_REPORT = TypeAdapter(Report)


def _earned(run: Run) -> bool:
    return run.phase == "watching" and run.highest == 1.0 and run.steps == tuple(sorted(run.steps))


def _caught(run: Run) -> bool:
    """In the first steps, and by its name."""
    named = re.search(FAULTS[run.fault].named, "; ".join((run.named, *run.reasons)))
    return run.phase == "ended" and run.highest < CAUGHT_BEFORE and named is not None


def save(report: Report, folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NAME
    if path.is_file():
        report = report.with_others_of(load(path))
    path.write_bytes(_REPORT.dump_json(report, indent=1) + b"\n")
    return [path]


def load(path: Path) -> Report:
    return _REPORT.validate_json(path.read_bytes())


def as_text(report: Report) -> str:
    """Markdown, for docs/proof.md."""
    lines = [_row(HEAD), _row(["---"] * len(HEAD)), *(_row(_cells(one)) for one in report.proven)]
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(one: Proven) -> list[str]:
    run = one.run
    planted = FAULTS[run.fault].words if run.fault in FAULTS else "nothing: the same weights"
    said = run.named or run.reasons[-1]
    return [
        planted,
        said if one.holds else f"**{said}**",
        " → ".join(f"{100 * step:g} %" for step in run.steps),
        f"{run.seconds:.0f}",
        f"{_asked(run, 'disagreement'):,}",
        f"{_asked(run, 'errors'):,}",
        f"{sum(run.served.values()):,} of {sum(run.served.values()) + len(run.lost):,}",
    ]


def _asked(run: Run, question: str) -> int:
    return run.questions.get(question, (0, 0))[1]
