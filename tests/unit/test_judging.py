"""A pair is judged: alike or not, whether that is evidence, and whose turn it is to give some. On a real store."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

from ai.core.detections import Detection, Detections, Thresholds
from ai.core.image import ImageLimits
from ai.core.labels import COCO_80
from backend.rollout.books import MAX_CAMERAS
from backend.rollout.ramps import Ramp
from backend.rollout.store import SampleLimits, Store, StoreAway
from backend.rollout.stores.sqlite_store import SqliteStore
from backend.settings import Settings
from backend.shadow import judging
from backend.shadow.judging import PairJudge
from backend.shadow.pairs import Offer, Saw
from backend.shadow.sampling import Sampling
from backend.shadow.turns import MAX_BOXES, Box, Turns, changed
from backend.sides import TRITON
from tests.clocks import HandClock
from tests.pictures import jpeg, scene
from tests.rollout_house import House

pytestmark = pytest.mark.alone

T = TypeVar("T")

YOLO = "yolo26"
CAR, TRUCK = 2, 7


def box(x: float, class_id: int = CAR, score: float = 0.9) -> Detection:
    return Detection(x, 10, x + 100, 110, score, class_id, COCO_80[class_id])


def boxes(*items: Detection) -> Detections:
    return Detections(items, 640, 360)


def saw(*items: Detection, version: str = "3", took_s: float = 0.1) -> Saw:
    return Saw(boxes(*items), version, took_s)


def rows(*items: Detection) -> list[Box]:
    """As turns know them."""
    return judging._boxes(boxes(*items), Thresholds(0.5))


def offer(camera: str | None = "gate", **changes: Any) -> Offer:
    values = {"image": jpeg(scene(640, 360)), "thresholds": Thresholds(0.5), "detector": YOLO} | changes
    return Offer(camera=camera, request_id="r", decided=TRITON, saw={}, failed={}, **values)


@dataclass
class Shelf:
    """A store of two workers, and how often it was asked."""

    path: Path
    clock: HandClock = field(default_factory=HandClock)
    asked: int = 0
    away: bool = False

    def __post_init__(self) -> None:
        self.store = SqliteStore(self.path)
        self.store.now = self.clock  # type: ignore[method-assign]

    async def ask(self, work: Callable[[Store], T]) -> T:
        self.asked += 1
        if self.away:
            raise StoreAway("away")
        return work(self.store)

    def turns(self, gap_s: float = 5.0) -> Turns:
        """Of one more worker."""
        return Turns(self.ask, gap_s, self.clock)

    def judge(self, samples: int = 10, turns: Turns | None = None, **more: Any) -> PairJudge:
        sampling = Sampling(self.ask, SampleLimits(samples, 10**8, 1e6), ImageLimits(), self.clock)
        return PairJudge(turns or self.turns(), sampling, lambda detector: "a.1", **more)


@pytest.fixture
async def shelf(tmp_path: Path) -> AsyncIterator[Shelf]:
    made = Shelf(tmp_path / "x.db")
    yield made
    made.store.close()


class TestTurns:
    async def test_a_camera_has_another_turn_when_time_passed_and_its_boxes_changed(
        self, shelf: Shelf
    ) -> None:
        turns = shelf.turns()
        assert await turns.take(YOLO, "gate", rows(box(0)))
        shelf.clock.sleep(4.9)
        assert not await turns.take(YOLO, "gate", rows(box(300))), "too soon"
        shelf.clock.sleep(0.2)
        assert not await turns.take(YOLO, "gate", rows(box(1))), "nothing moved"
        assert await turns.take(YOLO, "gate", rows(box(300)))

    async def test_workers_share_the_turns(self, shelf: Shelf) -> None:
        one, two = shelf.turns(), shelf.turns()
        assert await one.take(YOLO, "gate", rows(box(0)))
        assert not await two.take(YOLO, "gate", rows(box(300)))
        shelf.clock.sleep(5)
        assert not await two.take(YOLO, "gate", rows(box(0)))
        assert await two.take(YOLO, "gate", rows(box(300)))
        assert not await one.take(YOLO, "gate", rows(box(300)))

    async def test_cameras_and_detectors_have_turns_of_their_own(self, shelf: Shelf) -> None:
        turns = shelf.turns()
        for detector, camera in ((YOLO, "gate"), (YOLO, "yard"), ("rtdetr", "gate")):
            assert await turns.take(detector, camera, rows(box(0)))

    async def test_all_requests_without_a_camera_are_one_camera(self, shelf: Shelf) -> None:
        turns = shelf.turns()
        assert await turns.take(YOLO, None, rows(box(0)))
        assert not await turns.take(YOLO, None, rows(box(300)))

    async def test_what_has_no_turn_is_known_without_asking(self, shelf: Shelf) -> None:
        turns = shelf.turns()
        for i in range(100):
            await turns.take(YOLO, "gate", rows(box(i)))
        assert shelf.asked == 2, "whether it has turns of its own, and for its turn"
        shelf.clock.sleep(60)
        for _ in range(100):
            await turns.take(YOLO, "gate", rows(box(0)))
        assert shelf.asked == 2

    async def test_a_store_that_is_away_gives_none(self, shelf: Shelf) -> None:
        turns = shelf.turns()
        shelf.away = True
        assert not await turns.take(YOLO, "gate", rows(box(0)))
        shelf.away = False
        assert await turns.take(YOLO, "gate", rows(box(0)))

    async def test_in_each_epoch_a_camera_has_a_first_turn_whatever_it_shows(self, shelf: Shelf) -> None:
        """Of an empty scene there would never be another."""
        one, two = shelf.turns(), shelf.turns()
        for epoch in ("", "a.1", "a.2"):
            assert await one.take(YOLO, "gate", rows(), epoch)
            shelf.clock.sleep(60)
            assert not await one.take(YOLO, "gate", rows(), epoch)
            assert not await two.take(YOLO, "gate", rows(), epoch)

    async def test_names_that_callers_make_up_do_not_make_a_still_scene_prove_more(
        self, shelf: Shelf
    ) -> None:
        """So many have turns of their own, of all workers together; all others are one camera."""
        workers = [shelf.turns(), shelf.turns()]
        taken = [
            await workers[i % 2].take(YOLO, f"at {i}", rows(box(0)), "a.1") for i in range(MAX_CAMERAS + 50)
        ]
        assert taken == [True] * (MAX_CAMERAS + 1) + [False] * 49
        shelf.clock.sleep(60)
        assert not await shelf.turns().take(YOLO, "at the end", rows(box(0)), "a.1")
        assert not await shelf.turns().take(YOLO, None, rows(box(0)), "a.1"), (
            "neither has one without a camera"
        )
        assert await shelf.turns().take(YOLO, "at 7", rows(box(300)), "a.1"), (
            "who has turns of its own keeps them"
        )

    async def test_a_name_that_found_no_place_is_known_without_asking(self, shelf: Shelf) -> None:
        turns = shelf.turns()
        for i in range(MAX_CAMERAS + 1):
            await turns.take(YOLO, f"at {i}", rows(box(0)))
        asked = shelf.asked
        for i in range(100):
            await turns.take(YOLO, f"later at {i}", rows(box(0)))
        assert shelf.asked == asked

    async def test_a_clock_that_was_set_back_costs_nobody_a_turn(self, shelf: Shelf) -> None:
        """A worker's own clock goes on; the store's says that the last turn is to come."""
        own = HandClock()
        one, two = (Turns(shelf.ask, 5.0, own) for _ in range(2))
        assert await one.take(YOLO, "gate", rows(box(0)))
        shelf.clock.sleep(-3600)
        own.sleep(6)
        assert not await two.take(YOLO, "gate", rows(box(0))), "nothing moved"
        assert await two.take(YOLO, "gate", rows(box(300)))
        own.sleep(6)
        shelf.clock.sleep(6)
        assert await one.take(YOLO, "gate", rows(box(500)))

    def test_boxes_changed_when_one_came_went_moved_or_is_another_thing(self) -> None:
        a, b = box(0), box(300)
        moved = [Detection(x, 10, x + 100, 110, 0.9, CAR, "car") for x in (4.0, 6.0)]
        assert not changed(rows(), rows())
        assert not changed(rows(a, b), rows(b, a))
        assert not changed(rows(a), rows(moved[0]))  # IoU 0.92
        assert changed(rows(a), rows(moved[1]))  # IoU 0.89
        assert changed(rows(a), rows(box(0, TRUCK)))
        assert changed(rows(a), rows(a, b))
        assert changed(rows(a, b), rows(a))
        assert changed(rows(), rows(a))
        assert changed(rows(a), rows())

    @pytest.mark.parametrize(
        ("before", "after", "wanted"),
        [
            (None, 0.54, False), (0.54, None, False), (0.49, 0.51, False), (0.45, 0.95, False),
            (None, 0.55, True), (0.55, None, True), (0.44, 0.55, True),
        ],
    )  # fmt: skip
    def test_a_box_that_hovers_at_its_threshold_changes_nothing(
        self, before: float | None, after: float | None, wanted: bool
    ) -> None:
        """Here 0.5: it came or went where it is surely there, and is not even nearly there in the other picture."""
        a, b = (rows(box(0), *([box(300, score=one)] if one else [])) for one in (before, after))
        assert changed(a, b) == wanted

    def test_a_turn_has_the_best_boxes_and_no_more_than_it_may(self) -> None:
        many = [box(i / 10, score=0.5 + i / 2000) for i in range(900)]
        kept = rows(*many)
        assert len(kept) == MAX_BOXES
        assert min(one[0] for one in kept) == 60


class Legacy:
    """Asked again: what it says then, and how often it was."""

    def __init__(self, *items: Detection, answers: bool = True) -> None:
        self.second = saw(*items) if answers else None
        self.asked = 0

    async def __call__(self) -> Saw | None:
        self.asked += 1
        return self.second


class TestPairJudge:
    @pytest.mark.parametrize(
        ("triton", "second", "evidence"),
        [
            (saw(box(0)), [box(0)], 0),
            (saw(), [box(0)], 1),
            (saw(box(0)), [], -1),
            (saw(), [], 0),
            (None, [box(0)], 1),
            (None, [], 0),
            (saw(box(0), box(300, score=0.52)), [box(0)], 0),  # borderline
        ],
    )
    async def test_evidence_is_what_triton_sees_otherwise_beyond_legacys_own_noise(
        self, shelf: Shelf, triton: Saw | None, second: list[Detection], evidence: int
    ) -> None:
        judged = await shelf.judge().judge(offer(), saw(box(0)), triton, Legacy(*second))
        assert judged.evidence == evidence

    async def test_what_a_pair_is_told_as(self, shelf: Shelf) -> None:
        legacy = saw(box(0), box(300), box(500, score=0.3), took_s=0.1)
        triton = saw(box(10), box(300, TRUCK), took_s=0.03)
        judged = await shelf.judge().judge(offer(), legacy, triton, Legacy())
        assert (judged.detector, judged.verdict, judged.camera) == (YOLO, "different", "gate")
        assert judged.differences == (("swapped", "car"),)
        assert judged.swaps == (("car", "truck"),)
        assert judged.seen == ("car", "car")
        assert judged.light == "day"
        assert judged.model_version == "3"
        assert judged.latency_delta_s == pytest.approx(-0.07)
        assert judged.mean_iou == pytest.approx(90 / 110)

    async def test_legacy_is_asked_again_only_when_it_is_the_cameras_turn(self, shelf: Shelf) -> None:
        judge, again = shelf.judge(), Legacy(box(0))
        first = await judge.judge(offer(), saw(box(0)), saw(box(0)), again)
        second = await judge.judge(offer(), saw(box(300)), saw(), again)
        assert (first.evidence, second.evidence, again.asked) == (0, None, 1)
        assert second.verdict == "different", "it is no evidence, and a difference all the same"

    async def test_without_a_second_answer_a_pair_proves_nothing(self, shelf: Shelf) -> None:
        judged = await shelf.judge().judge(offer(), saw(box(0)), saw(), Legacy(answers=False))
        assert (judged.evidence, judged.unproven) == (None, True)

    @pytest.mark.parametrize("triton", [saw(box(0)), saw(), None])
    async def test_what_was_to_be_no_evidence_is_not_unproven(self, shelf: Shelf, triton: Saw | None) -> None:
        judge = shelf.judge()
        first = await judge.judge(offer(), saw(box(0)), triton, Legacy(box(0)))
        second = await judge.judge(offer(), saw(box(0)), triton, Legacy(answers=False))
        assert (first.unproven, second.evidence, second.unproven) == (False, None, False)

    async def test_a_failed_triton_may_be_unproven_too(self, shelf: Shelf) -> None:
        judged = await shelf.judge().judge(offer(), saw(box(0)), None, Legacy(answers=False))
        assert (judged.verdict, judged.evidence, judged.unproven) == ("triton_failed", None, True)

    async def test_whether_a_scene_moved_does_not_depend_on_who_asks(self, shelf: Shelf) -> None:
        """Two callers who want 0.4 and 0.6 see a parked car of 0.5 come and go, and it stands there all the time."""
        judge, again = shelf.judge(thresholds=Thresholds(0.5)), Legacy(box(0), box(300, score=0.5))
        assert again.second is not None
        for number in range(20):
            asked = offer(thresholds=Thresholds(0.6 if number % 2 else 0.4))
            await judge.judge(asked, again.second, again.second, again)
            shelf.clock.sleep(60)
        assert again.asked == 1
        moved = saw(box(100), box(300, score=0.5))
        await judge.judge(offer(thresholds=Thresholds(0.99)), moved, moved, again)
        assert again.asked == 2, "nor does a caller that wants to see nothing make it stand still"

    async def test_a_caller_who_wants_to_see_little_makes_no_two_sides_alike(self, shelf: Shelf) -> None:
        judge = shelf.judge(thresholds=Thresholds(0.5))
        shy = offer(thresholds=Thresholds(0.99))
        told = await judge.judge(shy, saw(box(0)), saw(box(300)), Legacy(box(0)))
        assert told.verdict == "different"

    async def test_what_an_older_epoch_decided_takes_no_turn_of_this_one(self, shelf: Shelf) -> None:
        judge = shelf.judge(is_current=lambda detector, version: version == 2)
        old = await judge.judge(offer(flag_version=1), saw(box(0)), saw(box(0)), Legacy(box(0)))
        new = await judge.judge(offer(flag_version=2), saw(box(0)), saw(box(0)), Legacy(box(0)))
        assert (old.evidence, old.unproven, new.evidence) == (None, False, 0)

    async def test_of_more_boxes_than_enough_the_best_are_compared(self, shelf: Shelf) -> None:
        many = [box(i / 2, score=0.5 + i / 2000) for i in range(900)]
        judged = await shelf.judge().judge(offer(), saw(*many), saw(), Legacy())
        assert len(judged.differences) == MAX_BOXES

    async def test_a_failed_triton_is_a_verdict_and_no_picture(self, shelf: Shelf) -> None:
        judged = await shelf.judge().judge(offer(), saw(box(0)), None, Legacy(box(0)))
        assert (judged.verdict, judged.evidence, judged.seen) == ("triton_failed", 1, ("car",))
        assert not shelf.store.samples(10)

    async def test_pairs_that_differ_are_kept_with_their_picture(self, shelf: Shelf) -> None:
        judge = shelf.judge()
        await judge.judge(offer(), saw(box(0)), saw(box(0)), Legacy())
        assert not shelf.store.samples(10)
        await judge.judge(offer(), saw(box(0), box(300)), saw(box(300, TRUCK)), Legacy())
        [kept] = shelf.store.samples(10)
        assert (kept.camera, kept.epoch, kept.light, kept.model_version) == ("gate", "a.1", "day", "3")
        assert (kept.kinds, kept.labels) == (("missed", "swapped"), ("car", "truck"))
        assert shelf.store.picture(kept.id)

    async def test_without_its_store_a_pair_is_judged_all_the_same(self, shelf: Shelf) -> None:
        shelf.away = True
        judged = await shelf.judge().judge(offer(), saw(box(0)), saw(), Legacy())
        assert (judged.verdict, judged.evidence) == ("different", None)

    async def test_a_picture_that_cannot_be_read_here_is_judged_all_the_same(self, shelf: Shelf) -> None:
        judged = await shelf.judge().judge(offer(image=b"\xff\xd8 no"), saw(box(0)), saw(), Legacy(box(0)))
        assert (judged.verdict, judged.evidence, judged.light) == ("different", 1, "day")
        assert not shelf.store.samples(10)

    async def test_the_event_loop_goes_on_while_a_pair_is_looked_at(
        self, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The look is held up until the loop has done something else."""
        went_on = threading.Event()
        look = judging._look

        def held_up(*pair: Any) -> Any:
            assert went_on.wait(20), "the loop stood still"
            return look(*pair)

        monkeypatch.setattr(judging, "_look", held_up)
        judged = asyncio.create_task(shelf.judge().judge(offer(), saw(), saw(), Legacy()))
        await asyncio.sleep(0)
        went_on.set()
        assert (await judged).verdict == "same"

    async def test_whether_a_scene_moved_is_worked_out_beside_the_event_loop(
        self, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        threads: list[str] = []

        def watched(before: Any, now: Any) -> bool:
            threads.append(threading.current_thread().name)
            return changed(before, now)

        monkeypatch.setattr(judging, "changed", watched)
        judge = shelf.judge()
        for x in (0, 300):
            await judge.judge(offer(), saw(box(x)), saw(box(x)), Legacy(box(x)))
            shelf.clock.sleep(60)
        assert threads
        assert all(name.startswith("judge") for name in threads)

    async def test_a_crowd_does_not_stall_the_event_loop_as_long_as_it_takes(self, shelf: Shelf) -> None:
        """Measured with 300 on each side, on 2 busy cores: 5 to 8 ms, with one box 1 ms; Python lets a thread go on for
        5 ms. The control looks at them on the loop."""
        judge, asked = shelf.judge(samples=0), offer()
        here, there = (saw(*(box(i + shift, CAR, 0.6 + i / 1000) for i in range(300))) for shift in (0, 40))

        async def on_the_loop() -> None:
            judging._look(asked, here, there, None)

        ours, control = [], []
        for _ in range(8):  # in turn, so that what else the machine does falls on both
            ours.append(await worst_stall_s(judge.judge(asked, here, there, Legacy())))
            control.append(await worst_stall_s(on_the_loop()))
            shelf.clock.sleep(60)
        assert min(ours) < min(control) / 1.5, (ours, control)


async def worst_stall_s(work: Coroutine[Any, Any, Any]) -> float:
    """The longest that the loop did nothing else while it did this."""
    task, worst, last = asyncio.create_task(work), 0.0, time.perf_counter()
    while not task.done():
        await asyncio.sleep(0)
        now = time.perf_counter()
        worst, last = max(worst, now - last), now
    await task
    return worst


async def test_a_worker_judges_by_its_own_rollout(tmp_path: Path) -> None:
    """As it is composed: the flags' epoch, the store's thread."""
    house = House(tmp_path)
    rollout = await house.start()
    state = await rollout.read()
    await rollout.step(
        lambda now: now.with_ramp(YOLO, Ramp("a", (0.1, 1.0))), who="t", reason="r", version=state.version
    )
    judge = PairJudge.of(rollout, Settings(_env_file=None), Thresholds(0.5))  # type: ignore[call-arg]
    try:
        judged = await judge.judge(offer(), saw(box(0)), saw(), Legacy(box(0)))
        assert judged.evidence == 1
        old = await judge.judge(offer("yard", flag_version=0), saw(box(0)), saw(), Legacy(box(0)))
        assert old.evidence is None
        [kept] = await rollout.ask(lambda store: store.samples(10))
        assert kept.epoch == "a.1"
    finally:
        judge.close()
        await house.close()
