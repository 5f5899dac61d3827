"""One side of one detector as the design speaks of it: what counts against it, when it falls, when it stands up again.

Nothing here is quick or clever: every result is kept, and looked through each time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from backend.observe.events import BreakerState

ROW, LEAST, WINDOW_S = 5, 20, 10.0
OPEN_S, GROWTH, LONGEST_S = 5.0, 1.6, 60.0
PROBES, PAUSE_S = 3, 1.0
STARTS_S = 60.0  # a side that loads its model is given so long before the probes call it dead
COUNTS = frozenset(
    {"unavailable", "deadline_exceeded", "server_error", "model_not_found", "invalid_model_output"}
)


@dataclass
class PlainBreaker:
    state: BreakerState = "closed"
    moves: int = 0
    moved_at: float = -math.inf
    open_s: float = 0.0
    closed_at: float = -math.inf
    probe_at: float = -math.inf
    probes_well: int = 0
    results: list[tuple[float, bool, bool]] = field(default_factory=list)  # when, well, in a row

    def ended(self, now: float, moves: int, well: bool, in_a_row: bool) -> None:
        """`moves`: made when the call began. What began before the last one says nothing of now."""
        if self.state != "closed" or moves != self.moves:
            return
        self.results.append((now, well, in_a_row))
        tenth = WINDOW_S / 10  # the oldest leaves whole
        recent = [ok for at, ok, _ in self.results if at // tenth > now // tenth - 10]
        row = [ok for _, ok, counts in self.results if ok or counts][-ROW:]
        if row == [False] * ROW or (len(recent) >= LEAST and 2 * recent.count(False) >= len(recent)):
            self._open(now)

    def half_open(self, now: float) -> None:
        self.probes_well = 0
        self._move("half_open", now)

    def probed(self, now: float, well: bool | None) -> None:
        if well is None:
            self.probe_at = now + PAUSE_S
        elif not well:
            self._open(now)
        else:
            self.probes_well += 1
            if self.probes_well == PROBES:
                self.results.clear()
                self.closed_at = now
                self._move("closed", now)

    def _open(self, now: float) -> None:
        was_well = self.state == "closed" and now - self.closed_at >= LONGEST_S
        self.open_s = OPEN_S if was_well else min(LONGEST_S, self.open_s * GROWTH)
        self.probe_at = now + self.open_s
        self._move("open", now)

    def _move(self, to: BreakerState, now: float) -> None:
        self.state, self.moved_at = to, now
        self.moves += 1


@dataclass
class PlainLane:
    """`allowed`: the flags let callers reach it, as its prober saw them last."""

    least_s: float  # an attempt gets so long, however impatient its caller
    breaker: PlainBreaker = field(default_factory=PlainBreaker)
    under_way: int = 0
    probing: bool = False
    allowed: bool = False
    heard: bool = False
    allowed_at: float = -math.inf
    answered_at: float = -math.inf
    took_s: list[float] = field(default_factory=list)  # of answers

    def allow(self, allowed: bool, now: float) -> None:
        if allowed != self.allowed:
            self.allowed, self.allowed_at, self.heard = allowed, now, self.heard and allowed

    @property
    def usual_s(self) -> float:
        """Four times the middle one of the last 31 answers."""
        recent = sorted(self.took_s[-31:])
        return max(self.least_s, 4 * recent[len(recent) // 2]) if recent else self.least_s

    def call_ended(self, now: float, begun_at: float, moves: int | None, code: str, synthetic: bool) -> None:
        """`moves` is None for a call that must not count: a diagnosis of a fallen side, a probe that may close it."""
        queued = code == "deadline_exceeded" and self.answered_at > begun_at  # others were answered meanwhile
        excused = (
            not self.allowed
            or (synthetic and not self.heard and now - self.allowed_at < STARTS_S)
            or (queued and now - begun_at <= self.usual_s)
        )
        if moves is not None and (code == "ok" or (code in COUNTS and not excused)):
            self.breaker.ended(now, moves, code == "ok", in_a_row=not queued)
        if code == "ok":
            self.heard, self.answered_at = True, now
            self.took_s.append(now - begun_at)

    def probe_ended(self, now: float, code: str) -> None:
        """What we cut off ourselves says nothing of its health."""
        if code in COUNTS and self.allowed:
            self.breaker.probed(now, False)
        else:
            self.breaker.probed(now, True if code == "ok" else None)
