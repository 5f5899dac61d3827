"""Rows: what the store of the flags can suffer, while requests run, flags are changed and a rollback is asked."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress

from backend.rollout.state import RolloutState
from backend.rollout.store import StoreAway
from backend.rollout.stores.opening import open_store
from tests.chaos.flag_changes import DETECTOR, PINS, Changing, changing, give_back
from tests.chaos.row import Row, Trial, Without
from tests.chaos.store_faults import (
    SLOW_S,
    Fault,
    copy_as_it_began,
    deleted,
    full,
    killed,
    locked,
    partitioned,
    replaced_by_an_old_copy,
    replaced_by_rubbish,
    slow,
    store_url,
)  # fmt: skip
from tests.chaos.striking import share_s

LOCKED_S = 10.0
AWAY_S = 3.0
UNNOTICED = 3  # times what half of the requests took before …
UNNOTICED_S = 0.05  # … and this, on two cores that others use too
FEW = 5  # changes before the fault
OBEYED_S = 0.5  # of requests after a rollback
WELL_S = 1.0  # of requests before it
STALE = "rollout_stale"

RAMPED = frozenset({"flag_changed"})  # of those that are under way when the rollback comes
REMEMBERED = Without("what a worker remembers", patches=("what a worker remembers",), fails="kept")
LAST_GOOD = Without("the last good state", patches=("the last good state",), fails="held")
HERE_ALONE = Without(
    "a rollback without the store", patches=("a rollback without the store",), fails="rolled back"
)
THREAD = Without("a thread for the store", patches=("a thread for the store",), fails="unnoticed")


def suffers(
    fault: Fault,
    lasts_s: float = AWAY_S,
    *,
    away: bool = True,
    forgets: bool = False,
    prepare: Callable[[Trial], None] = lambda _: None,
) -> Callable[[Trial], None]:
    """`away`: the store cannot be used while it lasts, and is said to be; `forgets`: its history is lost."""

    def act(trial: Trial) -> None:
        backend = trial.house.backend
        with changing(backend) as changes:
            prepare(trial)
            _strike(trial, changes)
            with fault(trial):
                trial.lasting(lasts_s)
                changes.end()
                _judge_kept(trial, changes)
                rolled_back_at = _roll_back(trial, away)
                trial.lasting(OBEYED_S)
                _judge_rolled_back(trial, rolled_back_at)
                trial.until_served_by("legacy")
                if away:
                    trial.until(lambda: backend.metric(STALE) == 1, "it is not told that the store is away")
        trial.until(lambda: backend.metric(STALE) == 0, "the store is not used again")
        trial.until(lambda: _hears_of_the_rollback(trial), "the store never hears of the rollback")
        trial.require(_pins_stored(trial) == PINS, "kept", "the pins are not in the store any more")
        if not forgets:
            _judge_history(trial, changes)
        trial.until(lambda: give_back(backend), "the flags cannot be changed again")
        trial.mended()
        trial.until_served_by("triton")

    return act


def _strike(trial: Trial, changes: Changing) -> None:
    """In the middle of a write, and of requests."""
    since = time.time()
    trial.lasting(WELL_S)
    trial.until(lambda: len(changes.acknowledged) >= FEW, "no change is acknowledged")
    trial.note(median_before_ms=round(1000 * share_s(trial.load.since(since), 0.5), 1))
    ends_at = time.monotonic() + trial.patience_s
    while not (changes.under_way and trial.load.under_way):
        assert time.monotonic() < ends_at, "never were a write and a request under way at once"
    trial.note(struck=trial.load.under_way, writes_under_way=1)
    trial.broken()


def _judge_kept(trial: Trial, changes: Changing) -> None:
    """The last good state, in force all the while and with what was acknowledged last; and nobody waited for it."""
    meanwhile = trial.load.since(trial.broke_at)
    elsewhere = [one for one in meanwhile if one.reply.side != "triton"]
    trial.require(
        not elsewhere, "held", f"{len(elsewhere)} of {len(meanwhile)} were not served as the flags say"
    )
    median_ms = 1000 * share_s(meanwhile, 0.5)
    allowed_ms = UNNOTICED * trial.figures["median_before_ms"] + 1000 * UNNOTICED_S
    trial.require(
        median_ms <= allowed_ms, "unnoticed", f"half took {median_ms:.0f} ms, allowed {allowed_ms:.0f} ms"
    )
    flags = trial.house.backend.get("/api/rollout").json()
    trial.require(flags.get("pins") == PINS, "kept", f"{flags.get('pins')} in the place of the pins")
    found = flags.get("overrides", {}).get(DETECTOR)
    trial.require(
        found in changes.possible, "kept", f"{found} is in force, {sorted(changes.possible)[:3]} should be"
    )
    trial.note(
        median_meanwhile_ms=round(median_ms, 1),
        changes=len(changes.made),
        acknowledged=len(changes.acknowledged),
    )


def _roll_back(trial: Trial, away: bool) -> float:
    """When it was answered: acknowledged, or with the names of those pending, or that it holds here alone."""
    began = time.monotonic()
    answer = trial.house.backend.rollback()
    trial.note(rollback=answer.status_code, rollback_s=round(time.monotonic() - began, 2))
    said = answer.json()
    honest = {
        200: said.get("pending") == [] and not away,
        202: bool(said.get("pending")),
        503: said.get("rolled_back_here") is True and away,
    }
    trial.require(
        honest.get(answer.status_code, False), "honest", f"{answer.status_code}: {answer.text[:300]}"
    )
    return time.time()


def _judge_rolled_back(trial: Trial, since: float) -> None:
    late = [one for one in trial.load.since(since) if one.reply.side == "triton"]
    trial.require(not late, "rolled back", f"{len(late)} were served by Triton after the answer")


def _judge_history(trial: Trial, changes: Changing) -> None:
    """A store that was not lost holds each change that was acknowledged, in its order."""
    with closing(open_store(store_url(trial))) as store:
        stored = {change.version: change.state.overrides.get(DETECTOR) for change in store.history(10_000)}
    lost = [one for one in changes.acknowledged if stored.get(one.version) != one.value]
    trial.require(not lost, "kept", f"{len(lost)} acknowledged changes are not in the history: {lost[:2]}")


def _stored(trial: Trial) -> RolloutState | None:
    """None where there is nothing, or nobody answers."""
    with suppress(StoreAway), closing(open_store(store_url(trial))) as store:
        change = store.read().change
        return change.state if change else None
    return None


def _pins_stored(trial: Trial) -> dict[str, str]:
    stored = _stored(trial)
    return dict(stored.pins) if stored else {}


def _hears_of_the_rollback(trial: Trial) -> bool:
    stored = _stored(trial)
    return stored is not None and stored.fraction == 0


SQLITE = (
    Row(
        "SQLite deleted while it is written", "stores", "the last good state holds, and fills the next file",
        suffers(deleted, away=False, forgets=True), REMEMBERED, RAMPED, quick=True,
    ),
    Row(
        "SQLite replaced by an old copy", "stores", "what was acknowledged since is not taken back",
        suffers(replaced_by_an_old_copy, away=False, forgets=True, prepare=copy_as_it_began), REMEMBERED, RAMPED,
    ),
    Row(
        "SQLite replaced by what is no database", "stores", "the last good state holds",
        suffers(replaced_by_rubbish, forgets=True), LAST_GOOD, RAMPED,
    ),
    Row(
        "nothing can be written: the disk is full", "stores", "a rollback is obeyed, and told to the store later",
        suffers(full), HERE_ALONE, RAMPED, quick=True,
    ),
    Row(
        f"SQLite locked by another process for {LOCKED_S:g} s", "stores", "nobody waits for it",
        suffers(locked, LOCKED_S), THREAD, RAMPED,
    ),
)  # fmt: skip
REDIS = (
    Row(
        "Redis killed, back without its memory", "stores", "the last good state holds, and fills it again",
        suffers(killed, forgets=True), REMEMBERED, RAMPED, redis=True,
    ),
    Row(
        "Redis cut off", "stores", "the last good state holds; a rollback is obeyed here, and told to it later",
        suffers(partitioned), LAST_GOOD, RAMPED, redis=True,
    ),
    Row(
        f"Redis answers {SLOW_S * 1000:g} ms late", "stores", "nobody waits for it",
        suffers(slow, away=False), THREAD, RAMPED, redis=True,
    ),
)  # fmt: skip


def _possible() -> tuple[Row, ...]:
    if shutil.which("redis-server"):
        return SQLITE + REDIS
    print(
        f"{len(REDIS)} rows are left out: there is no redis-server (apt-get install redis-server)",
        file=sys.stderr,
    )
    return SQLITE


ROWS: tuple[Row, ...] = _possible()
