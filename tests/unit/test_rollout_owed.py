"""A rollback that the store could not be told of: it holds until somebody who may know of it says otherwise."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from backend.rollout.crew import Worker
from backend.rollout.environment import EnvironmentWatch, LastSeen
from backend.rollout.journal import Journal
from backend.rollout.owed import has_more
from backend.rollout.quota import Traffic
from backend.rollout.ramps import Ramp
from backend.rollout.state import RolloutState
from backend.rollout.store import Change, StoreAway
from backend.rollout.stores.memory_store import MemoryStore
from backend.rollout.watch import Keeper
from backend.sides import Side

pytestmark = pytest.mark.usefixtures("nothing_said_of_flags")


def state_of(keeper: Keeper) -> RolloutState:
    assert keeper.view.state is not None
    return keeper.view.state


class Way:
    """One machine's to a store in memory that others share; it can be cut."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.cut = False

    def __getattr__(self, name: str) -> Any:
        asked = getattr(self._store, name)

        def ask(*words: Any, **more: Any) -> Any:
            if self.cut and name not in {"now", "close"}:
                raise StoreAway("the way is cut")
            return asked(*words, **more)

        return ask


class TestOwed:
    """A rollback on a machine whose way to the store is cut, while the others go on."""

    @pytest.fixture
    def clock(self) -> Iterator[float]:
        return itertools.count(1000.0)

    @pytest.fixture
    def store(self, clock: Iterator[float]) -> MemoryStore:
        return MemoryStore(lambda: next(clock))

    @pytest.fixture
    def way(self, store: MemoryStore) -> Way:
        return Way(store)

    def keeper(self, store: Any, machine: Path, name: str = "a", legacy: bool = True) -> Keeper:
        made = Keeper(
            store, Journal(machine / "journal.jsonl", "redis://x"), EnvironmentWatch(machine / ".env", 0.01),
            LastSeen(machine / "seen.json"), Worker(name, 1.0, "request", legacy), Traffic(10),
        )  # fmt: skip
        made.begin()
        return made

    @pytest.fixture
    def here(self, way: Way, tmp_path: Path) -> Keeper:
        made = self.keeper(way, tmp_path / "here")
        made.change({"fraction": 0.5}, who="anna", reason="go", version=None)
        return made

    @pytest.fixture
    def there(self, here: Keeper, store: MemoryStore, tmp_path: Path) -> Keeper:
        assert here.view.state
        return self.keeper(store, tmp_path / "there", "b")

    def rolled_back_alone(self, here: Keeper, way: Way, who: str = "anna") -> None:
        way.cut = True
        with pytest.raises(StoreAway, match="the way is cut"):
            here.rollback(who=who, reason="it looks odd")
        assert state_of(here).fraction == 0.0

    def test_a_later_change_of_something_else_does_not_undo_it(
        self, here: Keeper, there: Keeper, way: Way, store: MemoryStore
    ) -> None:
        self.rolled_back_alone(here, way)
        there.change({"shadow": 0.2}, who="otto", reason="more comparisons", version=None)
        way.cut = False
        here.look()
        there.look()
        assert [state_of(one).fraction for one in (here, there)] == [0.0, 0.0]
        newest, before = store.history(2)
        assert (newest.who, newest.reason, newest.version) == ("anna", "it looks odd", 4)
        assert (newest.before, newest.at < before.at) == (before.after, True)

    def test_one_that_is_said_again_by_any_worker_is_one_version(
        self, here: Keeper, way: Way, store: MemoryStore, tmp_path: Path
    ) -> None:
        """What was decided meanwhile names a version that the history has, and that begins where the last one ended."""
        beside = self.keeper(way, tmp_path / "here", "c")
        for worker, who in ((here, "anna"), (beside, "otto"), (here, "anna"), (beside, "otto")):
            self.rolled_back_alone(worker, way, who)
            for one in (here, beside):
                one.look()
                assert state_of(one).version == 3
        way.cut = False
        for one in (here, beside, self.keeper(way, tmp_path / "here", "d")):
            one.look()
            assert (state_of(one).version, state_of(one).fraction) == (3, 0.0)
        newest, before = store.history(2)
        assert (newest.version, newest.who, newest.before) == (3, "otto", before.after)
        assert (before.version, before.at < newest.at) == (2, True)

    def test_said_at_once_by_two_workers_that_had_not_heard_of_each_other_it_is_one_version_too(
        self, here: Keeper, way: Way, store: MemoryStore, tmp_path: Path
    ) -> None:
        beside = self.keeper(way, tmp_path / "here", "c")
        self.rolled_back_alone(here, way)
        self.rolled_back_alone(beside, way, "otto")
        here.look()
        way.cut = False
        for one in (here, beside):
            one.look()
            assert (state_of(one).version, state_of(one).fraction) == (3, 0.0)
        assert [change.who for change in store.history(2)] == ["otto", "anna"]

    def test_where_the_journal_cannot_be_written_both_stand_in_the_history(
        self, here: Keeper, way: Way, store: MemoryStore, tmp_path: Path
    ) -> None:
        beside = self.keeper(way, tmp_path / "here", "c")
        (tmp_path / "here" / "journal.jsonl").unlink()
        (tmp_path / "here" / "journal.jsonl").mkdir()
        self.rolled_back_alone(here, way)
        self.rolled_back_alone(beside, way, "otto")
        way.cut = False
        for one in (here, beside, here):
            one.look()
        newest, first, before = store.history(3)
        assert [(change.version, change.who) for change in (newest, first)] == [(4, "otto"), (3, "anna")]
        assert (newest.before, first.before) == (first.after, before.after)
        assert state_of(here) == state_of(beside) == newest.state

    def test_said_again_it_takes_back_what_somebody_gave_in_between(
        self, here: Keeper, there: Keeper, way: Way, store: MemoryStore
    ) -> None:
        self.rolled_back_alone(here, way)
        there.change({"fraction": 0.6}, who="otto", reason="on", version=None)
        self.rolled_back_alone(here, way)
        way.cut = False
        here.look()
        there.look()
        assert [state_of(one).fraction for one in (here, there)] == [0.0, 0.0]
        newest, before = store.history(2)
        assert (newest.version, newest.who, newest.before) == (4, "anna", before.after)

    def test_said_thrice_it_stands_no_more_against_who_gave_more_since_than_said_once(
        self, here: Keeper, there: Keeper, way: Way
    ) -> None:
        for _ in range(3):
            self.rolled_back_alone(here, way)
        there.change({"fraction": 0.6}, who="otto", reason="on", version=None)
        way.cut = False
        here.look()
        assert state_of(here) == state_of(there)
        assert state_of(here).fraction == 0.6

    def test_it_outlives_the_worker(self, here: Keeper, there: Keeper, way: Way, tmp_path: Path) -> None:
        way.cut = True
        there.change({"shadow": 0.3}, who="otto", reason="before the rollback", version=None)
        self.rolled_back_alone(here, way)
        again = self.keeper(way, tmp_path / "here")
        assert state_of(again).fraction == 0.0
        way.cut = False
        again.look()
        there.look()
        assert [state_of(one).fraction for one in (again, there)] == [0.0, 0.0]

    def test_a_person_who_took_a_pin_to_legacy_away_gave_triton_more_too(
        self, here: Keeper, there: Keeper, way: Way
    ) -> None:
        there.change({"pins": {"gate": "legacy"}}, who="otto", reason="", version=None)
        here.look()
        self.rolled_back_alone(here, way)
        there.change({"pins": {}}, who="otto", reason="the gate again", version=None)
        way.cut = False
        here.look()
        assert state_of(here).fraction == 0.5

    @pytest.mark.parametrize("who", ["ramp", "environment"])
    def test_who_did_not_know_of_it_does_not_undo_it(
        self, here: Keeper, there: Keeper, way: Way, who: str
    ) -> None:
        self.rolled_back_alone(here, way)
        there.change({"fraction": 0.9, "overrides": {"rtdetr": 1.0}}, who=who, reason="", version=None)
        way.cut = False
        here.look()
        assert (state_of(here).fraction, state_of(here).fraction_of("rtdetr")) == (0.0, 0.0)

    @pytest.mark.parametrize(
        "patch", [{"fraction": 0.6}, {"overrides": {"rtdetr": 0.7}}, {"pins": {"gate": "triton"}}]
    )
    def test_a_person_who_gave_triton_more_since_has_the_last_word(
        self, here: Keeper, there: Keeper, way: Way, store: MemoryStore, tmp_path: Path, patch: dict[str, Any]
    ) -> None:
        self.rolled_back_alone(here, way)
        said = there.change(patch, who="otto", reason="on", version=None)
        there.change({"shadow": 0.1}, who="otto", reason="and comparisons", version=None)
        way.cut = False
        here.look()
        assert (store.history(1)[0].version, state_of(here)) == (4, state_of(there))
        assert state_of(here).fraction == said.state.fraction
        there.change({"fraction": 0.0, "overrides": {}, "pins": {}}, who="otto", reason="", version=None)
        self.keeper(way, tmp_path / "here")  # it is settled: not asked for again
        assert store.history(1)[0].version == 5

    def test_several_workers_of_a_machine_make_up_for_it_once(
        self, here: Keeper, there: Keeper, way: Way, store: MemoryStore, tmp_path: Path
    ) -> None:
        beside = self.keeper(way, tmp_path / "here", "c")
        self.rolled_back_alone(here, way)
        beside.look()
        assert state_of(beside).fraction == 0.0
        there.change({"shadow": 0.2}, who="otto", reason="", version=None)
        way.cut = False
        for one in (beside, here, self.keeper(way, tmp_path / "here", "d"), there):
            one.look()
            assert (state_of(one).version, state_of(one).fraction) == (4, 0.0)
        there.change({"fraction": 0.3}, who="otto", reason="", version=None)
        for one in (beside, here, self.keeper(way, tmp_path / "here", "e")):
            one.look()
            assert state_of(one).fraction == 0.3
        assert [change.who for change in store.history(9)].count("anna") == 2

    def test_a_worker_that_does_reach_the_store_tells_it_for_the_other(
        self, here: Keeper, there: Keeper, way: Way, store: MemoryStore, tmp_path: Path
    ) -> None:
        beside = self.keeper(store, tmp_path / "here", "c")
        self.rolled_back_alone(here, way)
        beside.look()
        there.look()
        assert state_of(there).fraction == 0.0

    def test_a_journal_without_the_mark_that_it_is_settled_does_not_settle_it_twice(
        self, here: Keeper, there: Keeper, way: Way, store: MemoryStore, tmp_path: Path
    ) -> None:
        self.rolled_back_alone(here, way)
        there.change({"shadow": 0.2}, who="otto", reason="", version=None)
        journal = (tmp_path / "here" / "journal.jsonl").read_text()
        way.cut = False
        here.look()
        (tmp_path / "here" / "journal.jsonl").write_text(journal)
        there.change({"fraction": 0.3}, who="ramp", reason="", version=None)
        assert state_of(self.keeper(way, tmp_path / "here")).fraction == 0.3

    def test_a_store_that_was_emptied_meanwhile_hears_of_it_too(
        self, here: Keeper, there: Keeper, way: Way, tmp_path: Path, clock: Iterator[float]
    ) -> None:
        self.rolled_back_alone(here, way)
        other = MemoryStore(lambda: next(clock))
        stranger = self.keeper(other, tmp_path / "stranger", "s")
        for fraction in (0.3, 0.6, 0.9):
            stranger.change({"fraction": fraction}, who="ramp", reason="", version=None)
        assert state_of(self.keeper(other, tmp_path / "here")).fraction == 0.0
        stranger.look()
        assert state_of(stranger).fraction == 0.0

    def test_where_there_is_no_legacy_any_more_nobody_is_sent_to_it(
        self, here: Keeper, there: Keeper, way: Way, store: MemoryStore, tmp_path: Path
    ) -> None:
        self.rolled_back_alone(here, way)
        for fraction in (0.9, 1.0):
            there.change({"fraction": fraction}, who="ramp", reason="", version=None)
        way.cut = False
        assert state_of(self.keeper(way, tmp_path / "here", legacy=False)).fraction == 1.0


class TestMore:
    """Whether one state gives Triton more of anybody's requests than another."""

    PIN: ClassVar[dict[str, Side]] = {"gate": "triton"}
    RAMP = Ramp(id="r", steps=(0.1, 0.5), phase="ended", rolled_back=True)

    @pytest.mark.parametrize(("less", "more"), [
        ({}, {"fraction": 0.1}),
        ({"fraction": 0.5, "overrides": {"yolo26": 0.0}}, {"fraction": 0.5}),
        ({"fraction": 1.0, "pins": {"gate": "legacy"}}, {"fraction": 1.0}),
        ({"fraction": 0.5}, {"fraction": 0.5, "pins": PIN}),
        ({"pins": PIN, "pins_suspended": True}, {"pins": PIN}),
        ({"pins": PIN, "overrides": {"yolo26": 0.0}, "ramps": {"yolo26": RAMP}}, {"pins": PIN}),
    ])  # fmt: skip
    def test_by_what_a_camera_gets_of_a_detector(self, less: dict[str, Any], more: dict[str, Any]) -> None:
        little, much = RolloutState(**less), RolloutState(**more)
        assert has_more(much, little)
        assert not has_more(little, much)
        assert not has_more(much, much)

    @pytest.mark.parametrize("pins", [{"gate": "triton"}, {"gate": "legacy", "yard": "triton"}])
    def test_a_pin_changes_nothing_for_who_got_all_anyway(self, pins: dict[str, Side]) -> None:
        assert not has_more(RolloutState(fraction=1.0, pins=pins), RolloutState(fraction=1.0))


def test_rollbacks_that_are_owed_to_any_store_are_found_until_each_is_settled(tmp_path: Path) -> None:
    here, before = (Journal(tmp_path / "journal.jsonl", name) for name in ("redis://x", "sqlite:///y"))
    told, untold = (
        Change.made(None, RolloutState(version=1), who="anna", reason="", at=at) for at in (5.0, 3.0)
    )
    here.append(told, owed=True)
    before.append(untold, owed=True)
    assert here.owed_anywhere() == [told, untold]
    here.append(told, settles=told)
    assert here.owed_anywhere() == [untold]
    assert Journal(tmp_path / "none.jsonl", "redis://x").owed_anywhere() == []
