"""What came of a target's cases, as the worker tells it and as the table shows it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.fuzz.target import ACCEPTED

DEFECT = "defect"  # the kind of a case that was neither accepted nor refused


@dataclass(frozen=True)
class Defect:
    target: str
    seed: int
    number: int
    kind: str  # a broken promise, an exception, a crash, a hang, memory, time, noise
    words: str
    file: str = ""  # the case itself

    def line(self) -> str:
        return (
            f"{self.target} case {self.number} of seed {self.seed}: {self.kind}: {self.words} ({self.file})"
        )


@dataclass
class Tally:
    target: str
    seed: int
    cases: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0
    slowest_case: int = -1
    peak_mb: float = 0.0
    peak_case: int = -1
    control_s: float = 0.0
    control_mb: float = 0.0
    took_s: float = 0.0
    defects: list[Defect] = field(default_factory=list)

    def count(self, number: int, kind: str, took_s: float, grown_mb: float) -> None:
        self.cases += 1
        self.kinds[kind] += 1
        if took_s > self.slowest_s:
            self.slowest_s, self.slowest_case = took_s, number
        if grown_mb > self.peak_mb:
            self.peak_mb, self.peak_case = grown_mb, number

    def add(self, told: dict[str, Any]) -> None:
        """A worker's words of some more cases."""
        self.cases += told["cases"]
        self.kinds.update(told["kinds"])
        if told["slowest_s"] > self.slowest_s:
            self.slowest_s, self.slowest_case = told["slowest_s"], told["slowest_case"]
        if told["peak_mb"] > self.peak_mb:
            self.peak_mb, self.peak_case = told["peak_mb"], told["peak_case"]
        self.control_s = max(self.control_s, told["control_s"])
        self.control_mb = max(self.control_mb, told["control_mb"])
        self.defects += [Defect(**defect) for defect in told["defects"]]

    def document(self) -> dict[str, Any]:
        defects = [asdict(defect) for defect in self.defects]
        return {**vars(self), "kinds": dict(self.kinds), "defects": defects}


_HEADS = (
    "target",
    "cases",
    "accepted",
    "refused",
    "defects",
    "slowest",
    "control",
    "memory",
    "control",
    "took",
)


def table_of(tallies: Sequence[Tally]) -> str:
    rows = [_HEADS, *(_row(tally) for tally in tallies)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADS))]
    lines = ["  ".join(word.rjust(width) for word, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join((*lines, "", *map(_refusals, tallies)))


def _row(tally: Tally) -> tuple[str, ...]:
    accepted = tally.kinds[ACCEPTED]
    refused = tally.cases - accepted - tally.kinds[DEFECT]
    return (
        tally.target, f"{tally.cases:,}", f"{accepted:,}", f"{refused:,}", str(len(tally.defects)),
        f"{tally.slowest_s * 1000:,.1f} ms", f"{tally.control_s * 1000:,.1f} ms",
        f"{tally.peak_mb:,.0f} MB", f"{tally.control_mb:,.0f} MB", f"{tally.took_s:,.0f} s",
    )  # fmt: skip


def _refusals(tally: Tally) -> str:
    kinds = ", ".join(
        f"{kind} {count:,}" for kind, count in tally.kinds.most_common() if kind not in (ACCEPTED, DEFECT)
    )
    return f"{tally.target} refused: {kinds or 'nothing'}"
