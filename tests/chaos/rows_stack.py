"""Rows: a worker of the backend dies, and those who started the parts of a stack."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from tests.callers import NO_ANSWER
from tests.chaos.load import Load, load_on
from tests.chaos.row import Row, Trial, Without
from tests.chaos.small_stack import SmallStack, small_stack
from tests.chaos.striking import strike, under_way_at

WORKERS = 2
UNDER_WAY = 4  # of both workers
BUSY = {"takes_s": 0.1}
BESIDE_PER_S = 10.0  # the house's own load, while a second stack carries one
STACK_PER_S = 25.0
CLOSED_S = 0.05  # between a death and the last of its connections
LOST_A_CONNECTION = {"counted": "whoever was to count the lost ones was killed"}


def kill_worker(trial: Trial) -> None:
    """Whoever waits for it sees the connection end, without a byte; nobody else sees anything."""
    backend = trial.house.backend
    trial.house.triton_orders.give(BUSY)
    trial.until(lambda: trial.undefended or len(backend.workers) == WORKERS, "there never were two workers")
    trial.until_served_by("triton")
    victim = psutil.Process(min(backend.workers, default=backend.pid))
    strike(trial, victim.kill, least=UNDER_WAY)
    trial.until(lambda: not _holds_anything(victim), "it does not die")
    gone_at = time.time() + CLOSED_S
    if not trial.undefended:
        trial.until(lambda: len({*backend.workers} - {victim.pid}) == WORKERS, "nobody came in its place")
        trial.note(replaced_s=round(time.time() - trial.broke_at, 2))
    trial.mended()
    try:
        trial.until_served_by("triton")
    finally:
        _judge_lost(trial, gone_at)


def _judge_lost(trial: Trial, gone_at: float) -> None:
    lost = [one for one in trial.asked if one.reply.status == NO_ANSWER]
    late = [one for one in lost if one.reply.began > gone_at]
    trial.require(not late, "lost", f"{len(late)} that were sent after its death")
    caught = under_way_at(trial.broke_at, trial.asked)
    trial.note(caught=len(caught), lost=len(lost), saw=sorted({one.reply.document["error"] for one in lost}))
    trial.require(len(lost) <= len(caught), "lost", f"{len(lost)} lost, {len(caught)} were under way")


def _holds_anything(process: psutil.Process) -> bool:
    try:
        return process.status() not in {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD}
    except psutil.NoSuchProcess:
        return False


def kill_the_parent(trial: Trial) -> None:
    """The guard ends the parts in order: the backend answers what it has begun, and nothing is left."""
    trial.load.per_s = BESIDE_PER_S
    with tempfile.TemporaryDirectory() as folder, small_stack(Path(folder)) as stack:
        starter = stack.start(*(["--unguarded"] if trial.undefended else []))
        with load_on(stack.url, STACK_PER_S) as load:
            _until_served(load)
            trial.until(lambda: load.under_way > 0, "nothing was under way")
            trial.broken()
            starter.kill()
            starter.wait()
            left = _left_in_the_end(trial, stack)
        trial.note(ended_s=round(time.time() - trial.broke_at, 2))
    trial.require(not left, "orphans", f"{len(left)} processes run on")
    caught = under_way_at(trial.broke_at, load.asked)
    unanswered = [one for one in caught if not one.right]
    trial.require(
        not unanswered, "drained", f"{len(unanswered)} of {len(caught)} under way were not answered"
    )
    odd = {one.reply.status for one in load.asked if not one.right} - {NO_ANSWER}
    trial.require(not odd, "drained", f"while it ended it answered {odd}")
    trial.note(caught=len(caught), stack_answered=sum(one.right for one in load.asked))


def kill_the_supervisor(trial: Trial) -> None:
    """Of a detached stack: Triton goes with it, and the rest goes on serving."""
    trial.load.per_s = BESIDE_PER_S
    with tempfile.TemporaryDirectory() as folder, small_stack(Path(folder)) as stack:
        careless = ["--supervisor", "tests.chaos.unleashed"] if trial.undefended else []
        stack.start("--detach", *careless).wait()
        with load_on(stack.url, STACK_PER_S) as load:
            _until_served(load)
            trial.until(lambda: load.under_way > 0, "nothing was under way")
            trial.broken()
            os.kill(stack.part("triton").pid, signal.SIGKILL)
            _wait(trial, lambda: not stack.triton_left)
            trial.require(not stack.triton_left, "orphans", "Triton runs on, and nobody looks after it")
            trial.note(ended_s=round(time.time() - trial.broke_at, 2))
            load.until(
                lambda latest: all(one.reply.side == "legacy" for one in latest),
                "legacy does not take over",
                patience_s=trial.patience_s,
            )
        wrong = [one for one in load.asked if not one.right]
        trial.require(
            not wrong, "answered", f"of the stack's {len(load.asked)} callers {len(wrong)} were not served"
        )
        trial.note(stack_answered=len(load.asked))


def _until_served(load: Load) -> None:
    load.until(lambda latest: all(one.reply.side == "triton" for one in latest), "the stack does not serve")


def _left_in_the_end(trial: Trial, stack: SmallStack) -> list[int]:
    _wait(trial, lambda: not stack.left)
    return stack.left


def _wait(trial: Trial, holds: Callable[[], bool]) -> None:
    """As long as a row waits for anything; what is then left is judged."""
    ends_at = time.monotonic() + trial.patience_s
    while not holds() and time.monotonic() < ends_at:
        time.sleep(0.05)


ROWS: tuple[Row, ...] = (
    Row(
        "one of two workers killed", "processes", "only those it held are lost: their connection ends",
        kill_worker, Without("the other worker", {"WORKERS": "1"}, fails="lost"), frozenset({"pace"}),
        statuses=frozenset({NO_ANSWER, 200}), workers=WORKERS, excused=LOST_A_CONNECTION,
    ),
    Row(
        "the parent of `crossfade up` killed", "processes", "what is under way is answered, no process is left",
        kill_the_parent, Without("the guard", fails="orphans"),
    ),
    Row(
        "the supervisor of a detached stack's Triton killed", "processes", "Triton goes with it, legacy serves",
        kill_the_supervisor, Without("the leash", fails="orphans"),
    ),
)  # fmt: skip
