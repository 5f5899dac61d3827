"""The same questions to a Redis as it fills: the time of a call, the way there and back included."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from backend.rollout.store import SampleLimits, Store
from backend.rollout.stores.dump import row_of
from backend.rollout.stores.opening import open_store
from benchmarks.growth.rows import PICTURE_BYTES, change, sample
from benchmarks.growth.series import Expected, Question, Series
from benchmarks.growth.stores import GALLERY, PAGE, SAMPLES_BOUND
from benchmarks.growth.timing import Plan, repeated
from benchmarks.overhead.redis_server import redis_program, redis_url
from benchmarks.processes import running

FOREVER_S = 1e10  # the samples are older than anybody would keep them, by the clock of a server of today

Done = Callable[[Store, int], Callable[[], object]]


def _question(name: str, title: str, expected: Expected = "constant", bound: str = "") -> Question:
    return Question(f"redis-{name}", "rows-redis", title, "rows", "µs a call", expected, bound)


def _written(store: Store, rows: int) -> Callable[[], object]:
    versions = itertools.count(rows + 1)

    def write() -> None:
        version = next(versions)
        assert store.write(change(version), version - 1)

    return write


def _sampled(store: Store, rows: int) -> Callable[[], object]:
    numbers, limits = itertools.count(rows + 1), SampleLimits(rows, 2**50, FOREVER_S)
    return lambda: store.add_sample(sample(next(numbers)), bytes(PICTURE_BYTES), limits)


ASKED: Mapping[Question, Done] = {
    _question("poll", "Has the state changed?"): lambda store, _: store.changed,
    _question("read", "The state is read"): lambda store, _: store.read,
    _question("history-page", f"{PAGE} changes from the middle"): lambda store, rows: (
        lambda: store.history(PAGE, rows // 2)
    ),
    _question("gallery-newest", f"The newest {GALLERY} samples"): lambda store, _: lambda: store.samples(GALLERY),
    _question("gallery-camera", "Samples of a camera that has none", "linear", SAMPLES_BOUND): lambda store, _: (
        lambda: store.samples(GALLERY, camera="no such camera")
    ),
    _question("change-written", "A change is written"): _written,
    _question("sample-added", "A sample is added, the oldest goes"): _sampled,
}  # fmt: skip


def series(plan: Plan, sizes: Sequence[int], folder: Path) -> Iterator[Series]:
    """Nothing where there is no redis-server."""
    program = redis_program(folder / "redis")
    if program is None:
        return
    with ExitStack() as stack:
        server = stack.enter_context(running(program))
        stores = {rows: stack.enter_context(closing(_filled(server.url, rows))) for rows in sizes}
        for question, done in ASKED.items():
            works = {rows: repeated(done(store, rows)) for rows, store in stores.items()}
            yield plan.times(question, works, clock=time.perf_counter, pids=(server.pid,))


def _filled(url: str, rows: int) -> Store:
    store = open_store(redis_url(url, f"rows-{rows}"))
    store.read()
    store.load(row_of(change(version)) for version in range(1, rows + 1))
    no_limits = SampleLimits(2**50, 2**50, FOREVER_S)
    for number in range(1, rows + 1):
        store.add_sample(sample(number), bytes(PICTURE_BYTES), no_limits)
    return store
