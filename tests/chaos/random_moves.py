"""Moves of the flags in a random run, as a person or a script makes them: the API, and .env."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from tests.chaos.house import House
from tests.chaos.random_deeds import Deed
from tests.chaos.random_faults import Words


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


MOVES: Mapping[str, Callable[[House, Words, Deed], Any]] = {
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
