"""What reading, adding and removing cost in the SQLite file as it grows to a million rows of each kind."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from backend.rollout.store import MAX_TURNS, Beat, SampleLimits, Turn
from backend.rollout.stores.sqlite_store import SqliteStore
from benchmarks.growth.rows import AGE_S, FILLED_AT, PICTURE_BYTES, change, filled, sample
from benchmarks.growth.series import Expected, Point, Question, Series
from benchmarks.growth.timing import Plan, repeated

PAGE, GALLERY, BOOK = 50, 60, "book-000000000"
CPU_US = "µs of CPU a call"
SAMPLES_BOUND = "SHADOW_SAMPLES is 10,000 at the most"
_COUNTS = {f"name-{number:05}": 1 for number in range(50)}

Done = Callable[[SqliteStore, int], Callable[[], object]]
"""Of a store that was filled with so many rows: one call."""


def _question(name: str, title: str, expected: Expected = "constant", bound: str = "") -> Question:
    return Question(name, "rows", title, "rows", CPU_US, expected, bound)


def _written(store: SqliteStore, rows: int) -> Callable[[], object]:
    versions = itertools.count(rows + 1)

    def write() -> None:
        version = next(versions)
        assert store.write(change(version), version - 1)

    return write


def _sampled(store: SqliteStore, rows: int) -> Callable[[], object]:
    """Where there are as many as there may be: one comes, one goes."""
    numbers, limits = itertools.count(rows + 1), SampleLimits(rows, 2**62, AGE_S)
    return lambda: store.add_sample(sample(next(numbers)), bytes(PICTURE_BYTES), limits)


def _added(store: SqliteStore, _rows: int) -> Callable[[], object]:
    serials = itertools.count(1)
    return lambda: store.add(BOOK, _COUNTS, "this-worker", next(serials))


ASKED: Mapping[Question, Done] = {
    _question("store-poll", "Has the state changed? (ten times a second)"): lambda store, _: store.changed,
    _question("store-read", "The state is read"): lambda store, _: store.read,
    _question("history-newest", f"The newest {PAGE} changes"): lambda store, _: lambda: store.history(PAGE),
    _question("history-page", f"{PAGE} changes from the middle"): lambda store, rows: (
        lambda: store.history(PAGE, rows // 2)
    ),
    _question("gallery-newest", f"The newest {GALLERY} samples"): lambda store, _: lambda: store.samples(GALLERY),
    _question("gallery-camera", "Samples of a camera that has none", "linear", SAMPLES_BOUND): lambda store, _: (
        lambda: store.samples(GALLERY, camera="no such camera")
    ),
    _question("sample-picture", "One sample's picture"): lambda store, rows: (
        lambda: store.picture(f"{rows // 2:012}")
    ),
    _question("evidence-read", "The counts of one book among many"): lambda store, _: lambda: store.counts(BOOK),
    _question("evidence-added", "A worker's counts are added to a book"): _added,
    _question("books-listed", "The names of all books", "linear"): lambda store, _: store.books,
    _question("heartbeat", "A heartbeat, which looks for old samples"): lambda store, _: (
        lambda: store.beat(Beat("this-worker", FILLED_AT, 1))
    ),
    _question("change-written", "A change is written"): _written,
    _question("samples-removed", "Samples of a camera that has none are removed"): lambda store, _: (
        lambda: store.remove_samples("no such camera")
    ),
    _question("sample-added", "A sample is added, the oldest goes", "linear", SAMPLES_BOUND): _sampled,
}  # fmt: skip
PRUNED = Question(
    "samples-pruned", "rows", "All samples go by their age, at once", "rows", "ms of CPU", "linear"
)
TURN = Question(
    "turn-taken", "cameras", "A camera takes its turn among those that have one", "cameras", CPU_US, "constant",
    f"{MAX_TURNS:,} cameras are remembered",
)  # fmt: skip


def series(plan: Plan, sizes: Sequence[int], folder: Path) -> Iterator[Series]:
    with ExitStack() as stack:
        stores = {rows: stack.enter_context(closing(filled(folder / f"{rows}.db", rows))) for rows in sizes}
        for question, done in ASKED.items():
            works = {rows: repeated(done(store, rows)) for rows, store in stores.items()}
            yield plan.times(question, works)
    yield Series.of(PRUNED, [Point(rows, (_pruning_ms(folder / f"{rows}.db"),)) for rows in sizes])


def turns(plan: Plan, cameras: Sequence[int], folder: Path) -> Iterator[Series]:
    with ExitStack() as stack:
        works = {}
        for count in (one for one in cameras if one <= MAX_TURNS):
            store = stack.enter_context(closing(SqliteStore(folder / f"turns-{count}.db")))
            works[float(count)] = repeated(_turn(store, count))
        yield plan.times(TURN, works)


def _turn(store: SqliteStore, cameras: int) -> Callable[[], object]:
    store.read()
    moments = itertools.count(1)
    for number in range(cameras):
        store.take_turn(f"yolo26/camera-{number}", Turn(0.0, ()), None)
    last = [0.0] * cameras
    numbers = itertools.cycle(range(cameras))

    def take() -> None:
        number, at = next(numbers), float(next(moments))
        assert store.take_turn(f"yolo26/camera-{number}", Turn(at, ()), last[number])
        last[number] = at

    return take


def _pruning_ms(path: Path) -> float:
    """A heartbeat after a week finds all of them too old."""
    later = FILLED_AT + 2 * AGE_S
    with closing(SqliteStore(path, clock=lambda: later)) as store:
        store.read()
        started = time.process_time()
        store.beat(Beat("this-worker", later, 1))
        took_s = time.process_time() - started
        assert not store.samples(1)
    return took_s * 1e3
