"""Faults planted in the policies, one at a time: a promise that nobody can be seen to break is not tried."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ai.core.detections import Detections
from ai.core.errors import Overloaded, ServerError
from backend.rollout import flags
from backend.rollout.flags import Flags
from backend.services import asking, deadline
from backend.services.admission import Admission
from backend.services.asking import Asking
from backend.services.attempt import Attempt
from backend.services.breaker import Breaker
from backend.services.choices import Choices
from backend.services.detector_client import DetectorClient
from backend.services.errors import NoSide
from backend.services.lanes import Lane
from backend.services.probe import Prober
from backend.services.request import Served
from backend.services.retry import RetryBudget
from backend.services.story import Story
from backend.shadow.shadow import Shadow
from backend.sides import LEGACY

Patch = pytest.MonkeyPatch


def _constant(owner: Any, name: str, value: Any) -> Callable[[Patch], None]:
    """A method that always says the same."""
    return lambda patch: patch.setattr(owner, name, lambda *_, **__: value)


def _generations_ignored(patch: Patch) -> None:
    ended = Breaker.ended
    patch.setattr(Breaker, "ended", lambda self, _, *rest: ended(self, self._generation, *rest))


def _opens_too_soon(patch: Patch) -> None:
    patch.setattr(Breaker, "_is_too_bad", lambda self: self._results.failed_in_a_row >= 3)


def _opens_by_the_row_alone(patch: Patch) -> None:
    patch.setattr(Breaker, "_is_too_bad", lambda self: self._results.failed_in_a_row >= 5)


def _callers_probe(patch: Patch) -> None:
    """Half-open lets callers in, as textbooks do."""
    barrier = Lane.barrier

    def lenient(self: Lane, *what: Any, **how: Any) -> Any:
        found = barrier(self, *what, **how)
        return None if self.breaker.state == "half_open" else found

    patch.setattr(Lane, "barrier", lenient)


def _diagnoses_need_no_place(patch: Patch) -> None:
    barrier = Lane.barrier

    def lenient(self: Lane, *what: Any, fallen_too: bool = False) -> Any:
        return None if fallen_too and self.breaker.state != "closed" else barrier(self, *what)

    patch.setattr(Lane, "barrier", lenient)


def _a_cut_off_probe_counts(patch: Patch) -> None:
    ended = Breaker.probe_ended
    patch.setattr(Breaker, "probe_ended", lambda self, one, well: ended(self, one, bool(well)))


def _probes_pile_up(patch: Patch) -> None:
    patch.setattr(Prober, "_ask_alone", lambda self, _, work: self._start(work))
    patch.setattr(Breaker, "_probing", property(lambda _: False, lambda *_: None), raising=False)


def _probed_too_soon(patch: Patch) -> None:
    opened = Breaker._open

    def hasty(self: Breaker, now: float) -> None:
        opened(self, now)
        self._probe_at = now + 0.5

    patch.setattr(Breaker, "_open", hasty)


def _one_good_probe_is_enough(patch: Patch) -> None:
    made = Breaker.__init__

    def careless(self: Breaker, policy: Any, *rest: Any) -> None:
        made(self, replace(policy, probes=1), *rest)

    patch.setattr(Breaker, "__init__", careless)


def _deadline_not_cut(patch: Patch) -> None:
    patch.setattr(Choices, "until", lambda _, request, *__: request.deadline)


def _too_late_to_ask(patch: Patch) -> None:
    patch.setattr(asking, "NO_TIME_S", -1.0)


def _wall_clock(patch: Patch) -> None:
    patch.setattr(
        deadline.Deadline, "left_s", lambda self: max(0.0, self.ends_at - self.clock() - time.time() + 1e9)
    )


def _kill_switch_ignored(patch: Patch) -> None:
    off = flags._off
    patch.setattr(flags, "_off", lambda view: off(replace(view, kill_switch=False)))


def _prober_ignores_the_flags(patch: Patch) -> None:
    patch.setattr(
        Choices, "reachable", lambda self, detector: frozenset(s for d, s in self._lanes if d == detector)
    )


def _trust_never_ends(patch: Patch) -> None:
    patch.setattr(Flags, "trust_until", lambda *_: None)


def _rolled_back_triton_helps(patch: Patch) -> None:
    patch.setattr(Flags, "triton_may_help", lambda self, _: self.triton_on)
    patch.setattr(flags._Plan, "triton_may_help", lambda self, _: self.triton_on)


def _failure_reads_as_empty(patch: Patch) -> None:
    serve = DetectorClient._serve

    async def polite(self: DetectorClient, request: Any, story: Story) -> Served:
        try:
            return await serve(self, request, story)
        except NoSide:
            nothing = Detections((), 640, 480)
            return Served(
                nothing, LEGACY, request.detector, "", request.decision, None, story.attempts, 0.0, 0.0
            )

    patch.setattr(DetectorClient, "_serve", polite)


def _places_leak(patch: Patch) -> None:
    left = Lane._left

    def forgetful(self: Lane, camera: str, answered: bool, *rest: Any) -> None:
        if answered:
            left(self, camera, answered, *rest)

    patch.setattr(Lane, "_left", forgetful)


def _attempts_die_with_their_callers(patch: Patch) -> None:
    async def answer(self: Attempt, keep: Any) -> Any:
        task = asyncio.create_task(self._run())
        keep(task)
        return await task

    patch.setattr(Attempt, "answer", answer)


def _endless_retries(patch: Patch) -> None:
    ask = Asking.ask

    async def stubborn(self: Asking, *what: Any) -> Any:
        self._max_retries = 10
        return await ask(self, *what)

    patch.setattr(Asking, "ask", stubborn)


def _retried_at_once(patch: Patch) -> None:
    patch.setattr(asking, "backoff_s", lambda _: 0.0)


def _a_diagnosis_falls_back(patch: Patch) -> None:
    patch.setattr(
        Choices, "order", lambda self, request: [s for d, s in self._lanes if d == request.detector]
    )


def _told_twice(patch: Patch) -> None:
    end = DetectorClient._end

    def again(self: DetectorClient, request: Any, story: Story, outcome: Any, served: Any = None) -> None:
        end(self, request, story, outcome, served)
        if outcome == "gone":
            end(self, request, story, outcome, served)

    patch.setattr(DetectorClient, "_end", again)


def _comparisons_ignore_the_flags(patch: Patch) -> None:
    made = Shadow.__init__

    def blind(self: Shadow, ask: Any, available: Any, _: Any, *rest: Any) -> None:
        made(self, ask, available, lambda _: True, *rest)

    patch.setattr(Shadow, "__init__", blind)


def _fallbacks_are_not_offered(patch: Patch) -> None:
    offer = Story.offer
    patch.setattr(Story, "offer", lambda self, *what: None if self.failures else offer(self, *what))


def _busy_counts(patch: Patch) -> None:
    patch.setattr(Overloaded, "counts_against_backend", True)


def _server_errors_are_retried(patch: Patch) -> None:
    patch.setattr(ServerError, "retryable", True)


def _no_fallback(patch: Patch) -> None:
    order = Choices.order
    patch.setattr(Choices, "order", lambda self, request: order(self, request)[:1])


def _legacy_first(patch: Patch) -> None:
    order = Choices.order
    patch.setattr(Choices, "order", lambda self, request: order(self, request)[::-1])


MUTANTS: dict[str, Callable[[Patch], None]] = {
    "the breaker never opens": _constant(Breaker, "_is_too_bad", False),
    "the breaker opens too soon": _opens_too_soon,
    "the breaker looks at the row alone": _opens_by_the_row_alone,
    "generations are ignored": _generations_ignored,
    "callers probe": _callers_probe,
    "a diagnosis needs no place": _diagnoses_need_no_place,
    "a probe that says nothing counts": _a_cut_off_probe_counts,
    "probes pile up": _probes_pile_up,
    "a fallen side is probed too soon": _probed_too_soon,
    "one good probe is enough": _one_good_probe_is_enough,
    "a busy side is called dead": _busy_counts,
    "the budget has no bottom": _constant(RetryBudget, "take", True),
    "retries have no bound": _endless_retries,
    "retries come at once": _retried_at_once,
    "server errors are retried": _server_errors_are_retried,
    "Triton takes the whole deadline": _deadline_not_cut,
    "attempts begin after the deadline": _too_late_to_ask,
    "deadlines follow the wall clock": _wall_clock,
    "the flag is looked at once": _constant(Flags, "still", True),
    "the kill switch is ignored": _kill_switch_ignored,
    "the prober ignores the flags": _prober_ignores_the_flags,
    "a switched off side keeps its connections": _constant(Prober, "_let_rest", None),
    "old flags are trusted for ever": _trust_never_ends,
    "a rolled back Triton helps": _rolled_back_triton_helps,
    "a failure reads as an empty scene": _failure_reads_as_empty,
    "places leak": _places_leak,
    "everybody is admitted": _constant(Admission, "refusal", None),
    "attempts die with their callers": _attempts_die_with_their_callers,
    "a diagnosis falls back": _a_diagnosis_falls_back,
    "nobody falls back": _no_fallback,
    "the fallback comes first": _legacy_first,
    "who hung up is told of twice": _told_twice,
    "comparisons ignore the flags": _comparisons_ignore_the_flags,
    "fallbacks are not offered": _fallbacks_are_not_offered,
    "Triton is compared while it is down": _constant(DetectorClient, "is_available", True),
}

QUICKLY_FOUND = frozenset(
    {
        "the breaker never opens", "the breaker opens too soon", "generations are ignored",
        "a fallen side is probed too soon", "one good probe is enough", "retries come at once",
        "server errors are retried", "attempts begin after the deadline", "the flag is looked at once",
        "the prober ignores the flags", "a failure reads as an empty scene", "places leak",
        "everybody is admitted", "a diagnosis falls back",
    }
)  # fmt: skip
