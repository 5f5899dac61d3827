"""What the store is asked all the time costs the same however much it holds: counted in SQLite's own steps."""

from __future__ import annotations

import itertools
from contextlib import closing

import pytest

from backend.rollout.store import Beat, SampleLimits, Turn
from backend.rollout.stores.sqlite_store import SqliteStore
from benchmarks.growth.rows import AGE_S, FILLED_AT, change, filled, sample

pytestmark = pytest.mark.beside

FEW, MANY = 400, 8_000
COUNTS = {"requests.triton": 1}
NO_LIMITS = SampleLimits(2**62, 2**62, AGE_S)
serials = itertools.count(1)

ASKED = {
    "reading the state": lambda store, rows: store.read(),
    "the newest changes": lambda store, rows: store.history(50),
    "changes from the middle": lambda store, rows: store.history(50, rows // 2),
    "writing a change": lambda store, rows: store.write(change(rows + 1), rows),
    "a heartbeat": lambda store, rows: store.beat(Beat("w", FILLED_AT, 1)),
    "adding to a book": lambda store, rows: store.add("book-000000000", COUNTS, "w", next(serials)),
    "the newest samples": lambda store, rows: store.samples(60),
    "removing a camera's samples": lambda store, rows: store.remove_samples("one"),
}


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stores")
    with closing(filled(folder / "few.db", FEW)) as few, closing(filled(folder / "many.db", MANY)) as many:
        for store in (few, many):
            store.add_sample(sample(10 * MANY, "one"), b"picture", NO_LIMITS)
            store.add(
                "book-000000000", COUNTS, "w", next(serials)
            )  # a writer's first one looks at all of them
        yield few, many


def steps(store: SqliteStore, work) -> int:
    """Instructions of SQLite's machine."""
    counted = itertools.count()
    store._open.set_progress_handler(lambda: next(counted) < 0, 1)
    work()
    store._open.set_progress_handler(None, 0)
    return next(counted)


@pytest.mark.parametrize("asked", ASKED)
def test_it_takes_as_many_steps_with_twenty_times_the_rows(stores, asked) -> None:
    few, many = (
        steps(store, lambda store=store, rows=rows: ASKED[asked](store, rows))
        for store, rows in zip(stores, (FEW, MANY), strict=True)
    )
    assert few > 5
    assert many < 1.5 * few + 50


def test_what_does_grow_is_seen_to_grow(stores) -> None:
    """The control: a search for what nobody has."""
    few, many = (steps(store, lambda store=store: store.samples(60, kind="extra")) for store in stores)
    assert many > 10 * few


def test_a_turn_of_a_camera_that_is_known_looks_at_no_other(tmp_path) -> None:
    seen = []
    for cameras in (10, 500):
        with closing(SqliteStore(tmp_path / f"{cameras}.db")) as store:
            store.read()
            for number in range(cameras):
                store.take_turn(f"camera-{number}", Turn(1.0, ()), None)
            seen.append(steps(store, lambda store=store: store.take_turn("camera-3", Turn(2.0, ()), 1.0)))
            assert store.turn("camera-3") == Turn(2.0, ())
    assert seen[1] <= seen[0] + 50


def test_a_sample_too_many_costs_a_few_steps_for_each_that_is_kept(stores) -> None:
    """They are counted, in an index; nothing sorts them or reads their words."""
    _, many = stores
    kept = len(many.samples(10 * MANY))
    limits = SampleLimits(kept, 2**62, AGE_S)
    took = steps(many, lambda: many.add_sample(sample(10 * MANY + 1), b"picture", limits))
    assert len(many.samples(10 * MANY)) == kept
    assert took < 8 * kept


def test_books_are_found_without_reading_what_is_in_them(stores) -> None:
    _, many = stores
    assert len(many.books()) == MANY // 1_000 + 1
    assert steps(many, many.books) < MANY / 4
