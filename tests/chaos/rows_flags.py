"""Rows: the flags' sources in ruins, hostile or restless. What was said last stands, and the kill switch before all."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from tests.backends import Backend
from tests.chaos import hostile_store
from tests.chaos.env_ruins import SAYS_LESS, UNREADABLE, Mount, rewriting, whole_again
from tests.chaos.row import Row, Trial, Without
from tests.chaos.stepped_clock import FILE as CLOCK
from tests.chaos.stepped_clock import OWN_CLOCK, STEADY

HEARD_S = 1.0  # design 1: the flag is obeyed in less than that
LOOKS_S = 0.6  # several looks at .env, at 0.25 s and 0.1 s later
WOKEN_S = 1.2  # … and for Triton to be asked again, where the switch was lost
MOVED = frozenset({"flag_changed"})  # under way while it did
ALL = "TRITON_TRAFFIC_FRACTION=1\n"
THROWN = f"TRITON_ENABLED=false\n{ALL}"
HOUR_S, DAY_S = 3600, 86_400
STEPS_S = (-HOUR_S, DAY_S, -30 * DAY_S, 0)
WHOLE = {1.0, 0.95, 0.85}


def nothing_said(trial: Trial) -> None:
    """Whatever becomes of the file, Triton keeps what it had; whole again, it is heard again."""
    env, changes = trial.house.backend.env_file, _changes(trial)
    trial.broken()
    for name, ruin in {**SAYS_LESS, **UNREADABLE}.items():
        ruin(env)
        _require_all_by(trial, "triton", name)
        whole_again(env, ALL)
    trial.mended()
    trial.require(_changes(trial) == changes, "obeyed", "the flags were changed")
    whole_again(env, "TRITON_TRAFFIC_FRACTION=0\n")
    trial.until_served_by("legacy")
    whole_again(env, ALL)
    trial.until_served_by("triton")


def _require_all_by(trial: Trial, side: str, why: str) -> None:
    began = time.time()
    trial.lasting(LOOKS_S)
    served = {one.reply.side for one in trial.load.since(began)}
    trial.require(served == {side}, "obeyed", f"{why}: served by {served}")


def _changes(trial: Trial) -> int:
    return len(trial.house.backend.get("/api/rollout/history?limit=1000").json()["changes"])


def thrown(trial: Trial) -> None:
    """The switch, and then the file that it stands in is ruined, exchanged, written all the time."""
    env = trial.house.backend.env_file
    trial.broken()
    with rewriting(env, (("TRITON_ENABLED=false\nTRITON_TRAF", "FIC_FRACTION=1\n"), ("# halves\n", THROWN))):
        _require_nobody_asks_triton(trial, "written all the time", lambda: None)
    for name in ("binary", "a directory", "a pipe"):
        whole_again(env, THROWN)
        _require_nobody_asks_triton(trial, name, partial(UNREADABLE[name], env))
    whole_again(env, ALL)
    trial.mended()
    trial.until_served_by("triton")


def _require_nobody_asks_triton(trial: Trial, why: str, then: Callable[[], None]) -> None:
    """From a second after it was thrown, and all the while after `then`."""
    trial.lasting(HEARD_S)
    then()
    began, asked = time.time(), trial.house.triton.metric("nv_inference_exec_count", "yolo26_jpeg")
    trial.lasting(WOKEN_S)
    served = {one.reply.side for one in trial.load.since(began)}
    again = trial.house.triton.metric("nv_inference_exec_count", "yolo26_jpeg") - asked
    trial.require(
        served == {"legacy"} and again == 0, "kill switch", f"{why}: {served}, asked {again:g} times"
    )


def swapped(trial: Trial) -> None:
    """As Kubernetes swaps what it mounts: only what stood there whole is obeyed, and the last of it."""
    mount, since = Mount(trial.house.backend.env_file, ALL), _version(trial)
    trial.broken()
    for number in range(60):
        mount.swap(f"{'# ' * number}\nTRITON_TRAFFIC_FRACTION={(0.95, 0.85)[number % 2]}\n")
        trial.lasting(0.02)
    _require_heard(trial, 0.85)
    mount.swap(THROWN)
    _require_nobody_asks_triton(trial, "swapped", lambda: None)
    mount.swap(ALL)
    trial.mended()
    _require_heard(trial, 1.0)
    _require_whole(trial, since)
    trial.until_served_by("triton")


def _require_heard(trial: Trial, fraction: float) -> None:
    began = time.monotonic()
    trial.until(lambda: _fraction(trial.house.backend) == fraction, f"{fraction:g} is not heard")
    trial.note(**{f"heard_{fraction:g}_s": round(time.monotonic() - began, 2)})


def _version(trial: Trial) -> int:
    return int(trial.house.backend.get("/api/rollout").json()["version"])


def _fraction(backend: Backend) -> float:
    return float(backend.get("/api/rollout").json()["fraction"])


def _require_whole(trial: Trial, since: int) -> None:
    """Of all that was obeyed after this version."""
    changes = trial.house.backend.get("/api/rollout/history?limit=1000").json()["changes"]
    seen = {change["after"]["fraction"] for change in changes if change["version"] > since}
    trial.require(seen <= WHOLE, "whole", f"{sorted(seen)} were obeyed")
    trial.note(obeyed=sorted(seen))


def rewritten(trial: Trial) -> None:
    env = trial.house.backend.env_file
    since, halves = (
        _version(trial),
        [("TRITON_TRAFFIC_FRACTION=0", f".{digits}\n") for digits in ("95", "85")],
    )
    trial.broken()
    with rewriting(env, halves) as writer:
        trial.lasting(3)
        trial.note(written=writer.times)
    whole_again(env, "TRITON_TRAFFIC_FRACTION=0.95\n")
    _require_heard(trial, 0.95)
    whole_again(env, ALL)
    trial.mended()
    _require_heard(trial, 1.0)
    _require_whole(trial, since)
    trial.until_served_by("triton")


def hostile(trial: Trial) -> None:
    """Each is known for what it is, the last good state holds, and the kill switch does."""
    env = trial.house.backend.env_file
    trial.broken()
    for name, spoil in hostile_store.SPOILS.items():
        began = time.time()
        with hostile_store.spoilt(trial.house.backend, spoil):
            _require_stale(trial, name, began)
        trial.until(lambda: _newest_reason(trial) == "FRACTION", f"after {name} the store is not read again")
    with hostile_store.spoilt(trial.house.backend, hostile_store.SPOILS["fraction 7"]):
        whole_again(env, THROWN)
        _require_nobody_asks_triton(trial, "a hostile store", lambda: None)
        whole_again(env, ALL)
        trial.until(lambda: _newest_side(trial) == "triton", "the switch is not given back")
    trial.until(lambda: _newest_reason(trial) == "FRACTION", "the store is not read again")
    _require_newer_schema_is_left_alone(trial)
    _require_no_way_back(trial)
    trial.mended()
    trial.until_served_by("triton")


def _require_no_way_back(trial: Trial) -> None:
    """A store whose newest versions are gone, as from an old copy, is given them again."""
    backend = trial.house.backend
    version = backend.set(pins={"porch": "legacy"})
    gone = hostile_store.turn_back(backend)
    trial.lasting(LOOKS_S)
    state = backend.get("/api/rollout").json()
    held = (state["version"], state["pins"]) == (version, {"porch": "legacy"})
    trial.require(gone > 0 and held, "obeyed", f"{gone} versions were gone, and {state} was obeyed")
    trial.require(hostile_store.newest(backend) == version, "obeyed", "the store did not get them again")


def _require_newer_schema_is_left_alone(trial: Trial) -> None:
    """It is met when the file is opened anew, as after what could not be read."""
    began, backend = time.time(), trial.house.backend
    with hostile_store.newer_schema(backend):
        with hostile_store.spoilt(backend, hostile_store.SPOILS["no JSON"]):
            trial.lasting(LOOKS_S)
            _require_stale(trial, "no JSON", began)
        trial.lasting(LOOKS_S)
        _require_stale(trial, "a newer schema", began)
    trial.until(lambda: _newest_reason(trial) == "FRACTION", "the store is not read again")


def _require_stale(trial: Trial, name: str, began: float) -> None:
    ends_at = time.monotonic() + 5
    while _newest_reason(trial) != "STALE" and time.monotonic() < ends_at:
        time.sleep(0.02)
    trial.require(_newest_reason(trial) == "STALE", "stale", f"{name}: obeyed as {_newest_reason(trial)}")
    served = {one.reply.side for one in trial.load.since(began)}
    trial.require(served <= {"triton"}, "obeyed", f"{name}: served by {served}")


def _newest_side(trial: Trial) -> str | None:
    return trial.asked[-1].reply.side


def _newest_reason(trial: Trial) -> str:
    latest = trial.asked[-1].reply.document.get("served_by", {})
    return str(latest.get("reason"))


def clock_stepped(trial: Trial) -> None:
    """Back and forth: requests are served in time, a change is heard, a roll back acknowledged by all at once."""
    backend = trial.house.backend
    trial.broken()
    for step_s in STEPS_S:
        (backend.folder / CLOCK).write_text(str(step_s))
        trial.lasting(0.5)
        answer = backend.rollback()
        trial.require(
            answer.status_code == 200, "obeyed", f"{step_s} s: {answer.status_code} {answer.text[:200]}"
        )
        trial.until_served_by("legacy")
        version = backend.set(fraction=1.0, pins_suspended=False)
        trial.until_served_by("triton")
        told = trial.asked[-1].reply.flag_version
        trial.require(told == version, "obeyed", f"{step_s} s: version {told}, not {version}")
    trial.mended()
    trial.note(steps_s=list(STEPS_S))


LAST_STANDS = Without("what was said last stands", patches=("what was said last stands",), fails="obeyed")

ROWS: tuple[Row, ...] = (
    Row(
        ".env gone, empty, cut off, no text, no file", "flags", "what was said last stands",
        nothing_said, LAST_STANDS, env_file=ALL, reasons=MOVED,
    ),
    Row(
        "the kill switch, and its file in ruins", "flags", "Triton is not touched while it may be thrown",
        thrown,
        Without("a file that cannot be read says what it said", patches=("an unreadable file",), fails="kill switch"),
        env_file=ALL, reasons=MOVED,
    ),
    Row(
        ".env written 1,000 times a second", "flags", "no half of a value is obeyed",
        rewritten, Without("two looks that agree", patches=("two looks that agree",), fails="whole"),
        env_file=ALL, reasons=MOVED, quick=True,
    ),
    Row(
        "a store with what cannot be", "flags", "the last good state holds, and the kill switch",
        hostile, Without("the look at a state", patches=("the look at a state",), fails="stale"),
        env_file=ALL, reasons=MOVED,
    ),
    Row(
        ".env swapped as Kubernetes does", "flags", "the last is heard, and none but whole ones",
        swapped, Without("a look at the file behind the link", patches=("a file known by its link",), fails="acted"),
        env_file=ALL, reasons=MOVED, ruins=True,
    ),
    Row(
        "the wall clock set back and forth", "flags", "no deadline, breaker or heartbeat goes by it",
        clock_stepped, Without("clocks that nobody sets", patches=(STEADY,)),
        patches=(OWN_CLOCK,), reasons=MOVED, ruins=True,
    ),
)  # fmt: skip
