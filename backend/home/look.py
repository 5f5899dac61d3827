"""One look at a backend: what it said of its sides, its counters and its flags, or why it said nothing.

Read from the documents of GET /health/ready, /api/traffic and /api/rollout. Counters only grow; what they mean is the
difference of two looks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any, Final, Literal

from backend.sides import SIDES, Side

OK: Final = "ok"
SideState = Literal["serves", "compared", "starting", "fails", "not asked"]
SIDE_STATES: Final[tuple[SideState, ...]] = ("serves", "compared", "starting", "fails", "not asked")
NO_RAMP: Final = "none"
PAUSED: Final = "paused"
_SIDE_OF: Final[Mapping[str, Side]] = {side: side for side in SIDES}  # another word is an error


@dataclass(frozen=True, slots=True)
class Counts:
    """Of one detector, of all workers, since they began."""

    outcomes: Mapping[str, int]  # pictures, by what became of them
    durations: tuple[int, ...] = ()  # answered within each of the look's edges, and at all

    def fell_below(self, before: Counts) -> bool:
        """The backend began anew, or another one has answered."""
        return any(self.outcomes.get(outcome, 0) < count for outcome, count in before.outcomes.items())

    def less(self, others: Counts) -> Counts:
        """As if nought had been counted when `others` were."""
        names = self.outcomes.keys() | others.outcomes.keys()
        outcomes = {name: self.outcomes.get(name, 0) - others.outcomes.get(name, 0) for name in names}
        pairs = zip_longest(self.durations, others.durations, fillvalue=0)
        return Counts(outcomes, tuple(mine - theirs for mine, theirs in pairs))


@dataclass(frozen=True, slots=True)
class Flags:
    """Of one detector."""

    asked: float  # the share that Triton was given …
    effective: float  # … and the one in force
    phase: str = NO_RAMP
    rolled_back: bool = False


@dataclass(frozen=True, slots=True)
class Look:
    at_s: float  # of a clock that only goes forward
    away: str = ""  # why the backend said nothing
    sides: Mapping[str, Mapping[Side, SideState]] = field(default_factory=dict)  # by detector
    counts: Mapping[str, Counts] = field(default_factory=dict)
    edges_s: tuple[float, ...] = ()
    flags: Mapping[str, Flags] = field(default_factory=dict)
    began_anew: bool = False  # its counters are less than they were
    missing: str = ""  # why it said nothing of its counters or flags
    denied: int = 0  # HTTP's status, where that is because of the key


def sides_of(lanes: Sequence[Mapping[str, Any]]) -> dict[str, dict[Side, SideState]]:
    """A side that the configuration turned off has no lane."""
    found: dict[str, dict[Side, SideState]] = {}
    for lane in lanes:
        of_detector = found.setdefault(str(lane["detector"]), dict.fromkeys(SIDES, "not asked"))
        of_detector[_SIDE_OF[lane["backend"]]] = _side_state(lane)
    return found


def counts_of(traffic: Mapping[str, Any]) -> dict[str, Counts]:
    return {name: _counts(told) for name, told in traffic["detectors"].items()}


def edges_of(traffic: Mapping[str, Any]) -> tuple[float, ...]:
    return tuple(map(float, traffic["edges_s"]))


def flags_of(rollout: Mapping[str, Any]) -> dict[str, Flags]:
    return {name: _flags(name, rollout, float(share)) for name, share in rollout["effective"].items()}


def _side_state(lane: Mapping[str, Any]) -> SideState:
    if not lane["allowed"]:
        return "not asked"
    if lane["breaker"] != "closed":
        return "fails"
    if not lane["heard"]:
        return "starting"
    return "serves" if lane.get("for_callers", True) else "compared"


def _counts(told: Mapping[str, Any]) -> Counts:
    tables = [side["requests"] for side in told["sides"].values()] + [told["unserved"]]
    outcomes: dict[str, int] = {}
    for outcome, count in (pair for table in tables for pair in table.items()):
        outcomes[outcome] = outcomes.get(outcome, 0) + int(count)
    durations = [side["durations"] for side in told["sides"].values()]
    return Counts(outcomes, tuple(int(sum(column)) for column in zip(*durations, strict=True)))


def _flags(name: str, rollout: Mapping[str, Any], effective: float) -> Flags:
    asked = float(rollout["overrides"].get(name, rollout["fraction"]))
    ramp = rollout["ramps"].get(name)
    was = bool(rollout["pins_suspended"] or (ramp and ramp["rolled_back"]))  # as RolloutState.is_rolled_back
    return Flags(asked, effective, _phase(ramp), was and not asked)


def _phase(ramp: Mapping[str, Any] | None) -> str:
    if ramp is None:
        return NO_RAMP
    return PAUSED if ramp["paused"] and ramp["phase"] != "ended" else str(ramp["phase"])
