"""The promises of a call: whose turn it is, how long it may take, and what it does to the side's breaker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from backend.rollout.flags import View
from backend.sides import LEGACY, SIDES, TRITON, Side
from backend.transports.base import Ask
from tests.plain_flags import first_choice, is_on, may_help, obeyed, reachable
from tests.plain_lane import PlainLane
from tests.policy_records import Call, Caller, Setup

DETECTORS = ("rtdetr", "yolo26")
TRITON_SHARE = 0.4
DEADLINE_S = 5.0  # the settings' own
LEAST_S = 0.3  # of an attempt
PROBE_S = 5.0  # whoever probes waits no longer
LAST_LOOK_S = 0.04  # by so much an attempt may outlast its limit
HAIR_S = 1e-6  # floats
NO_TIME_S = 0.001


class CallPromises:
    def __init__(self, setup: Setup, clock: Callable[[], float], view: View) -> None:
        self.setup, self.clock, self.view = setup, clock, view
        self.trusted_until = float("inf")
        self.broken: list[str] = []
        self.callers: dict[str, Caller] = {}
        self.waiting: dict[str, Caller] = {}  # of them, who has no answer yet
        self.calls = 0
        self.under_way: dict[int, Call] = {}  # by number
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
        for caller in self.waiting.values():
            if not caller.flag_moved and not self._leads_to_triton(caller):
                caller.flag_moved = True

    def prober_looks(self) -> None:
        for (detector, side), lane in self.lanes.items():
            lane.allow(side in reachable(self.view, detector, self.setup.fallback), self.clock())

    def prober_looked(self) -> None:
        """Everything of this instant has happened."""
        under_way = [call for call in self.under_way.values() if call.side == TRITON]
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
        call = Call(self.calls, side, ask.detector, of, self.clock(), moves, least_s, caller)
        self.calls += 1
        self.under_way[call.number] = call
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
            one for one in self.under_way.values()
            if one.of == "caller" and (one.detector, one.side) == (call.detector, side)
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
        del self.under_way[call.number]
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
        for call in self.under_way.values():
            if call.of == "heal":
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
