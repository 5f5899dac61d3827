"""What the leader saw and said when it last looked at a ramp: kept in the store, so that every worker can tell it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

Question = Literal[
    "disagreement",  # Triton sees otherwise than legacy, beyond legacy's own noise
    "errors",  # of the requests decided for Triton: not served by it
    "latency",  # slower than legacy's p95 was before the ramp
    "fresh",  # slower than 19 fresh requests of legacy; only ever evidence against
]
QUESTIONS: tuple[Question, ...] = ("disagreement", "errors", "latency", "fresh")

Action = Literal[
    "hold",
    "promote",
    "roll back",
    "begin anew",  # the step starts again: another model version, lost evidence
    "pause",
    "measured",  # the baseline is complete
]


@dataclass(frozen=True, slots=True)
class Answer:
    """One question, as far as it is answered."""

    question: Question
    worse: int
    same: int
    better: int
    bound: float  # τ: what is promised is that the mean stays under it
    rate: float | None  # None: nothing was asked yet
    low: float | None  # a band that holds at all times together
    high: float | None
    well: float  # ln of the evidence that the mean is under the bound
    ill: float  # … and that it is over it
    well_at: float  # promoted from here on
    ill_at: float  # rolled back from here on
    needed: int  # about how many samples it takes in all when nothing goes wrong

    @property
    def asked(self) -> int:
        return self.worse + self.same + self.better


@dataclass(frozen=True, slots=True)
class Point:
    """One look of earlier, for the plot."""

    samples: int
    rate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Look:
    detector: str
    epoch: str
    at: float  # unix seconds
    action: Action
    words: str  # one sentence: "hold: 312 of about 1,414 samples, about 40 minutes"
    waits_for: tuple[str, ...] = ()  # each thing that keeps the next step away, in words
    fault: str = ""  # what is wrong with Triton, by name, where something is
    answers: tuple[Answer, ...] = ()
    eta_s: float | None = None  # to the next step, as things go; None: nobody knows
    trail: tuple[Point, ...] = ()  # of this epoch's disagreement

    def to_table(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> Look:
        """ValueError, KeyError or TypeError where it is none."""
        known = {one.name: table[one.name] for one in fields(cls) if one.name in table}
        known["waits_for"] = tuple(known.get("waits_for", ()))
        known["answers"] = tuple(Answer(**answer) for answer in known.get("answers", ()))
        known["trail"] = tuple(Point(**point) for point in known.get("trail", ()))
        return cls(**known)


def look_record(detector: str) -> str:
    """The name of the store's record that holds a detector's last look."""
    return f"look/{detector}"
