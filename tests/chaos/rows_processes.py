"""Rows: a Triton that dies, stops, hangs, restarts; models that go; and the premise of it all."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress

import httpx

from ai.triton.embedded.errors import CannotStart
from ai.triton.stored import versions
from tests.chaos import rows_legacy, rows_stack
from tests.chaos.house import MODEL, write_model
from tests.chaos.row import Row, Trial, Without
from tests.chaos.striking import UNHURRIED, strike, under_way_at
from tests.tritons import RunningTriton

NO_FALLBACK = Without("the fallback", {"FALLBACK": "none"})
KILLS = 20
UNDER_WAY = 2  # at least, of the three or so that a model that takes 50 ms has at 50 requests a second
HANG_S = 10.0
BUSY = {"takes_s": 0.1}
DOES_NOT_LOAD = 'raise ImportError("planned: this version does not load")\n'
PATIENCE_S = 30.0

HELD_BACK = frozenset({"breaker_open", "full", "pace"})
GONE = HELD_BACK | {"unavailable"}
SILENT = HELD_BACK | {"deadline_exceeded"}
FAILING = SILENT | {"server_error"}
UNKNOWN = GONE | {"model_not_found"}


def legacy_alone(trial: Trial) -> None:
    trial.lasting(4)


def kill_triton(trial: Trial) -> None:
    """Again as soon as a few were served: while its callers are still coming back."""
    trial.house.triton_orders.give(UNHURRIED)
    for _ in range(KILLS):
        _strike(trial, trial.house.triton.kill)
        trial.house.triton.start()
        trial.mended()
        trial.load.until(
            lambda latest: all(one.reply.side == "triton" for one in latest),
            "Triton does not serve again", times=3, patience_s=trial.patience_s,
        )  # fmt: skip
    trial.until_served_by("triton")
    trial.note(kills=KILLS)


def kill_stub(trial: Trial) -> None:
    """Triton calls itself and the model ready all the while, and nobody believes it."""
    triton = trial.house.triton
    trial.house.triton_orders.give(UNHURRIED)
    _strike(trial, lambda: [os.kill(pid, signal.SIGKILL) for pid in triton.stub_pids()])
    trial.until_falling_back()
    trial.lasting(1)
    trial.note(calls_itself_ready=_is_ready(triton))
    trial.require(
        _is_ready(triton), "planned", "Triton noticed by itself: the fault is not the one that is meant"
    )
    _ask(triton, "unload")
    _ask(triton, "load")
    trial.mended()
    trial.until_served_by("triton")


def restart_triton(trial: Trial) -> None:
    """Asked to end, as at an upgrade: what it has begun is answered, by it or in its place."""
    triton = trial.house.triton
    trial.house.triton_orders.give(BUSY)
    _strike(trial, lambda: os.kill(triton.pid, signal.SIGTERM))
    triton.stop()
    trial.until_falling_back()
    caught = under_way_at(trial.broke_at, trial.asked)
    trial.note(drained=sum(one.reply.side == "triton" for one in caught), caught=len(caught))
    triton.start()
    trial.mended()
    trial.until_served_by("triton")


def hang_triton(trial: Trial) -> None:
    triton = trial.house.triton
    trial.house.triton_orders.give(UNHURRIED)
    _strike(trial, lambda: os.kill(triton.pid, signal.SIGSTOP))
    try:
        trial.lasting(HANG_S)
    finally:
        os.kill(triton.pid, signal.SIGCONT)
    trial.mended()
    trial.until_served_by("triton")


def unload_model(trial: Trial) -> None:
    trial.house.triton_orders.give(UNHURRIED)
    _strike(trial, lambda: _ask(trial.house.triton, "unload"))
    trial.until_falling_back()
    _ask(trial.house.triton, "load")
    trial.mended()
    trial.until_served_by("triton")


def bad_version(trial: Trial) -> None:
    """It does not load while the old one serves; after a restart Triton looks at nothing else, and does not come up."""
    triton = trial.house.triton
    write_model(triton.repository, version=2)
    (triton.repository / MODEL / "2" / "model.py").write_text(DOES_NOT_LOAD)
    trial.house.triton_orders.give(UNHURRIED)
    _strike(trial, lambda: _ask(triton, "load", fails=True))
    trial.until_served_by("triton")
    unharmed = all(one.reply.side == "triton" for one in trial.load.since(trial.broke_at))
    trial.require(unharmed, "unharmed", "the old version did not serve on")
    _strike(trial, triton.stop)
    with suppress(CannotStart):
        triton.start()
        trial.require(False, "planned", "Triton came up with a version that does not load")
    trial.until_falling_back()
    versions.set_aside(triton.repository / MODEL, 2)
    triton.restart()
    trial.mended()
    trial.until_served_by("triton")


def _strike(trial: Trial, fault: Callable[[], object]) -> None:
    strike(trial, fault, least=UNDER_WAY)


def _is_ready(triton: RunningTriton) -> bool:
    urls = (f"http://{triton.http_url}/v2/{what}/ready" for what in ("health", f"models/{MODEL}"))
    return all(httpx.get(url, timeout=PATIENCE_S, trust_env=False).status_code == 200 for url in urls)


def _ask(triton: RunningTriton, what: str, fails: bool = False) -> None:
    url = f"http://{triton.http_url}/v2/repository/models/{MODEL}/{what}"
    answer = httpx.post(url, headers=triton.http_admin, timeout=PATIENCE_S, trust_env=False)
    assert answer.is_error == fails, answer.text


ROWS: tuple[Row, ...] = (
    Row(
        "legacy alone carries the whole load", "processes", "the premise of every fallback",
        legacy_alone, Without("a legacy service that is there", {"YOLO26_URL": "http://127.0.0.1:9"}),
        variables={"TRITON_ENABLED": "false"}, first="legacy",
    ),
    Row(
        f"kill -9 Triton, {KILLS} times", "processes", "nobody waits for it, nobody is lost",
        kill_triton, NO_FALLBACK, GONE,
    ),
    Row(
        "kill -9 the stub of Triton's model", "processes", "what calls itself ready and fails is not asked",
        kill_stub, NO_FALLBACK, FAILING, quick=True,
    ),
    Row(
        "Triton asked to end, and started again", "processes", "what it has begun is answered",
        restart_triton, NO_FALLBACK, UNKNOWN,
    ),
    Row(
        f"Triton stands still for {HANG_S:g} s", "processes", "nobody waits longer than Triton's share of the deadline",
        hang_triton, NO_FALLBACK, SILENT,
    ),
    Row(
        "model unloaded, loaded again", "processes", "a model that is gone is no failed request",
        unload_model, NO_FALLBACK, UNKNOWN,
    ),
    Row(
        "a new version that does not load", "processes", "the old one serves on; after a restart, legacy",
        bad_version, NO_FALLBACK, UNKNOWN,
    ),
    *rows_legacy.ROWS,
    *rows_stack.ROWS,
)  # fmt: skip
