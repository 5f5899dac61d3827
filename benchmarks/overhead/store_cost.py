"""What the stores cost: SQLite and, where there is a redis-server, Redis, asked what workers ask them."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from backend.rollout.store import Beat, SampleLimits, Store, Turn
from backend.rollout.stores.opening import open_store
from backend.settings import Settings
from benchmarks.growth.rows import change, sample
from benchmarks.growth.timing import Plan, repeated
from benchmarks.overhead.redis_server import redis_program, redis_url
from benchmarks.processes import running
from benchmarks.report import Spread

PICTURE_BYTES = 50_000  # as samples are kept
COUNTS = {f"name-{number}": 1 for number in range(50)}  # of one flush of a busy worker
FOREVER_S = 1e10
CHANGES = 200  # in its history
BOXES = tuple((10.0, 20.0, 110.0, 220.0, 0.0, 1.0) for _ in range(8))


@dataclass(frozen=True, slots=True)
class StoreRow:
    store: str
    what: str
    wall_us: Spread
    cpu_us: Spread  # of the process that asks
    often: str


def costs(plan: Plan, folder: Path) -> Iterator[StoreRow]:
    with ExitStack() as stack:
        for name, store in _stores(folder, stack).items():
            for version in range(1, CHANGES + 1):
                store.write(change(version), version - 1 or None)
            yield from _rows(plan, name, store)


def _stores(folder: Path, stack: ExitStack) -> Mapping[str, Store]:
    urls = {"SQLite": f"sqlite:///{folder / 'store.db'}"}
    program = redis_program(folder / "redis")
    if program is not None:
        urls["Redis"] = redis_url(stack.enter_context(running(program)).url)
    stores = {name: stack.enter_context(closing(open_store(url))) for name, url in urls.items()}
    for store in stores.values():
        store.read()
    return stores


def _rows(plan: Plan, name: str, store: Store) -> Iterator[StoreRow]:
    works = {what: repeated(call) for what, (call, _) in _asked(store).items()}
    wall, cpu = plan.rounds_of(works, time.perf_counter), plan.rounds_of(works)
    for what, (_, often) in _asked(store).items():
        yield StoreRow(name, what, Spread.of(wall[what]), Spread.of(cpu[what]), often)


def _asked(store: Store) -> Mapping[str, tuple[Callable[[], object], str]]:
    told = Settings(_env_file=None)
    limits = SampleLimits(told.shadow_samples, told.shadow_samples_bytes, FOREVER_S)
    return {
        "has the state changed?": (store.changed, f"every {told.rollout_poll_s:g} s, each worker"),
        "read the state": (store.read, "after each change"),
        "change the state": (_changing(store), "a person, or a ramp's step"),
        "50 changes of the history": (lambda: store.history(50), "when somebody looks"),
        "a heartbeat": (
            lambda: store.beat(Beat("benchmark", store.now(), 1)), f"every {told.rollout_heartbeat_s:g} s, each worker",
        ),
        "add 50 counts": (_adding(store), f"every {told.evidence_flush_s:g} s, each worker that compares"),
        "take a camera's turn": (
            _turning(store), f"every {told.evidence_camera_gap_s:g} s at the most, each camera",
        ),
        "add a sample of 50 kB": (_sampling(store, limits), "each pair that differs"),
        "60 samples": (lambda: store.samples(60), "when somebody looks"),
    }  # fmt: skip


def _changing(store: Store) -> Callable[[], object]:
    def write() -> None:
        newest = store.read().change
        assert newest is not None
        assert store.write(change(newest.version + 1), newest.version)

    return write


_serials = itertools.count(1)


def _adding(store: Store) -> Callable[[], object]:
    return lambda: store.add("yolo26/r.1", COUNTS, "benchmark", next(_serials))


def _turning(store: Store) -> Callable[[], object]:
    def take() -> None:
        last = store.turn("yolo26/r.1/gate")
        at = last.at if last else None
        assert store.take_turn("yolo26/r.1/gate", Turn((at or 0.0) + 1.0, BOXES), at)

    return take


def _sampling(store: Store, limits: SampleLimits) -> Callable[[], object]:
    return lambda: store.add_sample(sample(next(_serials)), bytes(PICTURE_BYTES), limits)
