"""What is promised of requests, attempts, probes, comparisons and flags, held against what happens, as it happens.

Written from the design and not from the code: each promise is a plain question to plain records. What is broken is
kept in a list, for the parts that are watched may swallow an exception of their watcher.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from backend.observe.events import (
    Attempted,
    BreakerMoved,
    Compared,
    Event,
    FellBack,
    InFlight,
    RequestEnded,
    Retried,
    ShadowDropped,
    Shed,
)
from backend.rollout.flags import View
from backend.services.errors import AllRefused, NoSide, NotServed, SideOff, TooBusy, TooLate
from backend.services.lanes import LaneStatus
from backend.services.request import Served
from backend.shadow.pairs import Offer
from backend.sides import LEGACY, SIDES, TRITON, Side
from backend.transports.base import Ask, Found
from tests.plain_flags import first_choice, is_on, may_help, obeyed, reachable
from tests.plain_lane import PlainLane

DETECTORS = ("rtdetr", "yolo26")
TRITON_SHARE = 0.4
DEADLINE_S = 5.0  # the settings' own
LEAST_S = 0.3  # of an attempt
PROBE_S = 5.0  # whoever probes waits no longer
LAST_LOOK_S = 0.04  # by so much an attempt may outlast its limit
HAIR_S = 1e-6  # floats
NO_TIME_S = 0.001
OUTCOMES = {NoSide: "unavailable", TooBusy: "busy", TooLate: "late", AllRefused: "refused"}


@dataclass(frozen=True)
class Setup:
    fallback: str = "legacy"
    legacy_enabled: bool = True
    max_retries: int = 3
    budget_share: float = 0.2
    budget_per_s: float = 10.0
    places: int = 3
    triton_timeout_s: float = 60.0


@dataclass(eq=False)
class Call:
    """One call of a side; who made it: a request, a probe, or a comparison."""

    number: int
    side: Side
    detector: str
    of: str  # caller, probe, heal (a probe of a fallen side), twin
    begun_at: float
    moves: int | None  # of the breaker, if the result is to count
    least_s: float
    caller: Caller | None = field(default=None, repr=False)
    found: Found | None = None
    code: str | None = None  # None: under way
    ended_at: float = 0.0
    judged: bool = False  # of a probe of a fallen side: the breaker was told


@dataclass(eq=False)
class Caller:
    name: str
    detector: str
    camera: str | None
    force: Side | None
    came_at: float
    ends_at: float
    decided: Side
    compared: bool
    view: View = field(repr=False)
    calls: list[Call] = field(default_factory=list)
    until: dict[Side, float] = field(default_factory=dict)  # so long may it stay with a side
    outcome: Served | BaseException | None = None
    left_at: float | None = None
    flag_moved: bool = False  # away from Triton, at some moment since
    records: int = 0
    error: str = ""  # as its record tells it
    task: asyncio.Task[None] | None = field(default=None, repr=False)

    def on(self, side: Side) -> list[Call]:
        return [call for call in self.calls if call.side == side]


class Promises:
    def __init__(self, setup: Setup, clock: Callable[[], float], view: View) -> None:
        self.setup, self.clock, self.view = setup, clock, view
        self.trusted_until = float("inf")
        self.broken: list[str] = []
        self.callers: dict[str, Caller] = {}
        self.calls: list[Call] = []
        self.lanes = {(detector, side): PlainLane(LEAST_S) for detector in DETECTORS for side in SIDES}
        self.count: Counter[Any] = Counter()  # events, by what they say
        self._in_flight = {LEGACY: 0, TRITON: 0}
        self._shed_at: dict[Side, float] = {}
        self._fell_at: dict[Side, float] = {}  # towards it
        self._expected_moves: Counter[Any] = Counter()
        self._offers: Counter[str] = Counter()
        self._began_at = clock()

    def require(self, holds: bool, promise: str, *about: object) -> None:
        if not holds:
            self.broken.append(f"at {self.clock() - self._began_at:.4f} s: {promise}: {about}")

    # --- the flags ----------------------------------------------------------------------------------------

    @property
    def trusted(self) -> bool:
        return self.clock() <= self.trusted_until

    def _leads_to_triton(self, caller: Caller) -> bool:
        now = first_choice(self.view, caller.detector, caller.camera, caller.name)
        return self.trusted and is_on(self.view) and now == TRITON

    def flags_moved(self) -> None:
        for caller in self.callers.values():
            if caller.outcome is None and not self._leads_to_triton(caller):
                caller.flag_moved = True

    def prober_looks(self) -> None:
        for (detector, side), lane in self.lanes.items():
            lane.allow(side in reachable(self.view, detector, self.setup.fallback), self.clock())

    def prober_looked(self) -> None:
        """Everything of this instant has happened."""
        under_way = [call for call in self.calls if call.code is None and call.side == TRITON]
        self.require(
            is_on(self.view) or not under_way, "Triton is off: nothing is under way on it", under_way
        )

    # --- a call begins ------------------------------------------------------------------------------------

    def begins(self, side: Side, ask: Ask) -> Call:
        lane = self.lanes[ask.detector, side]
        name = ask.request_id
        caller = self.callers.get(name)
        closed = lane.breaker.state == "closed"
        of = "twin" if name.endswith("-shadow") else "caller" if caller else "probe" if closed else "heal"
        moves = lane.breaker.moves if closed and of != "twin" else None
        least_s = min(lane.usual_s, DEADLINE_S) if of == "caller" else ask.timeout_s
        call = Call(len(self.calls), side, ask.detector, of, self.clock(), moves, least_s, caller)
        self.calls.append(call)
        self.require(side == LEGACY or is_on(self.view), "Triton is off: no call of any kind", call)
        self.require(side == TRITON or self.setup.legacy_enabled, "legacy is retired", call)
        if of == "twin":
            self._a_twin_begins(call, closed)
            return call
        lane.under_way += 1
        if caller:
            self._an_attempt_begins(call, caller, lane)
        else:
            self._a_probe_begins(call, lane)
        return call

    def _a_twin_begins(self, call: Call, closed: bool) -> None:
        allowed = call.side == LEGACY or (obeyed(self.view).shadow > 0 and self.trusted)
        self.require(allowed, "no comparison that the flags do not want", call)
        self.require(closed, "no comparison with a side that has fallen", call)

    def _a_probe_begins(self, call: Call, lane: PlainLane) -> None:
        self.require(not lane.probing, "at most one probe in flight", call)
        self.require(lane.allowed, "no probe of a side that no way leads to", call)
        lane.probing = True

    def _an_attempt_begins(self, call: Call, caller: Caller, lane: PlainLane) -> None:
        now, side = self.clock(), call.side
        self._require_its_turn(call, caller)
        if side == TRITON:
            self.require(self._may_ask_triton(caller), "Triton is asked by the flags of now", caller)
        else:
            self.require(
                self._may_ask_legacy(caller), "legacy is asked by the table, or a flag that moved", caller
            )
        well = lane.breaker.state == "closed" or lane.breaker.moved_at == now  # one of a crowd made it fall
        self.require(caller.force is not None or well, "no caller asks a fallen side", call)
        if side not in caller.until:
            caller.until[side] = self._until(caller, side)
        caller.calls.append(call)
        on_lane = [
            one for one in self.calls
            if one.code is None and one.of == "caller" and (one.detector, one.side) == (call.detector, side)
        ]  # fmt: skip
        self.require(len(on_lane) <= self.setup.places, "no more calls than places", len(on_lane))
        self.require(now <= caller.until[side] - NO_TIME_S + HAIR_S, "no attempt begins too late", caller)
        self.require(caller.outcome is None, "no attempt begins for somebody who has his answer", caller)
        self._require_sparing(call, caller)

    def _require_its_turn(self, call: Call, caller: Caller) -> None:
        if caller.force is not None:
            self.require(call.side == caller.force, "a diagnosis asks its side and no other", caller)
        elif caller.calls and caller.calls[-1].side != call.side:
            last = caller.calls[-1]
            self.require(not caller.on(call.side), "a side that was left is not asked again", caller)
            self.require(last.code != "ok", "nobody is asked after an answer", caller)
            gave_up = last.code is None
            self.require(
                not gave_up or self.clock() >= caller.until[last.side] - HAIR_S, "a side gets all of its share", caller
            )  # fmt: skip
        elif not caller.calls and call.side != caller.decided:
            barred = self._shed_at.get(caller.decided) == self.clock() or not self._can_be_asked(caller)
            self.require(barred, "who was decided for is asked first", caller)

    def _can_be_asked(self, caller: Caller) -> bool:
        """As far as flags and health go."""
        closed = self.lanes[caller.detector, caller.decided].breaker.state == "closed"
        known = caller.decided == TRITON or self.setup.legacy_enabled
        return closed and known and (caller.decided == LEGACY or self._leads_to_triton(caller))

    def _may_ask_triton(self, caller: Caller) -> bool:
        if not self.trusted or not is_on(self.view):
            return False
        if caller.force:
            return True
        if caller.decided == TRITON:
            return self._leads_to_triton(caller)
        legacy = caller.on(LEGACY)
        fell = TRITON in self._fell_at and all(call.code != "ok" for call in legacy)
        fell = fell or not self.setup.legacy_enabled
        return self.setup.fallback == "both" and fell and may_help(self.view, caller.detector)

    def _may_ask_legacy(self, caller: Caller) -> bool:
        if caller.force or caller.decided == LEGACY or caller.on(LEGACY):
            return True
        return self.setup.fallback != "none" or caller.flag_moved or not self._leads_to_triton(caller)

    def _until(self, caller: Caller, side: Side) -> float:
        now = self.clock()
        helped = (
            self.setup.fallback != "none" and self.setup.legacy_enabled and caller.force is None
            and caller.decided == TRITON and self.lanes[caller.detector, LEGACY].breaker.state == "closed"
        )  # fmt: skip
        if side == LEGACY or not helped:
            longest_s = self.setup.triton_timeout_s if side == TRITON else 60.0
            return min(caller.ends_at, now + longest_s)
        return min(now + TRITON_SHARE * (caller.ends_at - now), now + self.setup.triton_timeout_s)

    def _require_sparing(self, call: Call, caller: Caller) -> None:
        """Retries: few, after a lost connection only, and neither at once nor late."""
        *before, _ = caller.on(call.side)
        if not before:
            return
        self.count["retry", call.side] += 1
        last = before[-1]
        self.require(len(before) <= self.setup.max_retries, "no more retries than allowed", caller)
        self.require(last.code == "unavailable", "only a lost connection is retried", last)
        waited_s = self.clock() - last.ended_at
        self.require(0.01 - HAIR_S <= waited_s <= 0.05 + HAIR_S, "after 10 to 50 ms", waited_s)
        asked, lasted_s = len(self.callers), self.clock() - self._began_at
        most = self.setup.budget_share * (asked + 100) + self.setup.budget_per_s * (lasted_s + 10)
        self.require(self.count["retry", call.side] <= max(1, most) + HAIR_S, "no storm of retries", most)

    # --- a call ends --------------------------------------------------------------------------------------

    def ends(self, call: Call, code: str) -> None:
        """`code` is empty where it was cut off: by its own limit, then."""
        now = self.clock()
        call.code, call.ended_at = code or "deadline_exceeded", now
        if call.of == "twin":
            return
        lane = self.lanes[call.detector, call.side]
        lane.under_way -= 1
        self._require_its_time(call, cut=not code)
        synthetic = call.caller is None
        lane.call_ended(now, call.begun_at, None if call.of == "heal" else call.moves, call.code, synthetic)
        if synthetic:
            lane.probing = False
        if call.of == "heal" and not self._judge_late(call, lane):
            lane.probe_ended(now, call.code)
        self.count["attempt", call.detector, call.side, call.code, synthetic] += 1

    def _judge_late(self, call: Call, lane: PlainLane) -> bool:
        """Whether its time was over before it ended."""
        if not call.judged and self.clock() >= call.begun_at + PROBE_S - HAIR_S:
            call.judged = True
            lane.probe_ended(call.begun_at + PROBE_S, "deadline_exceeded")
        return call.judged

    def _judge_late_probes(self) -> None:
        for call in self.calls:
            if call.of == "heal" and call.code is None:
                self._judge_late(call, self.lanes[call.detector, call.side])

    def _require_its_time(self, call: Call, *, cut: bool) -> None:
        caller, took_s = call.caller, call.ended_at - call.begun_at
        if caller is None:
            return
        patience_s = caller.until[call.side] - call.begun_at
        if caller.left_at is not None:
            patience_s = min(patience_s, caller.left_at - call.begun_at)
        longest_s = max(patience_s, call.least_s) + LAST_LOOK_S
        self.require(took_s <= longest_s + HAIR_S, "an attempt ends by its own limit", call)
        self.require(not cut or took_s >= call.least_s - HAIR_S, "an attempt outlives its caller", call)

    # --- what is told -------------------------------------------------------------------------------------

    def told(self, event: Event) -> None:
        match event:
            case BreakerMoved(detector, side, to):
                self._a_breaker_moved(detector, side, to)
            case InFlight(side, count):
                self._in_flight[side] = count
                self.require(count >= 0, "a count is never negative", event)
            case Shed(side, reason):
                self._shed_at[side] = self.clock()
                least = self.setup.places if reason == "full" else 2 if reason == "pace" else 1
                self.require(self._in_flight[side] >= least, "nobody is shed without need", event)
            case FellBack(_, _, to, _):
                self._fell_at[to] = self.clock()
            case Retried(_, side):
                self.count["retried", side] += 1
            case Attempted(detector, side, code, _, synthetic):
                self.count["attempted", detector, side, code, synthetic] += 1
            case RequestEnded():
                self._a_request_ended(event)
            case Compared() | ShadowDropped():
                self.count["comparison"] += 1

    def _a_breaker_moved(self, detector: str, side: Side, to: str) -> None:
        lane = self.lanes[detector, side]
        self._judge_late_probes()
        if to == "half_open":
            due = lane.breaker.state == "open" and self.clock() >= lane.breaker.probe_at - HAIR_S
            self.require(due and not lane.probing, "a fallen side is probed when it is due", detector, side)
            lane.breaker.half_open(self.clock())
        self.count["move", detector, side] += 1
        self.require(lane.breaker.state == to, "a breaker moves when it should", detector, side, to)

    def _a_request_ended(self, event: RequestEnded) -> None:
        caller = self.callers[event.request_id]
        caller.records += 1
        caller.error = event.error or ""
        self.count["ended", event.outcome] += 1
        self.require(event.decided == caller.decided, "each answer says what was decided", event)
        self.require(event.attempts >= len(caller.calls), "all attempts are told", event)
        if event.outcome not in {"ok", "gone"}:
            self._require_true(caller.error, caller)

    def _require_true(self, error: str, caller: Caller) -> None:
        """The last reason, for it belongs to this instant."""
        said = [part.partition(": ")[::2] for part in error.split("; ") if ": " in part]
        if not said:
            return
        side, reason = said[-1]
        lane = self.lanes[caller.detector, side]  # type: ignore[index]
        if reason == "breaker_open":
            self.require(lane.breaker.state != "closed", "no open breaker is made up", error)
        if reason in {"full", "share", "pace"}:
            self.require(self._shed_at.get(side) == self.clock(), "no crowd is made up", error)  # type: ignore[call-overload]
        if reason == "flag_changed":
            self.require(not self._may_ask_triton(caller), "no flag's move is made up", error)

    def offered(self, offer: Offer) -> None:
        caller = self.callers[offer.request_id]
        self._offers[offer.request_id] += 1
        self.require(caller.compared, "who was not chosen is not compared", caller)
        self.require(caller.records == 1, "it is offered once its outcome is told", caller)
        served = {
            call.side: call.found for call in caller.calls if call.code == "ok" and call is caller.calls[-1]
        }
        saw = {side: one.model_version for side, one in offer.saw.items()}
        told = {side: found.model_version for side, found in served.items() if found}
        self.require(saw == told, "it tells who saw what", offer)
        self.require(offer.decided == caller.decided, "it tells who was decided for", offer)
        self.require(not set(offer.saw) & set(offer.failed), "a side saw or failed", offer)

    # --- the end of a request -----------------------------------------------------------------------------

    def arrived(self, caller: Caller) -> None:
        self.callers[caller.name] = caller

    def answered(self, caller: Caller, outcome: Served | BaseException) -> None:
        now = self.clock()
        self.require(caller.outcome is None, "each request ends once", caller)
        caller.outcome = outcome
        if isinstance(outcome, Served):
            self._require_served(caller, outcome)
        elif isinstance(outcome, asyncio.CancelledError):
            self.require(caller.left_at is not None, "nobody is hung up on", caller)
        else:
            self.require(isinstance(outcome, NotServed), "an answer or a typed error", caller)
            self._require_reason(caller, outcome)
        self.require(
            now <= caller.ends_at + HAIR_S or now == caller.came_at, "it ends by its deadline", caller
        )
        begun = not isinstance(outcome, SideOff)
        self.require(caller.records == int(begun), "each request is told of once", caller)

    def _require_served(self, caller: Caller, served: Served) -> None:
        last = caller.calls[-1] if caller.calls else None
        if last is None or last.code != "ok" or last.found is None:
            self.require(False, "no answer without somebody who looked", caller)
            return
        seen = [one for one in last.found.detections.items if one.score >= 0.5]
        self.require(
            list(served.detections.items) == seen, "it gets what was seen in its own picture", caller
        )
        self.require(served.model_version == last.found.model_version, "… of its own call", caller)
        self.require(served.backend == last.side, "it is told who served it", caller)
        first = served.backend == caller.decided or not self.setup.legacy_enabled
        self.require((served.fallback_reason is None) == first, "… and why", caller)
        self.require(served.attempts == len(caller.calls), "… and after how many attempts", caller)

    def _require_reason(self, caller: Caller, error: BaseException) -> None:
        now, late = self.clock(), caller.ends_at - self.clock() < NO_TIME_S + HAIR_S
        if isinstance(error, SideOff):
            off = caller.force == TRITON and not is_on(caller.view)
            self.require(
                off or (caller.force == LEGACY and not self.setup.legacy_enabled), "a side is off", caller
            )
            self.require(not caller.calls, "nobody is asked for a side that is off", caller)
            return
        if isinstance(error, TooLate):
            self.require(late, "nobody is told that it is late before it is", caller)
        if isinstance(error, AllRefused):
            self.require(
                any(call.code == "refused" for call in caller.calls), "a refusal is somebody's", caller
            )
            return
        # The first promise: what legacy could have served is not lost.
        theirs = caller.decided == LEGACY or self.setup.fallback != "none" or "flag_changed" in caller.error
        if caller.force is None and self.setup.legacy_enabled and theirs and not late:
            asked = any(call.code not in (None, "ok") for call in caller.on(LEGACY))
            barred = (
                self.lanes[caller.detector, LEGACY].breaker.state != "closed" or self._shed_at.get(LEGACY) is not None
            )  # fmt: skip
            self.require(asked or barred, "legacy had its chance", caller, error, now)

    # --- whenever nothing moves ---------------------------------------------------------------------------

    def look(self, sides: Sequence[LaneStatus]) -> None:
        now = self.clock()
        self._judge_late_probes()
        for status in sides:
            lane = self.lanes[status.detector, status.backend]
            key = status.detector, status.backend
            self.require(status.breaker == lane.breaker.state, "a breaker stands as it should", key, status)
            self.require(self.count["move", *key] == lane.breaker.moves, "each move is told once", key)
            self.require(status.in_flight == lane.under_way, "what is under way is counted", key, status)
        self.flags_moved()  # or are believed no more
        for caller in self.callers.values():
            if caller.outcome is None:
                self._look_at(caller, now)
        for key, count in self.count.items():
            if key[0] == "attempt":
                told = self.count["attempted", *key[1:]]
                self.require(count == told, "each attempt is told once", key, count, told)
        for side in SIDES:
            under_way = sum(self.lanes[detector, side].under_way for detector in DETECTORS)
            self.require(self._in_flight[side] == under_way, "the count in flight is true", side)
            self.require(self.count["retried", side] == self.count["retry", side], "each retry is told", side)

    def _look_at(self, caller: Caller, now: float) -> None:
        self.require(now <= caller.ends_at + HAIR_S, "nobody waits beyond his deadline", caller)
        if caller.calls:
            until = caller.until[caller.calls[-1].side]
            self.require(now <= until + HAIR_S, "nobody is kept by a side beyond its share", caller)

    def end(self, sides: Sequence[LaneStatus], tasks: set[asyncio.Task[Any]]) -> None:
        """After everything has ended by itself."""
        self.look(sides)
        self.require(not tasks, "no task is left", tasks)
        waiting = [caller.name for caller in self.callers.values() if caller.outcome is None]
        self.require(not waiting, "every request ends", waiting)
        self.require(not any(self._in_flight.values()), "nothing is in flight", self._in_flight)
        begun = [one for one in self.callers.values() if not isinstance(one.outcome, SideOff)]
        ended = sum(count for key, count in self.count.items() if key[0] == "ended")
        self.require(ended == len(begun), "served + failed + gone = requests", ended, len(begun))
        self._require_comparisons(begun)

    def _require_comparisons(self, begun: Sequence[Caller]) -> None:
        chosen = [one for one in begun if one.compared and not _is_its_own_mistake(one)]
        self.require(self.count["comparison"] == len(chosen), "each chosen request is compared or dropped",
                     self.count["comparison"], [one.name for one in chosen])  # fmt: skip
        for one in chosen:
            offers = 0 if isinstance(one.outcome, asyncio.CancelledError) else 1
            self.require(self._offers[one.name] == offers, "each chosen one with an outcome is offered", one)


def _is_its_own_mistake(caller: Caller) -> bool:
    """A picture that legacy refused. What only Triton refuses may be a fault of Triton's."""
    refused = any(call.code == "refused" for call in caller.on(LEGACY))
    return isinstance(caller.outcome, AllRefused) and refused
