"""What is counted, under which name, in which book, and that it arrives in the store exactly once."""

from __future__ import annotations

import random
import timeit
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from math import comb, inf, sqrt
from typing import Any, TypeVar

import pytest

from backend.observe.events import Compared, Event, RequestEnded, Retried, ShadowDropped
from backend.rollout.books import FRESH_LEGACY, MAX_BIN, MAX_CAMERAS, OTHERS, Counts, bin_of, part
from backend.rollout.flags import Flags, View
from backend.rollout.ramps import Ramp
from backend.rollout.state import RolloutState
from backend.rollout.store import Store, StoreAway
from backend.rollout.stores.memory_store import MemoryStore
from backend.settings import Settings
from backend.shadow.arrivals import Arrival, Arrivals
from backend.shadow.blocks import Block, size_of
from backend.shadow.outbox import Outbox
from backend.shadow.recorder import Recorder
from backend.sides import LEGACY, TRITON, Side
from tests.clocks import HandClock

pytestmark = pytest.mark.alone

T = TypeVar("T")

YOLO = "yolo26"
ENDED = RequestEnded(
    "r", "", "gate", YOLO, LEGACY, "ok", LEGACY, "1", "FRACTION", None, 1, 5, 0.1, 1, 3, 0.05, 0.04
)
PAIR = Compared(YOLO, "same", "gate", "day", 0.01, 0.97, seen=("car", "person", "car"), model_version="3")


def request(decided: Side = LEGACY, **changes: Any) -> RequestEnded:
    return replace(ENDED, decided=decided, **{"backend": decided, **changes})


@dataclass
class Rollout:
    """A worker's flags and its store, which may be away; `lossy` is one that writes and then does not answer."""

    store: MemoryStore = field(default_factory=MemoryStore)
    flags: Flags = field(default_factory=Flags)
    away: bool = False
    lossy: bool = False

    def obey(self, **ramps: Ramp) -> None:
        version = self.flags.view.state.version if self.flags.view.state else 0
        self.flags.show(View(state=RolloutState(version=version + 1, ramps=ramps)))

    async def ask(self, work: Callable[[Store], T]) -> T:
        if self.away:
            raise StoreAway("it is away")
        answer = work(self.store)
        if self.lossy:
            raise StoreAway("it was away before it could answer")
        return answer


@dataclass
class Desk:
    rollout: Rollout
    clock: HandClock
    recorder: Recorder

    @classmethod
    def set_up(cls, **settings: Any) -> Desk:
        rollout, clock = Rollout(), HandClock()
        made = Settings(_env_file=None, **settings)  # type: ignore[call-arg]
        return cls(rollout, clock, Recorder(rollout, made, "w", clock, random.Random(1)))  # type: ignore[arg-type]

    def hears(self, *events: Event) -> None:
        for event in events:
            self.recorder(event)

    async def counts(self, book: str = f"{YOLO}/idle") -> Counts:
        """Once everything that began before now must have ended."""
        self.clock.sleep(60)
        await self.recorder.flush()
        return self.rollout.store.counts(book)


@pytest.fixture
def desk() -> Desk:
    return Desk.set_up()


class TestRequests:
    async def test_they_count_for_the_side_that_was_decided_for_whoever_served(self, desk: Desk) -> None:
        desk.hears(
            request(LEGACY),
            request(TRITON),
            request(TRITON, backend=LEGACY, fallback_reason="breaker_open"),
            request(TRITON, backend=None, outcome="busy"),
        )
        counts = await desk.counts()
        assert part(counts, "requests.") == {"legacy": 1, "triton": 3}
        assert part(counts, "errors.") == {"0": 1, "1": 2}
        assert part(counts, "error.") == {"breaker_open": 1, "busy": 1}

    async def test_what_no_side_failed_is_left_out(self, desk: Desk) -> None:
        """Callers' own errors, callers that hung up, diagnoses, and what the flags took back under way."""
        desk.hears(
            request(TRITON, outcome="refused", backend=None),
            request(TRITON, outcome="gone", backend=None),
            request(TRITON, reason="FORCED"),
            request(TRITON, backend=LEGACY, fallback_reason="flag_changed"),
        )
        counts = await desk.counts()
        assert not part(counts, "requests.")
        assert not part(counts, "errors.")

    async def test_they_belong_to_the_epoch_that_was_in_force(self, desk: Desk) -> None:
        ramp = Ramp("a", (0.1, 1.0))
        desk.hears(request())
        desk.rollout.obey(yolo26=ramp)
        desk.hears(request(), request())
        desk.rollout.obey(yolo26=ramp.begun_anew(5.0))
        desk.hears(request(flag_version=2))
        found = [await desk.counts(book) for book in (f"{YOLO}/idle", f"{YOLO}/a.1", f"{YOLO}/a.2")]
        assert [counts["requests.legacy"] for counts in found] == [1, 2, 1]

    async def test_what_an_older_epoch_decided_is_no_evidence_of_this_one(self, desk: Desk) -> None:
        """A comparison waits for seconds, and a request too. Another version of the same epoch is no other epoch."""
        ramp = Ramp("a", (0.1, 1.0))
        desk.rollout.obey(yolo26=ramp)
        desk.rollout.obey(yolo26=ramp.begun_anew(5.0))
        pair = replace(PAIR, evidence=1)
        for version in (1, 2, None):
            dropped = ShadowDropped(YOLO, "gone", version)
            desk.hears(
                request(TRITON, flag_version=version or 2), replace(pair, flag_version=version), dropped
            )
        desk.rollout.obey(yolo26=ramp.begun_anew(5.0), rtdetr=ramp)
        desk.hears(request(TRITON, flag_version=2), replace(pair, flag_version=2))
        counts = await desk.counts(f"{YOLO}/a.2")
        assert counts["requests.triton"] == 3
        assert counts["disagreement.1"] == counts["compared.same"] == 3
        assert counts["dropped.gone"] == 2
        assert not await desk.counts(f"{YOLO}/a.1")

    async def test_tritons_answers_are_counted_by_their_version(self, desk: Desk) -> None:
        desk.hears(request(TRITON, model_version="3"), request(LEGACY, model_version="9"), PAIR)
        assert part(await desk.counts(), "version.") == {"3": 2}

    async def test_of_each_side_one_time_in_a_while_is_kept(self) -> None:
        """By when requests began: here every second one, whichever end first."""
        desk = Desk.set_up(evidence_latency_gap_s=1.0)
        for i in range(20):
            took_s = 0.4 if i % 2 == 0 else 0.01  # the slow ones are the first of each second
            desk.hears(request(TRITON, total_s=took_s))
            desk.clock.sleep(0.5 + (0.39 if i % 2 else -0.39))
        times = part(await desk.counts(), "time.")
        assert times == {f"triton.{bin_of(0.4)}": 10}

    async def test_a_caller_that_waited_in_vain_waited(self, desk: Desk) -> None:
        """One that is turned away at once did not, and says nothing about speed."""
        for outcome in ("late", "gone", "busy", "unavailable", "refused", "failed"):
            desk.hears(request(TRITON, outcome=outcome, backend=None, total_s=2.0))
            desk.clock.sleep(10)
        assert part(await desk.counts(), "time.") == {f"triton.{bin_of(2.0)}": 1, f"triton.{MAX_BIN}": 1}

    @pytest.mark.parametrize("side", [LEGACY, TRITON])
    async def test_who_hung_up_waited_longer_than_it_would_whichever_side_it_was_for(
        self, desk: Desk, side: Side
    ) -> None:
        """Else a side so slow that nobody waits for it would seem quick. One in a while counts, as of all times."""
        for _ in range(20):
            desk.hears(request(side, outcome="gone", backend=None, total_s=0.05))
            desk.clock.sleep(2.5)
        counts = await desk.counts()
        assert part(counts, "time.") == {f"{side}.{MAX_BIN}": 10}
        assert not part(counts, "requests.")
        assert not part(counts, "errors.")


class TestPairs:
    async def test_what_is_counted_of_a_pair(self, desk: Desk) -> None:
        different = replace(
            PAIR, verdict="different", differences=(("missed", "car"), ("swapped", "car")),
            swaps=(("car", "truck"),), light="infrared",
        )  # fmt: skip
        desk.hears(different, PAIR, ShadowDropped(YOLO, "queue_full"), Retried(YOLO, TRITON))
        assert await desk.counts() == {
            "compared.different": 1, "compared.same": 1, "dropped.queue_full": 1, "version.3": 2,
            "kind.missed.infrared.car": 1, "kind.swapped.infrared.car": 1, "swap.car/truck": 1,
            "seen.infrared.car": 2, "seen.infrared.person": 1, "seen.day.car": 2, "seen.day.person": 1,
        }  # fmt: skip

    async def test_coverage_is_of_evidence_samples_each_class_once(self, desk: Desk) -> None:
        desk.hears(
            PAIR,
            replace(PAIR, evidence=1),
            replace(PAIR, evidence=0),
            replace(PAIR, evidence=-1, camera=None),
        )
        counts = await desk.counts()
        assert part(counts, "disagreement.") == {"1": 1, "0": 1, "-1": 1}
        assert part(counts, "class.") == {"car": 3, "person": 3}
        assert part(counts, "camera.") == {"gate": 2}
        assert part(counts, "light.") == {"day": 3}

    async def test_callers_can_make_up_only_so_many_cameras_and_no_control_characters(
        self, desk: Desk
    ) -> None:
        cameras = ["a\nb\x00", *(f"c{i}" for i in range(MAX_CAMERAS + 5)), "x" * 999]
        desk.hears(*(replace(PAIR, evidence=0, camera=camera) for camera in cameras))
        found = part(await desk.counts(), "camera.")
        assert len(found) == MAX_CAMERAS + 1
        assert found["a?b?"] == 1
        assert found[OTHERS] == 7

    async def test_the_cameras_that_a_ramp_waits_for_are_admitted_whoever_came_first(
        self, desk: Desk
    ) -> None:
        desk.rollout.obey(yolo26=Ramp("a", (0.1,), baseline={"camera.yard": 9, "class.car": 9}))
        cameras = [*(f"c{i}" for i in range(MAX_CAMERAS + 5)), "yard", "yard"]
        desk.hears(*(replace(PAIR, evidence=0, camera=camera) for camera in cameras))
        found = part(await desk.counts(f"{YOLO}/a.1"), "camera.")
        assert (found["yard"], found[OTHERS], len(found)) == (2, 5, MAX_CAMERAS + 2)

    async def test_evidence_that_legacy_did_not_answer_for_is_counted(self, desk: Desk) -> None:
        desk.hears(PAIR, replace(PAIR, unproven=True), replace(PAIR, verdict="triton_failed", unproven=True))
        counts = await desk.counts()
        assert counts["unproven"] == 2
        assert not part(counts, "disagreement.")

    async def test_a_pair_that_never_was_is_counted_all_the_same(self, desk: Desk) -> None:
        desk.hears(Compared(YOLO, "legacy_failed"), Compared(YOLO, "triton_failed", evidence=1))
        assert await desk.counts() == {
            "compared.legacy_failed": 1, "compared.triton_failed": 1, "disagreement.1": 1,
        }  # fmt: skip


class TestSending:
    async def test_what_a_store_that_is_away_misses_it_gets_later_once(self, desk: Desk) -> None:
        desk.hears(request())
        desk.rollout.away = True
        for _ in range(3):
            await desk.recorder.flush()
            desk.hears(request())
        desk.rollout.away = False
        assert (await desk.counts())["requests.legacy"] == 1, "what was under way goes first"
        assert (await desk.counts())["requests.legacy"] == 4

    async def test_what_arrived_without_an_answer_is_not_counted_twice(self, desk: Desk) -> None:
        desk.hears(request())
        desk.rollout.lossy = True
        await desk.recorder.flush()
        desk.rollout.lossy = False
        assert (await desk.counts())["requests.legacy"] == 1

    async def test_a_long_absence_costs_no_memory(self, desk: Desk) -> None:
        outbox = Outbox("w")
        for _ in range(1000):
            outbox.of("book")["name"] += 1
            outbox.seal()
        assert len(outbox._sealed) == len(outbox._open) == 1
        for _ in range(2):
            outbox.send(desk.rollout.store)
            outbox.seal()
        outbox.send(desk.rollout.store)
        assert desk.rollout.store.counts("book") == {"name": 1000}

    async def test_nothing_is_left_behind_at_the_end(self, desk: Desk) -> None:
        desk.hears(request())
        desk.rollout.away = True
        await desk.recorder.flush()
        desk.hears(request())
        desk.rollout.away = False
        await desk.recorder.close()
        assert desk.rollout.store.counts(f"{YOLO}/idle")["requests.legacy"] == 2

    async def test_workers_add_up(self) -> None:
        rollout, settings = Rollout(), Settings(_env_file=None)  # type: ignore[call-arg]
        for name in ("a", "a", "b"):  # one of them was started again
            recorder = Recorder(rollout, settings, name)  # type: ignore[arg-type]
            recorder(request())
            await recorder.close()
        assert rollout.store.counts(f"{YOLO}/idle")["requests.legacy"] == 3


def test_an_event_costs_microseconds() -> None:
    """Less than a hundred logarithms; measured: 4 µs for a request, 2 to 3 µs for a pair."""
    desk = Desk.set_up()
    event = request(TRITON)

    def hear() -> None:
        desk.clock.sleep(0.01)
        desk.recorder(event)

    hear()
    control = min(timeit.repeat(lambda: [bin_of(0.1) for _ in range(100)], number=20, repeat=5))
    assert min(timeit.repeat(hear, number=20, repeat=50)) < control


# --- in the order in which they began ---------------------------------------------------------------------


def arrival(started_at: float, took_s: float = 0.1, side: Side = LEGACY, **changes: Any) -> Arrival:
    return Arrival(started_at, YOLO, side, took_s, "book", True, 0.1, 1)._replace(**changes)


class TestArrivals:
    def test_they_are_told_in_the_order_in_which_they_began_whichever_ended_first(self) -> None:
        arrivals = Arrivals(5.0)
        for started_at in (3.0, 1.0, 2.0):
            arrivals.ended(arrival(started_at))
        assert [one.started_at for one in arrivals.due(100.0)] == [1.0, 2.0, 3.0]

    def test_none_is_told_while_one_that_began_before_may_be_under_way(self) -> None:
        arrivals = Arrivals(5.0)
        arrivals.ended(arrival(1.0))
        assert not list(arrivals.due(6.0))
        assert list(arrivals.due(6.1))

    def test_one_that_comes_after_its_time_is_left_out(self) -> None:
        arrivals = Arrivals(5.0)
        list(arrivals.due(10.0))
        arrivals.ended(arrival(4.9))
        arrivals.ended(arrival(5.0))
        assert [one.started_at for one in arrivals.due(100.0)] == [5.0]


def answers(arrivals: Iterable[Arrival], seed: int = 7) -> list[bool]:
    block = Block(random.Random(seed))
    return [answer for one in arrivals if (answer := block.add(one)) is not None]


def bursts(fraction: float, count: int, chance: random.Random, slower: float = 1.0) -> Iterable[Arrival]:
    """Cameras that all call at once: who comes late in the queue waits for all before, and the machine slows down."""
    for number in range(count):
        side: Side = TRITON if chance.random() < fraction else LEGACY
        took_s = (0.02 + 0.01 * (number % 50)) * (1 + number / count) * chance.lognormvariate(0, 0.1)
        yield arrival(float(number), took_s * (slower if side == TRITON else 1), side, fraction=fraction)


class TestFresh:
    @pytest.mark.parametrize("fraction", [0.02, 0.1, 0.25, 0.5])
    def test_equal_sides_give_exactly_one_in_twenty_under_bursts_and_drift(self, fraction: float) -> None:
        """Within four standard errors of it. The way that looks natural, Triton's next request against the 19 of
        legacy's before it, is the control: it comes last in its block, and is seen as the slow one."""
        found = answers(bursts(fraction, 60_000, random.Random(3)))
        rate, error = sum(found) / len(found), sqrt(0.05 * 0.95 / len(found))
        assert abs(rate - 0.05) < 4 * error
        naive = next_after_nineteen(bursts(fraction, 60_000, random.Random(3)))
        assert sum(naive) / len(naive) - 0.05 > 4 * sqrt(0.05 * 0.95 / len(naive))

    @pytest.mark.parametrize(
        ("triton_s", "legacy_s", "wanted"), [(inf, 0.1, True), (inf, inf, False), (9.0, inf, False)]
    )
    def test_who_hung_up_is_slower_than_all_but_another_who_did(
        self, triton_s: float, legacy_s: float, wanted: bool
    ) -> None:
        size = size_of(0.1) or 0
        block = [arrival(float(i), legacy_s) for i in range(size - 1)]
        assert answers([arrival(-1.0, triton_s, TRITON), *block]) == [wanted]

    async def test_who_hung_up_reaches_the_blocks(self) -> None:
        desk = Desk.set_up()
        for number in range(4 * (size_of(0.1) or 0)):
            is_triton = number % 10 == 0
            gone = {"outcome": "gone", "backend": None} if is_triton else {}
            desk.hears(request(TRITON if is_triton else LEGACY, total_s=0.01 if is_triton else 0.5, **gone))
            desk.clock.sleep(0.1)
        assert set(part(await desk.counts(), "fresh.")) == {"1"}

    def test_a_slower_triton_shows(self) -> None:
        found = answers(bursts(0.1, 20_000, random.Random(3), slower=1.3))
        assert sum(found) / len(found) > 0.08

    @pytest.mark.parametrize("fraction", [0.02, 0.1, 0.25, 0.5, 0.75])
    def test_most_blocks_have_enough_of_both(self, fraction: float) -> None:
        size = size_of(fraction)
        assert size is not None
        enough = sum(
            comb(size, triton) * fraction**triton * (1 - fraction) ** (size - triton)
            for triton in range(1, size - FRESH_LEGACY + 1)
        )
        assert enough > 0.65

    def test_a_side_that_gets_nothing_is_never_held_against_the_other(self) -> None:
        assert [size_of(fraction) for fraction in (0.0, 0.0001, 0.9999, 1.0)] == [None] * 4

    def test_a_block_in_which_the_flags_changed_is_thrown_away(self) -> None:
        size = size_of(0.1) or 0
        whole = [arrival(float(i), side=TRITON if i == 3 else LEGACY) for i in range(size)]
        assert len(answers(whole)) == 1
        moved = [one._replace(flag_version=1 + (i > 20)) for i, one in enumerate(whole)]
        assert not answers(moved)

    def test_who_was_not_divided_by_chance_is_not_looked_at(self) -> None:
        """A pinned camera is itself, and a camera of a quota too."""
        whole = [arrival(float(i), side=TRITON if i == 3 else LEGACY) for i in range(200)]
        assert not answers(one._replace(is_by_chance=False) for one in whole)

    async def test_they_reach_the_book_unless_cameras_are_divided(self) -> None:
        for key, wanted in (("request", True), ("camera-quota", False)):
            desk = Desk.set_up(rollout_key=key)
            chance = random.Random(1)
            for _ in range(400):
                desk.hears(request(TRITON if chance.random() < 0.1 else LEGACY, total_s=chance.random()))
                desk.clock.sleep(0.1)
            fresh = part(await desk.counts(), "fresh.")
            assert bool(fresh) == wanted
            assert set(fresh) <= {"0", "1"}


def next_after_nineteen(arrivals: Iterable[Arrival]) -> list[bool]:
    legacy: list[float] = []
    found = []
    for one in arrivals:
        if one.side == LEGACY:
            legacy = [*legacy, one.took_s][-FRESH_LEGACY:]
        elif len(legacy) == FRESH_LEGACY:
            found.append(one.took_s > max(legacy))
            legacy = []
    return found
