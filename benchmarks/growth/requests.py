"""What a request costs in this process as its picture, its objects and the cameras grow: the sides do nothing."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from ai.core.detections import Detections, Rows, Thresholds
from ai.core.matching import compare
from ai.core.sample import sample_jpeg
from backend.api import answers
from backend.observe.events import Observer, told
from backend.observe.metrics import Metrics
from backend.rollout.decision import Decision
from backend.rollout.flags import FRACTION_SALT, Flags, View, bucket_of
from backend.rollout.quota import MAX_CAMERAS, Quota, Seen, quota_of
from backend.rollout.state import RolloutState
from backend.services.detector_client import DetectorClient
from backend.services.request import RequestInfo, Served
from backend.sides import TRITON
from backend.transports.base import Found
from benchmarks.backend_apps import sides
from benchmarks.detect_cost import DETECTOR, REQUEST_ID, composed, detecting
from benchmarks.growth.on_loop import event_loop
from benchmarks.growth.pictures import scaled_jpeg
from benchmarks.growth.series import Question, Series
from benchmarks.growth.timing import Plan, repeated

SIZE = (1920, 1080)
CPU_US = "µs of CPU a call"

BY_PICTURE = Question(
    "detect-by-picture", "picture", "One detect in the client: the bytes are passed on", "MP", CPU_US, "constant"
)  # fmt: skip
CHECKED = Question(
    "answer-checked", "objects", "A side's rows become detections", "objects", CPU_US, "linear"
)
BY_OBJECTS = Question(
    "detect-by-objects", "objects", "One detect: thresholds, events, metrics", "objects", CPU_US, "linear"
)
SAID = Question("answer-said", "objects", "The answer as JSON", "objects", CPU_US, "linear")
COMPARED = Question(
    "pair-compared", "objects", "Two sides' answers, compared", "objects on each side", CPU_US, "linear",
    bound="300 boxes of a side are compared, the surest",
)  # fmt: skip
BY_CAMERAS = Question(
    "detect-by-cameras", "cameras", "One detect: places and turns by camera", "cameras", CPU_US, "constant"
)
DECIDED = Question(
    "decision-by-quota", "cameras", "The flag's decision under ROLLOUT_KEY=camera-quota", "cameras", CPU_US,
    "constant", bound=f"a list holds {MAX_CAMERAS:,} cameras",
)  # fmt: skip
LISTED = Question(
    "quota-made", "cameras", "The leader makes the list of cameras", "cameras", CPU_US, "linear",
    bound=f"a list holds {MAX_CAMERAS:,} cameras",
)  # fmt: skip


def series(
    plan: Plan, megapixels: Sequence[float], objects: Sequence[int], cameras: Sequence[int]
) -> Iterator[Series]:
    yield _by_picture(plan, megapixels)
    yield plan.times(CHECKED, {n: repeated(partial(_checked, _rows(n))) for n in objects})
    yield _by_objects(plan, objects)
    yield plan.times(SAID, {n: repeated(partial(_said, _served(n))) for n in objects})
    yield plan.times(COMPARED, {n: repeated(partial(_compared, _found(n), _found(n, 0.5))) for n in objects})
    yield _by_cameras(plan, cameras)
    listed = [count for count in cameras if count <= MAX_CAMERAS]
    yield plan.times(DECIDED, {n: repeated(partial(_decided, _flags(n), _names(n))) for n in listed})
    yield plan.times(LISTED, {n: repeated(partial(_listed, _seen(n))) for n in listed})


# --- through the client -----------------------------------------------------------------------------------


def _observer() -> Observer:
    return told(Metrics(None))


def _by_picture(plan: Plan, megapixels: Sequence[float]) -> Series:
    with event_loop() as on_loop:
        client = composed(_observer())
        works = {mp: on_loop(detecting(client, scaled_jpeg(mp))) for mp in megapixels}
        return plan.times(BY_PICTURE, works)


def _by_objects(plan: Plan, objects: Sequence[int]) -> Series:
    with event_loop() as on_loop:
        clients = {n: composed(_observer(), sides(Found(_found(n), "1"))) for n in objects}
        return plan.times(BY_OBJECTS, {n: on_loop(detecting(client)) for n, client in clients.items()})


def _by_cameras(plan: Plan, cameras: Sequence[int]) -> Series:
    with event_loop() as on_loop:
        works = {n: on_loop(partial(_detected, composed(_observer()), _names(n))) for n in cameras}
        return plan.times(BY_CAMERAS, works)


async def _detected(client: DetectorClient, cameras: Iterator[str]) -> object:
    return await client.detect(sample_jpeg(), camera=next(cameras), about=RequestInfo(REQUEST_ID))


# --- one piece of it --------------------------------------------------------------------------------------


def _rows(objects: int, shift: float = 0.0) -> Rows:
    """Boxes beside one another, eighty kinds of things among them."""
    table = np.zeros((objects, 6), np.float32)
    for number in range(objects):
        x, y = 5 + 60 * (number % 30) + shift, 5 + 60 * (number // 30)
        table[number] = (x, y, x + 50, y + 50, 0.95 - number / 1000, number % 80)
    return table


def _found(objects: int, shift: float = 0.0) -> Detections:
    return Detections.from_rows(_rows(objects, shift), *SIZE)


def _checked(rows: Rows) -> Detections:
    return Detections.from_rows(rows, *SIZE)


def _served(objects: int) -> Served:
    decision = Decision(TRITON, "FRACTION", 50_000, 1.0, 1, False, True)
    return Served(_found(objects), TRITON, DETECTOR, "1", decision, None, 1, 0.02, 0.02)


def _said(served: Served) -> bytes:
    return json.dumps(answers.single(served), separators=(",", ":")).encode()


def _compared(legacy: Detections, other: Detections) -> object:
    return compare(legacy, other, Thresholds(0.5))


def _names(cameras: int) -> Iterator[str]:
    return itertools.cycle([f"camera-{number}" for number in range(cameras)])


def _flags(cameras: int) -> Flags:
    quota = Quota(tuple((f"camera-{number}", 1 / cameras) for number in range(cameras)))
    state = RolloutState(version=1, fraction=0.5)
    return Flags(View(state, quotas={DETECTOR: quota}, key="camera-quota"))


def _decided(flags: Flags, names: Iterator[str]) -> object:
    return flags.decide(DETECTOR, next(names), REQUEST_ID)


def _seen(cameras: int) -> Seen:
    return Seen(10 * cameras, {f"camera-{number}": 10 for number in range(cameras)})


def _listed(seen: Seen) -> object:
    return quota_of([seen], partial(bucket_of, FRACTION_SALT, DETECTOR))
