"""What a random run left in its folder, read; and what all rules ask of it: what was wrong around a moment, and how
busy the machine was then."""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.chaos.random_deeds import Deed
from tests.chaos.random_faults import BY_NAME, LATE
from tests.chaos.random_load import IDLE_S, PATIENT_S, Asked

WELL_AGAIN_S = 5.0  # after a fault: connections are made anew, breakers are probed
BUSY_S = (
    0.05  # a control that took so long: the machine was, and who is well cannot show it; alone it takes 2 ms
)
AROUND_S = 1.0  # of a request, for what the controls say of it
DIES_S = 0.1  # how far a death may be from when it was noted


@dataclass(frozen=True)
class Line:
    """What the backend's log says of one request."""

    number: int
    at: float
    request_id: str
    camera: str | None
    outcome: str
    side: str | None
    reason: str
    fallback_reason: str | None
    attempts: int
    bucket: int
    flag_version: int
    error: str | None

    @classmethod
    def of(cls, line: Mapping[str, Any]) -> Line:
        same = (
            "request_id", "camera", "outcome", "reason", "fallback_reason", "attempts", "bucket", "flag_version",
            "error",
        )  # fmt: skip
        return cls(
            number=int(line["client_request_id"]), at=datetime.fromisoformat(line["ts"]).timestamp(),
            side=line["served_by"], **{name: line[name] for name in same},
        )  # fmt: skip


@dataclass(frozen=True)
class Record:
    facts: Mapping[str, Any]
    asked: Sequence[Asked]
    lines: Sequence[Line]
    deeds: Sequence[Deed]
    controls: Sequence[tuple[float, float]]  # when, and how long it took
    history: Sequence[Mapping[str, Any]]  # oldest first
    counted: Mapping[str, float]  # by the metrics between beginning and end
    errors: Sequence[str]  # what the backend's log calls one, requests aside

    @classmethod
    def read(cls, folder: Path) -> Record:
        before, after = (_metrics(folder / f"metrics-{name}.txt") for name in ("before", "after"))
        log = list(_log(folder / "backend.log"))
        return cls(
            facts=json.loads((folder / "facts.json").read_text()),
            asked=[Asked(**row) for row in _rows(folder / "requests.jsonl")],
            lines=[Line.of(row) for row in log if row["event"] == "request"],
            errors=[_in_short(row) for row in log if row["event"] == "log" and row["level"] == "error"],
            deeds=sorted((Deed(**row) for row in _rows(folder / "deeds.jsonl")), key=lambda one: one.began),
            controls=[(row["at"], row["took_s"]) for row in _rows(folder / "controls.jsonl")],
            history=list(_rows(folder / "history.jsonl")),
            counted={line: value - before.get(line, 0.0) for line, value in after.items()},
        )

    # --- requests -----------------------------------------------------------------------------------------

    @cached_property
    def lines_of(self) -> Mapping[int, Sequence[Line]]:
        found: defaultdict[int, list[Line]] = defaultdict(list)
        for line in self.lines:
            found[line.number].append(line)
        return found

    @cached_property
    def told(self) -> Sequence[tuple[Asked, Line]]:
        """Those that have exactly one line, and it."""
        return [
            (one, self.lines_of[one.number][0]) for one in self.asked if len(self.lines_of[one.number]) == 1
        ]

    # --- the flags ----------------------------------------------------------------------------------------

    @cached_property
    def states(self) -> Mapping[int, Mapping[str, Any]]:
        return {change["version"]: change["after"] for change in self.history}

    def state_of(self, line: Line) -> Mapping[str, Any]:
        return self.states.get(line.flag_version, {})

    # --- what was wrong -----------------------------------------------------------------------------------

    def deeds_between(self, began: float, ended: float, after_s: float = 0.0) -> Iterator[Deed]:
        """Those that had begun, and had not been over for `after_s`."""
        begins, longest_s = self._deeds_by_time
        first = bisect_left(begins, began - after_s - longest_s)
        for deed in self.deeds[first : bisect_right(begins, ended)]:
            if began <= deed.ended + after_s:
                yield deed

    @cached_property
    def _deeds_by_time(self) -> tuple[list[float], float]:
        longest_s = max((deed.ended - deed.began for deed in self.deeds), default=0.0)
        return [deed.began for deed in self.deeds], longest_s

    def broken(self, side: str, began: float, ended: float) -> list[Deed]:
        """What this side suffers, or has suffered a moment ago."""
        return [
            deed for deed in self.deeds_between(began, ended, WELL_AGAIN_S)
            if BY_NAME[deed.name].side in (side, "both")
        ]  # fmt: skip

    def named(self, name: str) -> list[Deed]:
        return [deed for deed in self.deeds if deed.name == name]

    @cached_property
    def deaths(self) -> Sequence[Deed]:
        return self.named("worker killed")

    def died_under(self, one: Asked) -> bool:
        """It was with a worker that was killed, or came over a connection that had been."""
        return any(
            one.connected <= death.in_force + DIES_S
            and death.began - DIES_S <= one.ended <= death.in_force + IDLE_S + DIES_S
            for death in self.deaths
        )

    def near_a_death(self, one: Asked) -> bool:
        """Its worker may have died before it told anybody."""
        return any(
            one.sent <= death.in_force + DIES_S and death.began - DIES_S <= one.ended + AROUND_S
            for death in self.deaths
        )

    def control_s(self, began: float, ended: float) -> float:
        """The worst that was seen around this time. One control follows upon another, so both lists rise."""
        begins, ends = self._controls_by_time
        around = self.controls[bisect_left(ends, began - AROUND_S) : bisect_right(begins, ended + AROUND_S)]
        return max((took for _, took in around), default=0.0)

    @cached_property
    def _controls_by_time(self) -> tuple[list[float], list[float]]:
        return [at for at, _ in self.controls], [at + took for at, took in self.controls]

    def busy_reasons(self, one: Asked) -> frozenset[str]:
        return LATE if self.control_s(one.sent, one.ended) > BUSY_S else frozenset()


@dataclass
class Check:
    """One look through a record: what is wrong, by rule, and what was excused."""

    record: Record
    wrong: dict[str, list[tuple[str, Asked | None]]] = field(default_factory=dict)
    excused: Counter[str] = field(default_factory=Counter)

    def require(self, holds: bool, rule: str, words: str, one: Asked | None = None) -> None:
        if not holds:
            self.wrong.setdefault(rule, []).append((words, one))


def is_patient(one: Asked) -> bool:
    return one.patience_s >= PATIENT_S


def label(line: str, name: str) -> str:
    """Of a line of the metrics."""
    return line.partition(f'{name}="')[2].partition('"')[0]


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    for line in file.read_text().splitlines():
        yield json.loads(line)


def _log(file: Path) -> Iterator[dict[str, Any]]:
    for line in file.read_text(errors="replace").splitlines():
        if line.startswith("{"):
            yield json.loads(line)


def _in_short(row: Mapping[str, Any]) -> str:
    """The last line of a traceback says what happened."""
    last = (row["trace"] or "").strip().rpartition("\n")[2]
    return f"{row['ts']} {row['logger']}: {row['message']}: {last}"


def _metrics(file: Path) -> dict[str, float]:
    lines = (line for line in file.read_text().splitlines() if line[:1] not in ("#", ""))
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}
