"""Does what a plan of a random run says, to a real house, and keeps what was done, when, and what came of it."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.chaos.house import MODEL, House
from tests.chaos.random_faults import Act, Words
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


@dataclass
class Deed:
    """An act as it was done (unix time): begun, in force, its end begun, and over."""

    track: str
    name: str
    words: Words
    began: float
    in_force: float = 0.0
    ending: float = 0.0
    ended: float = 0.0
    outcome: dict[str, Any] = field(default_factory=dict)


class Book:
    """The deeds, in a file: one line each, when it is over."""

    def __init__(self, file: Path) -> None:
        self._file = file.open("w")
        self._lock = threading.Lock()

    def write(self, deed: Deed) -> None:
        with self._lock:
            self._file.write(json.dumps(asdict(deed)) + "\n")
            self._file.flush()

    def close(self) -> None:
        self._file.close()


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
    with _ACTS[act.name](house, act.words, deed):
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


# --- flags ------------------------------------------------------------------------------------------------


@contextmanager
def _set(house: House, words: Words, deed: Deed) -> Iterator[None]:
    deed.outcome |= _asked(house, "PUT", "/api/rollout", {**words, "reason": "the plan says so"})
    yield


@contextmanager
def _disabled(house: House, words: Words, deed: Deed) -> Iterator[None]:
    deed.outcome |= _asked(house, "PUT", "/api/rollout", {"enabled": False, "reason": "the plan says so"})
    try:
        yield
    finally:
        again = {"enabled": True, "reason": "the plan says so"}
        deed.outcome["again"] = _until_done(lambda: _asked(house, "PUT", "/api/rollout", again))


@contextmanager
def _kill_switch(house: House, words: Words, deed: Deed) -> Iterator[None]:
    house.backend.say(TRITON_ENABLED="false")
    try:
        yield
    finally:
        house.backend.say(TRITON_ENABLED="true")


@contextmanager
def _rollback(house: House, words: Words, deed: Deed) -> Iterator[None]:
    """Asked for again until it is acknowledged: every live worker has confirmed it."""
    reason = {"reason": "the plan says so"}
    deed.outcome |= _until_done(lambda: _asked(house, "POST", "/api/rollout/rollback", reason))
    yield


@contextmanager
def _ramp(house: House, words: Words, deed: Deed) -> Iterator[None]:
    """Refused where there is none, or one already."""
    order = {"action": deed.name.removeprefix("ramp "), "detector": "yolo26", "reason": "the plan says so"}
    more = {**words, "force": True} if words else {}
    deed.outcome |= _asked(house, "POST", "/api/rollout/ramp", {**order, **more})
    yield


def _until_done(ask: Callable[[], dict[str, Any]], patience_s: float = 30.0) -> dict[str, Any]:
    """Workers die and the store is locked: whoever asks, asks again."""
    ends_at = time.monotonic() + patience_s
    while (outcome := ask())["status"] != 200 and time.monotonic() < ends_at:
        time.sleep(0.1)
    return outcome


def _asked(house: House, method: str, path: str, body: Words) -> dict[str, Any]:
    """What came of it, and when it was said; status 0 where nobody said anything."""
    headers = house.backend.admin | {"If-Match": "*"}
    asked = time.time()
    try:
        answer = httpx.request(
            method, house.backend.url + path, json=body, headers=headers, timeout=30, trust_env=False
        )
    except httpx.HTTPError as error:
        return {"status": 0, "error": repr(error), "asked": asked, "answered": time.time()}
    version = int(answer.headers["etag"].strip('"v')) if answer.status_code in (200, 202) else None
    told = {} if version is not None else {"error": answer.text[:300]}
    return {"status": answer.status_code, "version": version, "asked": asked, "answered": time.time(), **told}


_ACTS: Mapping[str, Callable[[House, Words, Deed], Any]] = {
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
    "set fraction": _set,
    "set override": _set,
    "set pins": _set,
    "set shadow": _set,
    "disabled": _disabled,
    "kill switch": _kill_switch,
    "rollback": _rollback,
    "ramp start": _ramp,
    "ramp pause": _ramp,
    "ramp resume": _ramp,
    "ramp abort": _ramp,
}
