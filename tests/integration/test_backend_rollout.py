"""The flags on the real stack: two workers of a real backend, a real Triton that counts who asks it, and legacy."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from tests.backends import Backend, quick_model, running_backend
from tests.callers import NO_ANSWER, ask_anew, ask_often, counted, load
from tests.services import Service
from tests.tritons import RunningTriton, running_triton

MODEL = "yolo26_jpeg"
REQUESTS = 500
SIGMAS = 5  # of the binomial: a right share is outside once in two million times
MOST_PROBES = 6  # of both workers while so many requests are made
PROMISE_S = 1.0
TRIES = 3
WORKERS = 2


@pytest.fixture(scope="module")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningTriton]:
    repository = tmp_path_factory.mktemp("models")
    quick_model(repository, MODEL)
    with running_triton(repository) as server:
        yield server
        server.kill()


@pytest.fixture(scope="module")
def backend(triton: RunningTriton, legacy: Service) -> Iterator[Backend]:
    said = "TRITON_ENABLED=true\nTRITON_TRAFFIC_FRACTION=0.25\n"
    with running_backend(legacy=legacy, triton=triton, workers=WORKERS, env_file=said) as backend:
        backend.until(lambda: workers_alive(backend) == WORKERS, "there never were two workers")
        yield backend


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.5, 1.0])
async def test_a_fraction_hits_the_right_side(
    fraction: float, triton: RunningTriton, backend: Backend
) -> None:
    obeyed_after_s(backend, lambda: backend.set(fraction=fraction), effective=fraction)
    await nothing_under_way(backend)
    asked = triton.asked_of(MODEL)
    replies = await ask_often(backend.url, REQUESTS)
    assert {reply.status for reply in replies} == {200}, counted(replies)
    assert not any(reply.fallback_reason for reply in replies), counted(replies)
    by_triton = sum(reply.side == "triton" for reply in replies)
    print(f"{by_triton} of {REQUESTS} by Triton at {fraction}")
    assert abs(by_triton - REQUESTS * fraction) <= SIGMAS * math.sqrt(REQUESTS * fraction * (1 - fraction))
    probes = triton.asked_of(MODEL) - asked - by_triton
    assert 0 <= probes <= (MOST_PROBES if fraction else 0)


async def test_both_workers_obey_a_change_within_a_second(backend: Backend) -> None:
    """Of three tries the best: others use these cores too."""
    slowest_s: list[float] = []
    while not slowest_s or (min(slowest_s) >= PROMISE_S and len(slowest_s) < TRIES):
        slowest_s.append(max(await took_to_obey_s(backend)))
    print("the slowest change was obeyed by both after", ", ".join(f"{one:.2f} s" for one in slowest_s))
    assert min(slowest_s) < PROMISE_S, backend.log_text()[-8000:]


async def took_to_obey_s(backend: Backend) -> list[float]:
    def says(fraction: float, enabled: str = "true") -> Callable[[], None]:
        return lambda: backend.say(TRITON_ENABLED=enabled, TRITON_TRAFFIC_FRACTION=fraction)

    took_s = [
        obeyed_after_s(backend, lambda: backend.set(fraction=0.75), effective=0.75),
        obeyed_after_s(backend, says(0.0), effective=0.0),
        obeyed_after_s(backend, says(1.0), effective=1.0),
    ]
    assert await served_on_fresh_connections(backend) == {("triton", "FRACTION", None): 40}
    took_s.append(obeyed_after_s(backend, says(1.0, "false"), effective=0.0))
    assert await served_on_fresh_connections(backend) == {("legacy", "KILL_SWITCH", None): 40}
    took_s.append(obeyed_after_s(backend, says(1.0), effective=1.0))
    assert await served_on_fresh_connections(backend) == {("triton", "FRACTION", None): 40}
    return took_s


def obeyed_after_s(backend: Backend, change: Callable[[], object], *, effective: float) -> float:
    """How long the slower worker took; each says in the log what it obeys from then on."""
    since = time.time()
    change()

    def obeying() -> dict[int, float]:
        return {
            line["pid"]: line["at"] for line in reversed(backend.lines("flags"))
            if line["at"] >= since and line["effective"]["yolo26"] == effective
        }  # fmt: skip

    backend.until(lambda: len(obeying()) >= WORKERS, f"{effective} was never obeyed by both")
    return max(obeying().values()) - since


async def served_on_fresh_connections(backend: Backend) -> dict[tuple[str | None, str, str | None], int]:
    replies = await ask_anew(backend.url, 40)
    return Counter(
        (reply.side, reply.document["served_by"]["reason"], reply.fallback_reason) for reply in replies
    )


# --- a rollback, and whatever comes after it --------------------------------------------------------------

TRIALS = 2
EVERYTHING_TO_TRITON = {"TRITON_ENABLED": "true", "TRITON_TRAFFIC_FRACTION": "1"}
GONE_FOR_A_MOMENT = {NO_ANSWER, 503}  # while the backend restarts


async def test_after_a_confirmed_rollback_nothing_starts_an_attempt_on_triton(
    triton: RunningTriton, backend: Backend
) -> None:
    """.env says 100 % all the while."""
    dice = random.Random(20260101)
    obeyed_after_s(
        backend, lambda: backend.say(TRITON_ENABLED="true", TRITON_TRAFFIC_FRACTION=0.5), effective=0.5
    )
    obeyed_after_s(backend, lambda: backend.say(**EVERYTHING_TO_TRITON), effective=1.0)
    for number in range(TRIALS):
        what = dice.sample(["delete the store", "kill switch", "restart"], 2) if number else ["restart"]
        await trial(backend, triton, what, dice)


async def trial(backend: Backend, triton: RunningTriton, what: list[str], dice: random.Random) -> None:
    everything = {"fraction": 1.0, "overrides": {"yolo26": 1.0}, "pins": {"cam-1": "triton"}}
    await asyncio.to_thread(backend.set, **everything, pins_suspended=False, enabled=True)
    async with load(backend.url, callers=4) as callers:
        await callers.until_served_by("triton")
        confirmed_at = await confirmed_rollback(backend)
        await nothing_under_way(backend)
        asked = triton.asked_of(MODEL)
        for one in what:
            await happens(backend, one, dice)
        await callers.until_served_by("legacy")
    since = [reply for reply in callers.replies if reply.began > confirmed_at]
    assert {reply.side for reply in since if reply.status == 200} == {"legacy"}, (what, counted(since))
    assert all(reply.attempts == {"legacy": 1} for reply in since if reply.status == 200), what
    assert {reply.status for reply in since} <= {200, *(GONE_FOR_A_MOMENT if "restart" in what else ())}
    assert triton.asked_of(MODEL) == asked, what


async def confirmed_rollback(backend: Backend) -> float:
    """Of both workers; a machine that is too busy for it in a second says 202, and is told again."""
    for _ in range(10):
        answer = await asyncio.to_thread(backend.rollback)
        if answer.status_code == 200:
            assert answer.json()["pending"] == []
            return time.time()
        assert answer.status_code == 202, answer.text
    raise AssertionError("no rollback was ever confirmed")


async def happens(backend: Backend, what: str, dice: random.Random) -> None:
    if what == "restart":
        await asyncio.to_thread(backend.restart)
    elif what == "delete the store":
        for file in backend.var.glob("crossfade.db*"):
            file.unlink(missing_ok=True)
        await asyncio.sleep(dice.random() / 2)
    else:
        backend.say(**EVERYTHING_TO_TRITON | {"TRITON_ENABLED": "false"})
        await asyncio.sleep(dice.random())
        backend.say(**EVERYTHING_TO_TRITON)
        await asyncio.sleep(dice.random())


async def nothing_under_way(backend: Backend) -> None:
    """On Triton: what a worker began before it obeyed has ended."""
    line = 'detector_inflight{backend="triton"}'
    await asyncio.to_thread(backend.until, lambda: backend.metric(line) == 0, "an attempt never ended")


def workers_alive(backend: Backend) -> int:
    return len(backend.get("/api/rollout").json()["workers"])
