"""Does what a plan of a random run says, to a real house, and keeps what was done, when, and what came of it."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any

import httpx

from tests.chaos.house import MODEL, House
from tests.chaos.random_deeds import Book, Deed
from tests.chaos.random_faults import Act, Words
from tests.chaos.random_moves import MOVES
from tests.fault_proxy import (
    HEALTHY,
    Behaviour,
    Blackhole,
    Corrupt,
    CutMidBody,
    Drip,
    Duplicate,
    Flap,
    HalfClose,
    Jitter,
    Latency,
    Refuse,
    Reset,
    WrongTls,
)

BEHAVIOURS: Mapping[str, Callable[..., Behaviour | Flap]] = {
    "latency": Latency, "jitter": Jitter, "drip": Drip, "blackhole": Blackhole, "reset": Reset, "cut": CutMidBody,
    "half close": HalfClose, "duplicate": Duplicate, "corrupt": Corrupt, "refuse": Refuse, "flap": Flap,
    "wrong tls": WrongTls,
}  # fmt: skip
WORKERS_S = 30.0  # for a killed worker's successor to serve


def do(house: House, act: Act, book: Book) -> None:
    """For as long as the act lasts. What it meets is part of what is told of it."""
    deed = Deed(act.track, act.name, act.words, time.time())
    try:
        with _doing(house, act, deed):
            deed.in_force = time.time()
            time.sleep(act.lasts_s)
            deed.ending = time.time()
    except Exception as error:  # noqa: BLE001 - the run goes on, and the check says what came of it
        deed.outcome["error"] = "".join(traceback.format_exception_only(error)).strip()[-500:]
    deed.ended = time.time()
    book.write(deed)


@contextmanager
def _doing(house: House, act: Act, deed: Deed) -> Iterator[None]:
    """In force within; mended when it has ended."""
    side, _, way = act.name.partition(" way: ")
    if way:
        with _spoilt(house, side, BEHAVIOURS[way](**act.words)):
            yield
        return
    with ACTS[act.name](house, act.words, deed):
        yield


@contextmanager
def _spoilt(house: House, side: str, behaviour: Behaviour | Flap) -> Iterator[None]:
    house.ways[side].behave(behaviour)
    try:
        yield
    finally:
        house.ways[side].behave(HEALTHY)


# --- sides ------------------------------------------------------------------------------------------------


@contextmanager
def _triton_killed(house: House, words: Words, deed: Deed) -> Iterator[None]:
    house.triton.kill()
    try:
        yield
    finally:
        house.triton.start()


@contextmanager
def _triton_restarted(house: House, words: Words, deed: Deed) -> Iterator[None]:
    house.triton.restart()
    yield


@contextmanager
def _stub_killed(house: House, words: Words, deed: Deed) -> Iterator[None]:
    """Triton calls itself ready for ever; only a restart helps."""
    for pid in house.triton.stub_pids():
        os.kill(pid, signal.SIGKILL)
    try:
        yield
    finally:
        house.triton.restart()


@contextmanager
def _stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def _triton_unloaded(house: House, words: Words, deed: Deed) -> Iterator[None]:
    _repository(house, "unload")
    try:
        yield
    finally:
        _repository(house, "load")


def _repository(house: House, order: str) -> None:
    url = f"http://{house.triton.http_url}/v2/repository/models/{MODEL}/{order}"
    answer = httpx.post(url, headers=house.triton.http_admin, timeout=60, trust_env=False)
    assert answer.status_code == 200, answer.text


@contextmanager
def _triton_told(house: House, words: Words, deed: Deed) -> Iterator[None]:
    before = house.triton_orders.read()
    house.triton_orders.give({**before, **words})
    try:
        yield
    finally:
        house.triton_orders.give(before)


@contextmanager
def _legacy_told(house: House, words: Words, deed: Deed) -> Iterator[None]:
    before = house.legacy_orders.read()
    house.legacy_orders.give({**before, **words})
    try:
        yield
    finally:
        house.legacy_orders.give(before)


@contextmanager
def _legacy_killed(house: House, words: Words, deed: Deed) -> Iterator[None]:
    house.legacy.kill()
    try:
        yield
    finally:
        house.legacy.start()


@contextmanager
def _both_refused(house: House, words: Words, deed: Deed) -> Iterator[None]:
    with _spoilt(house, "triton", Refuse()), _spoilt(house, "legacy", Refuse()):
        yield


# --- the house --------------------------------------------------------------------------------------------


@contextmanager
def _worker_killed(house: House, words: Words, deed: Deed) -> Iterator[None]:
    """One of those that serve; it is over when another one serves in its place."""
    workers = sorted(house.backend.workers)
    victim = workers[words["which"] % len(workers)]
    os.kill(victim, signal.SIGKILL)
    deed.outcome["pid"] = victim
    yield
    house.backend.until(
        lambda: len(beating(house) - {victim}) == len(workers), "no worker came in its place", WORKERS_S
    )


def beating(house: House) -> set[int]:
    """The workers that say that they are alive; none where nobody can be asked just now."""
    try:
        answer = house.backend.get("/api/rollout")
    except httpx.HTTPError:
        return set()
    workers = answer.json()["workers"] if answer.status_code == 200 else ()
    return {int(beat["worker"].rsplit("-", 2)[1]) for beat in workers}


@contextmanager
def _store_locked(house: House, words: Words, deed: Deed) -> Iterator[None]:
    with closing(sqlite3.connect(house.backend.var / "crossfade.db", timeout=10, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        yield
        db.execute("ROLLBACK")


ACTS: Mapping[str, Callable[[House, Words, Deed], Any]] = {
    "triton killed": _triton_killed,
    "triton stopped": lambda house, words, deed: _stopped(house.triton.pid),
    "triton stub killed": _stub_killed,
    "triton restarted": _triton_restarted,
    "triton unloaded": _triton_unloaded,
    "triton slow": _triton_told,
    "triton failing": _triton_told,
    "triton lying": _triton_told,
    "legacy slow": _legacy_told,
    "legacy killed": _legacy_killed,
    "legacy stopped": lambda house, words, deed: _stopped(house.legacy.pid),
    "both ways refused": _both_refused,
    "worker killed": _worker_killed,
    "store locked": _store_locked,
    **MOVES,
}
