"""A ramp: one detector's way from legacy to Triton, and where it stands.

It is part of the rollout's state, so that a step and its fraction change in one write or not at all, and whoever leads
next finds it as it is. What decides about it is `ramp`; what was measured on the way lies in books (`books`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from itertools import pairwise
from typing import Any, Final, Literal

Phase = Literal[
    "baseline",  # legacy is measured; the fraction is as it was
    "running",  # at steps[step]
    "watching",  # at the last step for good; evidence against it still rolls back
    "ended",  # over: `ended` says why; kept so that it can be looked at
]
PHASES: tuple[Phase, ...] = ("baseline", "running", "watching", "ended")
MAX_STEPS = 20
BY_ITSELF: Final = "rolled back: "  # begins what is said of a ramp that evidence has ended


@dataclass(frozen=True, slots=True)
class Ramp:
    id: str  # of no other ramp, ever
    steps: tuple[float, ...]  # fractions, rising
    phase: Phase = "baseline"
    step: int = -1  # an index into steps; -1 before the first
    tries: int = 1  # evidence was begun anew so often: with each step, and when the ground had moved
    paused: str = ""  # why nothing is promoted; evidence still counts, and still rolls back
    dry_run: bool = False  # decides and tells, and moves nothing
    gates: tuple[float, ...] = ()  # fractions that somebody has to approve before a step reaches them
    approved: float = 0.0  # … up to this fraction
    forced: str = ""  # the reason for which neither certificate nor headroom is asked for
    started_at: float = 0.0  # unix seconds
    step_at: float = 0.0  # when evidence was last begun anew
    slow_bin: int | None = None  # θ: a time in a higher bin of `books` is slow; frozen when the baseline ends
    model_version: str = ""  # Triton's, that the evidence is about
    baseline: Mapping[str, int] | None = None  # what there was to see before: counters of `books.COVERAGE`
    ended: str = ""
    rolled_back: bool = False  # by evidence; pins to Triton count again when it has a share of this detector

    def __post_init__(self) -> None:
        rising = all(a < b for a, b in pairwise(self.steps))
        if not (0 < len(self.steps) <= MAX_STEPS and rising and self.steps[0] > 0 and self.steps[-1] <= 1):
            raise ValueError(f"steps are {list(self.steps)}; they must rise, from over 0 to at most 1")
        if self.phase not in PHASES:
            raise ValueError(f"phase is {self.phase!r}; it must be one of {', '.join(PHASES)}")
        if not -1 <= self.step < len(self.steps):
            raise ValueError(f"step is {self.step}; it must be from -1 to {len(self.steps) - 1}")

    @property
    def is_on(self) -> bool:
        return self.phase != "ended"

    @property
    def fraction(self) -> float:
        """What this step means; 0 before the first."""
        return self.steps[self.step] if self.step >= 0 else 0.0

    @property
    def next_gate(self) -> float | None:
        """The lowest one that is still to be approved on the way."""
        passed = max(self.approved, self.fraction)
        return min((gate for gate in self.gates if passed < gate <= self.steps[-1]), default=None)

    @property
    def epoch(self) -> str:
        """What the evidence of now belongs to; what a worker adds to an older one harms nobody."""
        return f"{self.id}.{self.tries}"

    def begun_anew(self, at: float, **changes: Any) -> Ramp:
        return replace(self, tries=self.tries + 1, step_at=at, **changes)

    def over(self, why: str) -> Ramp:
        return replace(self, phase="ended", ended=why)

    def rolled_back_for(self, fault: str) -> Ramp:
        return replace(self.over(BY_ITSELF + fault), rolled_back=True)

    @property
    def has_rolled_back(self) -> bool:
        """This one: `rolled_back` may be what the ramp before it has left, and a person's rollback is none."""
        return not self.is_on and self.rolled_back and self.ended.startswith(BY_ITSELF)

    def to_table(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> Ramp:
        """ValueError or TypeError where it is none; fields of a later version are ignored."""
        known: dict[str, Any] = {one.name: table[one.name] for one in fields(cls) if one.name in table}
        for name in known.keys() & {"steps", "gates"}:
            known[name] = tuple(known[name])
        return cls(**known)


def book_of(detector: str, ramp: Ramp | None) -> str:
    """Where what happens to this detector now is counted."""
    return f"{detector}/{ramp.epoch}" if ramp is not None and ramp.is_on else f"{detector}/idle"
