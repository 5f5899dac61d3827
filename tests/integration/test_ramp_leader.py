"""Real processes on one SQLite store: whoever leads is killed, and the ramp goes on where it was."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from backend.ramp.orders import Orders
from backend.rollout.state import RolloutState
from backend.settings import WATCHED, Settings
from tests.ramp_house import Certified
from tests.rollout_house import House

PATIENCE_S = 60.0  # tells a hang from none
LEASE_S = 0.3
STEPS = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
KILLED = 2
ROOT = Path(__file__).parents[2]


class Process:
    def __init__(self, process: asyncio.subprocess.Process, name: str) -> None:
        self._process = process
        self.name = name

    @classmethod
    async def started(cls, house: House, name: str) -> Process:
        environment = {key: value for key, value in os.environ.items() if key not in WATCHED}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.ramp_worker", str(house.var), str(house.env), name, str(LEASE_S),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, cwd=ROOT, env=environment,
        )  # fmt: skip
        started = cls(process, name)
        await started.says("ready")
        return started

    async def says(self, word: str) -> None:
        assert self._process.stdout is not None
        async with asyncio.timeout(PATIENCE_S):
            while word not in json.loads(await self._process.stdout.readline() or '{"gone": 1}'):
                assert self._process.returncode is None, f"{self.name} has ended"

    async def killed(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()


@pytest.fixture
async def workers(house: House) -> AsyncIterator[list[Process]]:
    house.say(0.0)
    started = await asyncio.gather(*(Process.started(house, name) for name in "abc"))
    yield list(started)
    for worker in started:
        await worker.killed()


async def leader_of(workers: list[Process]) -> Process:
    """Whoever says next that it leads."""
    waiting = {asyncio.create_task(worker.says("leads")): worker for worker in workers}
    done, others = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    return waiting[next(iter(done))]


async def test_a_leader_killed_on_the_way_loses_no_step_and_makes_none_twice(
    house: House, workers: list[Process]
) -> None:
    rollout = await house.start("orders")
    orders = Orders(rollout, Settings(_env_file=None), Certified(), ("yolo26",))
    await orders.start("yolo26", who="anna", reason="it is time", steps=STEPS)
    chance = random.Random(1)
    for _ in range(KILLED):
        leader = await leader_of(workers)
        await asyncio.sleep(chance.random() * 0.03)  # somewhere in a look
        await leader.killed()
        workers.remove(leader)
    async with asyncio.timeout(PATIENCE_S):
        while (await rollout.read()).ramps["yolo26"].phase != "watching":
            await asyncio.sleep(0.02)
    changes = [change for change in reversed(await rollout.history()) if change.who == "ramp"]
    assert [fraction(change.state) for change in changes] == [*STEPS[:-1], 0.98, 1.0]
    assert all(change.figures for change in changes)
    tries = [change.state.ramps["yolo26"].tries for change in changes]
    assert tries == list(range(2, 2 + len(changes)))


def fraction(state: RolloutState) -> float:
    return state.fraction_of("yolo26")
