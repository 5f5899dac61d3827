"""Real processes that share the flags, as `uvicorn --workers N` makes them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from backend.rollout.control import Rollout, StoreAway
from backend.settings import WATCHED
from tests.redis_server import needs_redis, running_redis
from tests.rollout_house import House, until

PROMISE_S = 1.0
PATIENCE_S = 30.0  # tells a hang from none
HEARTBEAT_S = 0.3
ROOT = Path(__file__).parents[2]

Line = dict[str, Any]


class Process:
    """A worker's process, and all it has said."""

    def __init__(self, process: asyncio.subprocess.Process, name: str) -> None:
        self._process = process
        self.name = name
        self.lines: list[Line] = []
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def started(cls, house: House, name: str) -> Process:
        environment = {key: value for key, value in os.environ.items() if key not in WATCHED}
        environment["ROLLOUT_STORE"] = house.store_url
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.rollout_worker", str(house.var), str(house.env), name, str(HEARTBEAT_S),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, cwd=ROOT, env=environment,
        )  # fmt: skip
        worker = cls(process, name)
        await worker.says(lambda line: "version" in line)
        return worker

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.lines.append(json.loads(line))

    async def says(self, wanted: Callable[[Line], bool], since: int = 0) -> Line:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for line in self.lines[since:]:
                    if wanted(line):
                        return line
                await asyncio.sleep(0.005)

    async def told(self, word: str, value: object = "") -> Line:
        assert self._process.stdin is not None
        since = len(self.lines)
        self._process.stdin.write(f"{word} {value}\n".encode())
        return await self.says(lambda line: line.get("done") == word, since)

    def signal(self, which: signal.Signals) -> None:
        self._process.send_signal(which)

    async def rolled_back(self) -> Line:
        """A busy machine may hold the store's lock for a moment."""
        while "away" in (done := await self.told("rollback")):
            pass
        return done

    async def killed(self) -> None:
        self._process.kill()
        await self._process.wait()
        await self._reading

    async def ended(self) -> None:
        if self._process.returncode is None:
            assert self._process.stdin is not None
            with contextlib.suppress(ConnectionError):
                self._process.stdin.close()
            try:
                await asyncio.wait_for(self._process.wait(), PATIENCE_S)
            except TimeoutError:
                self._process.kill()
        await self._reading


pytestmark = [pytest.mark.beside, pytest.mark.usefixtures("nothing_said_of_flags")]


@pytest.fixture
async def pair(house: House) -> AsyncIterator[tuple[Process, Process]]:
    async with contextlib.AsyncExitStack() as stack:
        workers = await asyncio.gather(*(Process.started(house, name) for name in "ab"))
        for worker in workers:
            stack.push_async_callback(worker.ended)
        yield workers[0], workers[1]


async def obeyed_after_s(pair: tuple[Process, Process], since: float, **what: Any) -> float:
    """How long the slower one took until it obeyed this."""

    def is_it(line: Line) -> bool:
        return line["at"] >= since and "version" in line and what.items() <= line.items()

    return max([(await worker.says(is_it))["at"] - since for worker in pair])


async def both_attempt(pair: tuple[Process, Process], since: float) -> None:
    """They obey, and have asked Triton: only then is there something that a rollback ends."""
    await obeyed_after_s(pair, since, fraction=1.0)
    async with asyncio.timeout(PATIENCE_S):
        for worker in pair:
            while (await worker.told("attempts"))["last_at"] < since:
                await asyncio.sleep(0.005)


async def test_both_obey_a_change_of_the_store_and_of_env_within_a_second(
    house: House, pair: tuple[Process, Process]
) -> None:
    since = time.time()
    await pair[0].told("set", 0.5)
    assert await obeyed_after_s(pair, since, fraction=0.5) < PROMISE_S
    since = time.time()
    house.say(0.2)
    assert await obeyed_after_s(pair, since, fraction=0.2) < PROMISE_S
    for enabled in ("false", "true"):
        since = time.time()
        house.say(0.2, enabled)
        assert await obeyed_after_s(pair, since, on=enabled == "true") < PROMISE_S
    assert house.who() == ["environment", "test", "environment"]


async def test_once_both_have_confirmed_a_rollback_no_attempt_starts(
    house: House, pair: tuple[Process, Process]
) -> None:
    for by, other in (pair, pair[::-1]):
        since = time.time()
        await by.told("set", 1.0)
        await both_attempt(pair, since)
        done = await other.rolled_back()
        assert done["pending"] == []
        before = [await worker.told("attempts") for worker in pair]
        house.db.unlink()
        await until(lambda: house.db.exists() and house.who() == ["test"])
        after = [await worker.told("attempts") for worker in pair]
        assert all(line["attempts"] > 0 for line in before)  # else nothing is shown here
        assert [line["attempts"] for line in after] == [line["attempts"] for line in before]
        assert max(line["last_at"] for line in after) <= done["at"]


async def test_a_killed_worker_holds_a_rollback_up_no_longer_than_its_heartbeat_lives(
    house: House, pair: tuple[Process, Process]
) -> None:
    alive, dead = pair
    await alive.told("set", 1.0)
    killed_at = time.time()
    await dead.killed()
    while (done := await alive.rolled_back())["pending"]:
        assert dead.name in done["pending"]
        assert done["at"] - killed_at < 3 * HEARTBEAT_S + 2 * PROMISE_S  # its life, and one wait in vain
    again = await Process.started(house, "again")
    assert again.lines[0]["fraction"] == 0.0
    await again.ended()


@needs_redis
async def test_so_do_processes_that_share_a_redis_whatever_becomes_of_it(
    house: House, tmp_path: Path
) -> None:
    with running_redis(tmp_path / "redis") as server:
        house.store_url = server.url
        async with contextlib.AsyncExitStack() as stack:
            workers = await asyncio.gather(*(Process.started(house, name) for name in "ab"))
            for worker in workers:
                stack.push_async_callback(worker.ended)
            pair = workers[0], workers[1]
            since = time.time()
            await pair[0].told("set", 1.0)
            await both_attempt(pair, since)
            done = await pair[1].rolled_back()
            assert done["pending"] == []
            server.client().flushall()
            await until(lambda: house.who() == ["test"])
            server.kill()
            server.start()
            await until(lambda: house.who() == ["test"])
            after = [await worker.told("attempts") for worker in pair]
            assert all(0 < line["last_at"] <= done["at"] for line in after)


async def stopped_between_writes(worker: Process, db: Path) -> None:
    """In the midst of one it would hold the store's lock, and the store would be away instead."""
    while True:
        worker.signal(signal.SIGSTOP)
        with contextlib.closing(sqlite3.connect(db, timeout=0.05, isolation_level=None)) as store:
            try:
                store.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError:
                worker.signal(signal.SIGCONT)
        await asyncio.sleep(0.05)


async def test_a_worker_that_stood_still_while_a_rollback_was_confirmed_attempts_nothing_when_it_goes_on(
    house: House, pair: tuple[Process, Process]
) -> None:
    alive, still = pair
    since = time.time()
    await alive.told("set", 1.0)
    await both_attempt(pair, since)
    await stopped_between_writes(still, house.db)
    try:
        since = time.time()
        while (done := await alive.rolled_back())["pending"]:  # until it is given up
            assert still.name in done["pending"]
    finally:
        still.signal(signal.SIGCONT)
    await obeyed_after_s(pair, since, fraction=0.0)
    attempts = [await worker.told("attempts") for worker in pair]
    assert all(line["attempts"] > 0 and line["last_at"] <= done["at"] for line in attempts)


@pytest.mark.parametrize("seed", range(3))
async def test_after_a_rollback_nothing_leads_processes_back_to_triton(house: House, seed: int) -> None:
    dice = random.Random(seed)
    async with contextlib.AsyncExitStack() as stack:
        workers = [await Process.started(house, name) for name in "ab"]
        for worker in workers:
            stack.push_async_callback(worker.ended)
        await workers[0].told("set", 1.0)
        done = await workers[1].rolled_back()
        assert done["pending"] == []
        for number in range(4):
            match dice.choice(["delete", "switch", "kill -9", "restart"]):
                case "delete":
                    house.db.unlink(missing_ok=True)
                case "switch":
                    house.say(0.1, "false")
                    await asyncio.sleep(dice.random() / 2)
                    house.say(0.1, "true")
                case how:
                    gone = workers.pop(dice.randrange(len(workers)))
                    await (gone.killed() if how == "kill -9" else gone.ended())
                    workers.append(await Process.started(house, f"new {number}"))
                    stack.push_async_callback(workers[-1].ended)
            await asyncio.sleep(dice.random() / 4)
        attempts = [await worker.told("attempts") for worker in workers]
        assert max(line["last_at"] for line in attempts) <= done["at"]


# --- many trials, in one process: the workers are real, their processes are not -----------------------------


class Trials:
    def __init__(self, house: House, seed: int) -> None:
        self.house = house
        self.dice = random.Random(seed)
        self.workers: list[Rollout] = []
        self.ramped_up_at = 0
        self.names = 0

    async def one_more(self) -> None:
        self.names += 1
        rollout = self.house.worker(f"{self.names:04}", rollout_poll_s=0.005, rollout_env_poll_s=0.005)
        await rollout.start()
        self.workers.append(rollout)

    async def changed(self, worker: Rollout, patch: dict[str, Any]) -> None:
        """Several make a store that was lost anew at once: SQLite may say that it is not to be used just now."""
        for patience in reversed(range(3)):
            try:
                await worker.change(patch, who="test", reason="", version=None)
                return
            except StoreAway:
                if not patience:
                    raise

    async def ramped_up(self) -> list[Any]:
        """Everything goes to Triton; what is decided now is still under way when the rollback comes."""
        worker = self.dice.choice(self.workers)
        pins, overrides = {"gate": "triton"}, {"yolo26": 1.0}
        patch = {
            "fraction": 1.0,
            "pins": pins,
            "overrides": overrides,
            "pins_suspended": False,
            "enabled": True,
        }
        await self.changed(worker, patch)
        decided: list[Any] = []

        def is_up() -> bool:
            decided[:] = [
                worker.flags.decide(d, c, "1") for d in ("rtdetr", "yolo26") for c in ("gate", None)
            ]
            return {decision.backend for decision in decided} == {"triton"}

        await until(is_up)
        self.ramped_up_at = decided[0].version
        return decided

    async def rolled_back(self) -> None:
        while True:
            try:
                done = await self.dice.choice(self.workers).rollback(who="test", reason="")
            except StoreAway:
                await asyncio.sleep(0.01)
                continue
            if not done.pending:
                return

    async def disturbed(self) -> None:
        await self.dice.choice(
            [
                self.store_deleted,
                self.rows_deleted,
                self.store_broken,
                self.older_store,
                self.restarted,
                self.switched,
            ]
        )()
        await asyncio.sleep(self.dice.random() / 50)

    async def store_deleted(self) -> None:
        for path in self.house.var.glob(self.dice.choice(["crossfade.db", "crossfade.db*"])):
            path.unlink(missing_ok=True)

    async def rows_deleted(self) -> None:
        with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(self.house.db)) as db:
            db.execute("DELETE FROM changes")
            db.commit()

    async def store_broken(self) -> None:
        self.house.break_store()
        await asyncio.sleep(self.dice.random() / 30)
        self.house.db.unlink(missing_ok=True)

    async def older_store(self) -> None:
        """As a copy that is put back, without a file that SQLite maps twice in one process."""
        with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(self.house.db)) as db:
            db.execute("DELETE FROM changes WHERE version > ?", (self.ramped_up_at,))
            db.commit()

    async def restarted(self) -> None:
        await self.house.stop(self.workers.pop(self.dice.randrange(len(self.workers))))
        await self.one_more()

    async def switched(self) -> None:
        for enabled in ("false", "true"):
            self.house.say(0.1, enabled)
            await asyncio.sleep(self.dice.random() / 30)

    def leads_to_triton(self, decided: list[Any]) -> list[str]:
        return [
            f"{detector} {camera} {worker.flags.view}"
            for worker in self.workers
            for detector in ("rtdetr", "yolo26")
            for camera in ("gate", None)
            for decision in (worker.flags.decide(detector, camera, "1"), *decided)
            if decision.backend == "triton" and worker.flags.still(decision, detector, camera, "1")
        ]


async def test_after_an_acknowledged_rollback_no_way_leads_to_triton(tmp_path: Path) -> None:
    """100 trials: a store that is lost, restarts, switches thrown back and forth, before and after it."""
    await asyncio.gather(*(in_a_house_of_its_own(tmp_path / str(seed), seed) for seed in range(4)))


async def in_a_house_of_its_own(folder: Path, seed: int) -> None:
    folder.mkdir()
    house = House(folder)
    trials = Trials(house, seed)
    try:
        for _ in range(3):
            await trials.one_more()
        for _ in range(25):
            await one_trial(trials)
    finally:
        await house.close()


async def one_trial(trials: Trials) -> None:
    trials.house.say(0.1, "true")
    await until(lambda: all(worker.flags.triton_on and not worker.stale for worker in trials.workers))
    decided = await trials.ramped_up()
    if trials.dice.random() < 0.5:
        await trials.disturbed()
    await trials.rolled_back()
    watching = asyncio.create_task(watched(lambda: trials.leads_to_triton(decided)))
    for _ in range(3):
        await trials.disturbed()
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching
    assert trials.leads_to_triton(decided) == []


async def watched(found: Callable[[], list[str]]) -> None:
    while True:
        assert found() == []
        await asyncio.sleep(0.001)
