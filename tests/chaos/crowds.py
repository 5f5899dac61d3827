"""Callers by the hundred, bounded in number and in time: those who ask without a pause, and those who hang up."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from random import Random

from tests.callers import Caller, Reply
from tests.chaos.load import SCENES, scenes

CALLERS = 16
BEGINNING_S = 0.5  # of a closed loop, which is not measured
PATIENCE_S = 20.0


def answers_per_s(url: str, for_s: float, callers: int = CALLERS, query: str = "") -> float:
    """What a closed loop gets answered with 200: the capacity, as far as so many callers can use it."""
    replies = asyncio.run(asking_without_a_pause(url, BEGINNING_S + for_s, callers, query))
    begins_at = min(reply.began for reply in replies) + BEGINNING_S
    good = sum(1 for reply in replies if reply.status == 200 and begins_at <= reply.ended < begins_at + for_s)
    return good / for_s


async def asking_without_a_pause(url: str, for_s: float, callers: int, query: str = "") -> list[Reply]:
    ends_at, replies = time.monotonic() + for_s, list[Reply]()

    async def call(number: int) -> None:
        caller = Caller(url, f"/api/detect?{query}", scenes()[number % SCENES].jpeg)
        while time.monotonic() < ends_at:
            replies.append(await caller.ask(PATIENCE_S))
        caller.hang_up()

    await asyncio.gather(*(call(number) for number in range(callers)))
    return replies


async def arriving(per_s: float, for_s: float, arrive: Callable[[int], asyncio.Task[Reply]]) -> list[Reply]:
    """One after the other at this rate, whatever becomes of those before."""
    began, coming = time.monotonic(), list[asyncio.Task[Reply]]()
    for number in range(int(per_s * for_s)):
        await asyncio.sleep(max(0.0, began + number / per_s - time.monotonic()))
        coming.append(arrive(number))
    return await asyncio.gather(*coming)


def hanging_up(
    url: str, per_s: float, for_s: float, patience_s: tuple[float, float], random: Random, query: str = ""
) -> Counter[int]:
    """Each sends a whole request and goes after its patience; by status, 0 for those who went without an answer."""

    async def ask_and_go(number: int) -> Reply:
        caller = Caller(url, f"/api/detect?{query}", scenes()[number % SCENES].jpeg)
        try:
            return await caller.ask(random.uniform(*patience_s))
        finally:
            caller.hang_up()

    replies = asyncio.run(arriving(per_s, for_s, lambda number: asyncio.create_task(ask_and_go(number))))
    return Counter(reply.status for reply in replies)
