"""The short faults of the soak: each is broken, seen, mended, and over when Triton serves again.

One side survives each of them, so nobody may pay for any.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from random import Random
from typing import Any

import httpx

from tests import pictures
from tests.chaos import crowds
from tests.chaos.house import QUICK, House
from tests.chaos.lies import KINDS
from tests.chaos.load import Load
from tests.fault_proxy import HEALTHY, Behaviour, Blackhole, Latency, Reset

SHORT_S = 2.0
PATIENCE_S = 60.0
SHADOW = 0.1


@dataclass
class Ground:
    """What a fault may touch."""

    house: House
    load: Load
    random: Random

    def until_served_by(self, side: str) -> None:
        self.load.until(
            lambda latest: all(one.reply.side == side and not one.reply.fallback_reason for one in latest),
            f"{side} does not serve", patience_s=PATIENCE_S,
        )  # fmt: skip

    def until_legacy_helps(self) -> None:
        self.load.until(
            lambda latest: all(one.reply.side == "legacy" and one.reply.fallback_reason for one in latest),
            "legacy does not take over", patience_s=PATIENCE_S,
        )  # fmt: skip


Fault = Callable[[Ground], None]


def triton_is_killed(ground: Ground) -> None:
    ground.house.triton.kill()
    ground.until_legacy_helps()
    ground.house.triton.start()


def its_stub_dies(ground: Ground) -> None:
    """Triton calls itself ready meanwhile; a restart is what helps."""
    ground.house.triton_orders.give({"exit": True})
    ground.until_legacy_helps()
    ground.house.triton_orders.give(QUICK)
    ground.house.triton.kill()
    ground.house.triton.start()


def triton_stands_still(ground: Ground) -> None:
    os.kill(ground.house.triton.pid, signal.SIGSTOP)
    try:
        ground.until_legacy_helps()
        time.sleep(SHORT_S)
    finally:
        os.kill(ground.house.triton.pid, signal.SIGCONT)


def on_the_way(side: str, behaviour: Behaviour) -> Fault:
    def act(ground: Ground) -> None:
        ground.house.ways[side].behave(behaviour)
        if side == "triton":
            ground.until_legacy_helps()
        time.sleep(SHORT_S)
        ground.house.ways[side].behave(HEALTHY)

    return act


def triton_is_far_away(ground: Ground) -> None:
    ground.house.ways["triton"].behave(Latency(0.1))
    time.sleep(SHORT_S)
    ground.house.ways["triton"].behave(HEALTHY)


def legacy_is_killed(ground: Ground) -> None:
    ground.house.legacy.kill()
    time.sleep(SHORT_S)
    ground.house.legacy.stop()
    ground.house.legacy.start()


def triton_lies(ground: Ground) -> None:
    lies = sorted(name for kind in KINDS.values() for name in kind)
    ground.house.triton_orders.give({**QUICK, "lie": ground.random.choice(lies)})
    ground.until_legacy_helps()
    ground.house.triton_orders.give(QUICK)


def some_of_it_fails(ground: Ground) -> None:
    share = ground.random.choice((0.05, 0.1, 0.2, 0.5))
    ground.house.triton_orders.give({**QUICK, "error": "INTERNAL", "share": share})
    time.sleep(2 * SHORT_S)
    ground.house.triton_orders.give(QUICK)


def flags_are_moved(ground: Ground) -> None:
    for fraction, shadow in ((0.5, 0.3), (0.25, 0.0), (0.9, SHADOW)):
        ground.house.backend.set(fraction=fraction, shadow=shadow)
        time.sleep(SHORT_S / 3)
    ground.house.backend.set(fraction=1.0, shadow=SHADOW)


def comparisons_differ(ground: Ground) -> None:
    """Legacy serves; what Triton sees is kept as pictures."""
    ground.house.backend.set(fraction=0.0, shadow=1.0)
    ground.until_served_by("legacy")
    ground.house.triton_orders.give({**QUICK, "lie": "a box moved"})
    time.sleep(SHORT_S)
    ground.house.triton_orders.give(QUICK)
    ground.house.backend.set(fraction=1.0, shadow=SHADOW)


def a_rollback_and_back(ground: Ground) -> None:
    answer = ground.house.backend.rollback()
    assert answer.status_code in {200, 202}, answer.text
    ground.until_served_by("legacy")
    ground.house.backend.set(fraction=1.0, shadow=SHADOW)


def the_store_is_locked(ground: Ground) -> None:
    with closing(sqlite3.connect(ground.house.backend.var / "crossfade.db", timeout=10)) as store:
        store.execute("BEGIN IMMEDIATE")
        time.sleep(SHORT_S)
        store.rollback()


def callers_hang_up(ground: Ground) -> None:
    """A quarter as many again as there are, so that the others still fit."""
    crowds.hanging_up(
        ground.house.backend.url, 0.25 * ground.load.per_s, 2 * SHORT_S, (0.005, 0.1), ground.random
    )


def bad_pictures_come(ground: Ground) -> None:
    with httpx.Client(base_url=ground.house.backend.url, timeout=20, trust_env=False) as client:
        for name, body in bad_pictures():
            answer = client.post("/api/detect", content=body, headers={"Content-Type": "image/jpeg"})
            assert 400 <= answer.status_code < 500, f"{name}: {answer.status_code} {answer.text[:200]}"
            time.sleep(0.05)


def bad_pictures() -> Iterator[tuple[str, bytes]]:
    whole = pictures.jpeg()
    yield "empty", b""
    yield "zeros", bytes(4096)
    yield "half a JPEG", whole[: len(whole) // 2]
    yield "half a PNG", pictures.png()[:-200]
    yield "too many pixels", pictures.jpeg_saying(60_000, 60_000)
    yield "a bomb", pictures.png_bomb()
    yield from pictures.foreign().items()
    yield "11 MiB", whole + bytes(11 * 2**20)


FAULTS: dict[str, Fault] = {
    "Triton is killed": triton_is_killed,
    "its stub dies": its_stub_dies,
    "Triton stands still": triton_stands_still,
    "connections to Triton are reset": on_the_way("triton", Reset()),
    "answers of Triton are cut off": on_the_way("triton", Reset(after_bytes=40)),
    "the way to Triton is a black hole": on_the_way("triton", Blackhole()),
    "Triton takes 1.5 s": on_the_way("triton", Latency(1.5)),
    "Triton is 100 ms away": triton_is_far_away,
    "legacy is killed": legacy_is_killed,
    "the way to legacy is a black hole": on_the_way("legacy", Blackhole()),
    "Triton lies": triton_lies,
    "Triton fails now and then": some_of_it_fails,
    "flags are moved": flags_are_moved,
    "comparisons differ": comparisons_differ,
    "a rollback and back": a_rollback_and_back,
    "the store is locked": the_store_is_locked,
    "callers hang up": callers_hang_up,
    "bad pictures come": bad_pictures_come,
}


@dataclass(frozen=True)
class Suffered:
    """One fault that was had: when, for how long, and what did not come back."""

    name: str
    at_s: float  # since the soak began
    took_s: float
    wrong: str = ""

    def to_table(self) -> dict[str, Any]:
        return {
            "fault": self.name,
            "at_s": round(self.at_s, 1),
            "took_s": round(self.took_s, 1),
            "wrong": self.wrong,
        }


def drawn(random: Random) -> Iterator[str]:
    """Every fault once in a round, each round in an order of its own."""
    while True:
        names = list(FAULTS)
        random.shuffle(names)
        yield from names


def suffer(name: str, ground: Ground, began: float) -> Suffered:
    started = time.monotonic()
    wrong = ""
    try:
        FAULTS[name](ground)
        ground.until_served_by("triton")
    except Exception as error:  # noqa: BLE001 - whatever it is, the soak goes on and tells
        wrong = repr(error)[:600]
        _stand_up_again(ground.house)
    return Suffered(name, started - began, time.monotonic() - started, wrong)


def _stand_up_again(house: House) -> None:
    """What a fault broke and did not mend: else every one after it would be blamed."""
    with suppress(Exception):
        house.heal()
        house.triton.restart()
        house.legacy.stop()
        house.legacy.start()
        house.backend.set(fraction=1.0, shadow=SHADOW)
