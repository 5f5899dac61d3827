"""Callers by the hundred, bounded in number and in time: those who ask without a pause, and those who hang up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from random import Random

from tests.callers import Caller
from tests.chaos.load import SCENES, Asked, scenes

CALLERS = 16
BEGINNING_S = 0.5  # of a closed loop, which is not measured
PATIENCE_S = 20.0
MOST_STORMING = 3_000


def answers_per_s(url: str, for_s: float, callers: int = CALLERS) -> float:
    """What a closed loop gets answered with 200: the capacity, as far as so many callers can use it."""
    return rate(asking_without_a_pause(url, BEGINNING_S + for_s, callers))


def rate(asked: Sequence[Asked]) -> float:
    """Of good answers, after the beginning and before the first of the callers has left."""
    begins_at = min(one.reply.began for one in asked) + BEGINNING_S
    ends_at = max(one.reply.began for one in asked)
    good = sum(1 for one in asked if one.reply.status == 200 and begins_at <= one.reply.ended < ends_at)
    return good / (ends_at - begins_at)


def asking_without_a_pause(url: str, for_s: float, callers: int) -> list[Asked]:
    async def ask_all() -> list[Asked]:
        ends_at, asked = time.monotonic() + for_s, list[Asked]()

        async def call(number: int) -> None:
            scene = number % SCENES
            caller = Caller(url, image=scenes()[scene].jpeg)
            while time.monotonic() < ends_at:
                reply = await caller.ask(PATIENCE_S)
                asked.append(Asked(number, scene, reply.began, reply))
            caller.hang_up()

        await asyncio.gather(*(call(number) for number in range(callers)))
        return asked

    scenes()
    return asyncio.run(ask_all())


def hanging_up(
    url: str, per_s: float, for_s: float, patience_s: tuple[float, float], random: Random
) -> list[Asked]:
    """They come at this rate, each sends a whole request on a connection of its own, and goes after its patience."""
    if per_s * for_s > MOST_STORMING:
        raise ValueError(f"{per_s:g}/s for {for_s:g} s is no storm, it is an attack")

    async def ask_and_go(number: int) -> Asked:
        scene = number % SCENES
        caller = Caller(url, image=scenes()[scene].jpeg)
        reply = await caller.ask(random.uniform(*patience_s))
        caller.hang_up()
        return Asked(number, scene, reply.began, reply)

    async def come() -> list[Asked]:
        began, coming = time.monotonic(), list[asyncio.Task[Asked]]()
        for number in range(int(per_s * for_s)):
            await asyncio.sleep(max(0.0, began + number / per_s - time.monotonic()))
            coming.append(asyncio.create_task(ask_and_go(number)))
        return await asyncio.gather(*coming)

    scenes()
    return asyncio.run(come())
