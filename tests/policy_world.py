"""The real DetectorClient, prober and comparisons over scripted sides, in a time and with flags that a test moves."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable
from dataclasses import dataclass, field, replace
from typing import Any

from ai.core.detections import Detections
from ai.core.errors import (
    BackendError,
    DeadlineExceeded,
    InvalidModelOutput,
    ModelNotFound,
    Overloaded,
    Refused,
    ServerError,
    Unavailable,
)
from backend.main import compose_client
from backend.observe.events import Compared
from backend.rollout.flags import Flags, View
from backend.rollout.quota import Traffic
from backend.rollout.state import RolloutState
from backend.services.deadline import Deadline
from backend.services.errors import NotServed
from backend.services.request import RequestInfo, Served
from backend.services.twin import Twin
from backend.settings import Settings
from backend.shadow.pairs import Again, Offer, Saw
from backend.shadow.shadow import Shadow, ShadowLimits
from backend.sides import SIDES, Side
from backend.transports.base import Ask, Found
from backend.transports.fake import FakeTransport, Hang
from tests.hand_loop import HandLoop
from tests.plain_flags import first_choice, is_compared
from tests.policy_promises import Promises
from tests.policy_records import Call, Caller, Setup

ERRORS: dict[str, type[BackendError]] = {
    "unavailable": Unavailable, "overloaded": Overloaded, "deadline_exceeded": DeadlineExceeded,
    "server_error": ServerError, "model_not_found": ModelNotFound,
    "invalid_model_output": InvalidModelOutput, "refused": Refused,
}  # fmt: skip
CODES = {kind: code for code, kind in ERRORS.items()}
SCORES = {"dog": [0.75], "nothing": [], "faint": [0.3]}  # one box each; a faint one is under the threshold
HELD, BROKEN = "held", "broken"


@dataclass(frozen=True)
class Mood:
    """How a side answers: a scene, an error's code, not before it is told to, or by breaking its contract."""

    what: str = "dog"
    delay_s: float = 0.0


class ScriptedSide(FakeTransport):
    def __init__(self, side: Side, promises: Promises, loop: HandLoop) -> None:
        super().__init__()
        self.side, self.mood = side, Mood()
        self.next: deque[Mood] = deque()  # of the next calls, before the mood
        self.held: list[tuple[Call, Hang]] = []
        self._promises, self._loop = promises, loop

    async def detect(self, ask: Ask) -> Found:
        call = self._promises.begins(self.side, ask)
        mood = self.next.popleft() if self.next else self.mood
        code = ""  # cancelled, if nothing else
        try:
            if mood.what == BROKEN:
                code = "server_error"
                raise ZeroDivisionError("planned")
            self.then(self._answer(call, mood))
            call.found = await super().detect(ask)
            code = "ok"
            return call.found
        except BackendError as error:
            code = CODES[type(error)]
            raise
        finally:
            self._promises.ends(call, code)

    def _answer(self, call: Call, mood: Mood) -> Found | BackendError | Hang:
        if mood.what == HELD:
            hang = Hang()
            self.held.append((call, hang))
            return hang
        answer = said(call, mood.what)
        if not mood.delay_s:
            return answer
        hang = Hang(answer)
        self._loop.call_later(mood.delay_s, hang.release)
        return hang


def said(call: Call, what: str) -> Found | BackendError:
    """No two answers are the same: each bears the number of its call."""
    if what in ERRORS:
        return ERRORS[what]("planned")
    boxes = [(1.0, 1.0, 9.0, 9.0, score, 16.0) for score in SCORES[what]]
    return Found(Detections.from_table(boxes, 640, 480), str(call.number))


class SameJudge:
    async def judge(self, offer: Offer, legacy: Saw, triton: Saw | None, again: Again) -> Compared:
        return Compared(offer.detector, "same" if triton else "triton_failed")


@dataclass
class World:
    setup: Setup
    view: View
    loop: HandLoop = field(default_factory=HandLoop)
    arrived: int = 0

    def __post_init__(self) -> None:
        self.flags = Flags(self.view, self.loop.time)
        self.promises = Promises(self.setup, self.loop.time, self.view)
        self.sides = {side: ScriptedSide(side, self.promises, self.loop) for side in SIDES}
        twin = Twin(self.sides, 2.0, self.loop.time)
        self.shadow = Shadow(
            twin, self._is_available, self.flags.may_compare, SameJudge(), self.promises.told,
            ShadowLimits(queue=8, queue_bytes=10_000, concurrency=2, timeout_s=2.0), self.loop.time,
        )  # fmt: skip
        self.client, self.prober = compose_client(
            self._settings(), self.sides, self.flags, Traffic(60.0, self.loop.time).seen, self.promises.told,
            self._offer, clock=self.loop.time,
        )  # fmt: skip
        self.comparing = self.loop.create_task(self.shadow.run())
        self.prober_looks()

    def _settings(self) -> Settings:
        setup = self.setup
        return Settings(
            _env_file=None, triton_enabled=True, fallback=setup.fallback, legacy_enabled=setup.legacy_enabled,
            triton_max_retries=setup.max_retries, retry_budget_share=setup.budget_share,
            retry_budget_per_s=setup.budget_per_s, triton_max_in_flight=setup.places,
            legacy_max_in_flight=setup.places, triton_timeout=setup.triton_timeout_s,
        )  # fmt: skip

    def _is_available(self, detector: str, side: Side) -> bool:
        return self.client.is_available(detector, side)

    def _offer(self, offer: Offer) -> None:
        self.promises.offered(offer)
        self.shadow.offer(offer)

    # --- what happens to it -------------------------------------------------------------------------------

    def settle(self) -> None:
        self.loop.settle()
        self.promises.look(self.client.sides())

    def advance(self, seconds: float) -> None:
        self.loop.advance(seconds)
        self.promises.look(self.client.sides())

    def show(self, **changes: Any) -> None:
        """The flags move; what is no part of a view is its state's."""
        known = {name: value for name, value in changes.items() if name in View.__dataclass_fields__}
        moved = {name: value for name, value in changes.items() if name not in known}
        if moved:
            state = self.view.state or RolloutState()
            known["state"] = replace(state, version=state.version + 1, **moved)
        self.view = self.promises.view = replace(self.view, **known)
        self.flags.show(self.view)
        self.promises.flags_moved()

    def trust_for(self, seconds: float) -> None:
        """Nobody looks at the flags any more; so long is what they said last believed."""
        self.promises.trusted_until = self.loop.time() + seconds
        self.flags.trust_until(self.promises.trusted_until)

    def prober_looks(self) -> None:
        self.promises.prober_looks()
        self.loop.run_until_complete(self._tick())
        self.settle()
        self.promises.prober_looked()

    async def _tick(self) -> None:
        self.prober.tick()

    def arrive(self, detector: str, camera: str | None, patience_s: float, force: Side | None) -> Caller:
        self.arrived += 1
        now, name = self.loop.time(), f"request-{self.arrived}"
        decided = force or first_choice(self.view, detector, camera, name)
        compared = force is None and is_compared(self.view, detector, name)
        caller = Caller(name, detector, camera, force, now, now + patience_s, decided, compared, self.view)
        self.promises.arrived(caller)
        caller.task = self.loop.create_task(self._asks(caller))
        return caller

    async def _asks(self, caller: Caller) -> None:
        answer: Awaitable[Served] = self.client.detect(
            b"\xff\xd8" + caller.name.encode(), camera=caller.camera, detector=caller.detector,
            deadline=Deadline(caller.ends_at, self.loop.time), about=RequestInfo(caller.name),
            force=caller.force,
        )  # fmt: skip
        outcome: Served | BaseException
        try:
            outcome = await answer
        except (NotServed, asyncio.CancelledError) as error:
            outcome = error
        except Exception as error:  # noqa: BLE001 - whatever it is, it is not what was promised
            outcome = error
        self.promises.answered(caller, outcome)

    def end(self) -> None:
        """All that is under way comes to its end by itself."""
        for side in self.sides.values():
            side.mood = Mood()
            side.next.clear()
        self.advance(70.0)
        self.loop.run_until_complete(self.shadow.close())
        self.promises.end(self.client.sides(), asyncio.all_tasks(self.loop) - {self.comparing})

    def close(self) -> None:
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.loop.settle()
        self.loop.close()
