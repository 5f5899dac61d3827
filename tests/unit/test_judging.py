"""A pair is judged: alike or not, whether that is evidence, and whose turn it is to give some. On a real store."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

from ai.core.detections import Detection, Detections, Thresholds
from ai.core.image import ImageLimits
from ai.core.labels import COCO_80
from backend.rollout.ramps import Ramp
from backend.rollout.store import SampleLimits, Store, StoreAway
from backend.rollout.stores.sqlite_store import SqliteStore
from backend.settings import Settings
from backend.shadow import judging
from backend.shadow.judging import PairJudge
from backend.shadow.pairs import Offer, Saw
from backend.shadow.sampling import Sampling
from backend.shadow.turns import Turns, changed
from backend.sides import TRITON
from tests.clocks import HandClock
from tests.pictures import jpeg, scene
from tests.rollout_house import House

T = TypeVar("T")

YOLO = "yolo26"
CAR, TRUCK = 2, 7


def box(x: float, class_id: int = CAR, score: float = 0.9) -> Detection:
    return Detection(x, 10, x + 100, 110, score, class_id, COCO_80[class_id])


def boxes(*items: Detection) -> Detections:
    return Detections(items, 640, 360)


def saw(*items: Detection, version: str = "3", took_s: float = 0.1) -> Saw:
    return Saw(boxes(*items), version, took_s)


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

    def judge(self, samples: int = 10, turns: Turns | None = None) -> PairJudge:
        sampling = Sampling(self.ask, SampleLimits(samples, 10**8, 1e6), ImageLimits(), self.clock)
        return PairJudge(turns or self.turns(), sampling, lambda detector: "a.1")


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
        assert await turns.take(YOLO, "gate", boxes(box(0)))
        shelf.clock.sleep(4.9)
        assert not await turns.take(YOLO, "gate", boxes(box(300))), "too soon"
        shelf.clock.sleep(0.2)
        assert not await turns.take(YOLO, "gate", boxes(box(1))), "nothing moved"
        assert await turns.take(YOLO, "gate", boxes(box(300)))

    async def test_workers_share_the_turns(self, shelf: Shelf) -> None:
        one, two = shelf.turns(), shelf.turns()
        assert await one.take(YOLO, "gate", boxes(box(0)))
        assert not await two.take(YOLO, "gate", boxes(box(300)))
        shelf.clock.sleep(5)
        assert not await two.take(YOLO, "gate", boxes(box(0)))
        assert await two.take(YOLO, "gate", boxes(box(300)))
        assert not await one.take(YOLO, "gate", boxes(box(300)))

    async def test_cameras_and_detectors_have_turns_of_their_own(self, shelf: Shelf) -> None:
        turns = shelf.turns()
        for detector, camera in ((YOLO, "gate"), (YOLO, "yard"), ("rtdetr", "gate")):
            assert await turns.take(detector, camera, boxes(box(0)))

    async def test_all_requests_without_a_camera_are_one_camera(self, shelf: Shelf) -> None:
        turns = shelf.turns()
        assert await turns.take(YOLO, None, boxes(box(0)))
        assert not await turns.take(YOLO, None, boxes(box(300)))

    async def test_what_has_no_turn_is_known_without_asking(self, shelf: Shelf) -> None:
        turns = shelf.turns()
        for i in range(100):
            await turns.take(YOLO, "gate", boxes(box(i)))
        assert shelf.asked == 1
        shelf.clock.sleep(60)
        for _ in range(100):
            await turns.take(YOLO, "gate", boxes(box(0)))
        assert shelf.asked == 1

    async def test_a_store_that_is_away_gives_none(self, shelf: Shelf) -> None:
        turns = shelf.turns()
        shelf.away = True
        assert not await turns.take(YOLO, "gate", boxes(box(0)))
        shelf.away = False
        assert await turns.take(YOLO, "gate", boxes(box(0)))

    def test_boxes_changed_when_one_came_went_moved_or_is_another_thing(self) -> None:
        a, b = [0.0, 0, 100, 100, CAR], [300.0, 0, 400, 100, CAR]
        assert not changed([], [])
        assert not changed([a, b], [b, a])
        assert not changed([a], [[4.0, 0, 104, 100, CAR]])  # IoU 0.92
        assert changed([a], [[6.0, 0, 106, 100, CAR]])  # IoU 0.89
        assert changed([a], [[*a[:4], TRUCK]])
        assert changed([a], [a, b])
        assert changed([a, b], [a])
        assert changed([a, b], [a, a])


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
        assert judged.evidence is None

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


async def test_a_worker_judges_by_its_own_rollout(tmp_path: Path) -> None:
    """As it is composed: the flags' epoch, the store's thread."""
    house = House(tmp_path)
    rollout = await house.start()
    state = await rollout.read()
    await rollout.step(
        lambda now: now.with_ramp(YOLO, Ramp("a", (0.1, 1.0))), who="t", reason="r", version=state.version
    )
    judge = PairJudge.of(rollout, Settings(_env_file=None))  # type: ignore[call-arg]
    try:
        judged = await judge.judge(offer(), saw(box(0)), saw(), Legacy(box(0)))
        assert judged.evidence == 1
        [kept] = await rollout.ask(lambda store: store.samples(10))
        assert kept.epoch == "a.1"
    finally:
        judge.close()
        await house.close()
