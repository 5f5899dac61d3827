"""What is promised of requests, attempts, probes, comparisons and flags, held against what happens, as it happens.

Written from the design and not from the code: each promise is a plain question to plain records. What is broken is
kept in a list, for the parts that are watched may swallow an exception of their watcher.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
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
from backend.services.errors import AllRefused, NoSide, NotServed, SideOff, TooBusy, TooLate
from backend.services.lanes import LaneStatus
from backend.services.request import Served
from backend.shadow.pairs import Offer
from backend.sides import LEGACY, SIDES, TRITON, Side
from tests.plain_flags import is_on
from tests.policy_calls import DETECTORS, HAIR_S, NO_TIME_S, CallPromises
from tests.policy_records import Caller

OUTCOMES = {NoSide: "unavailable", TooBusy: "busy", TooLate: "late", AllRefused: "refused"}


class Promises(CallPromises):
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
        caller.told, caller.error = event.outcome, event.error or ""
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
        self.callers[caller.name] = self.waiting[caller.name] = caller

    def answered(self, caller: Caller, outcome: Served | BaseException) -> None:
        now = self.clock()
        self.require(caller.outcome is None, "each request ends once", caller)
        self.waiting.pop(caller.name, None)
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
        self.require(not begun or caller.told == _outcome(outcome), "what is told is what came", caller)

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
        for caller in self.waiting.values():
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
        self.require(not self.waiting, "every request ends", self.waiting)
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


def _outcome(outcome: Served | BaseException) -> str:
    if isinstance(outcome, Served):
        return "ok"
    return "gone" if isinstance(outcome, asyncio.CancelledError) else OUTCOMES.get(type(outcome), "failed")
