"""Rows: callers who send what is no picture, what is a bomb, what is no HTTP, or nothing, beside those who do it right.

The right ones lose nothing, and wait little longer than they did before the bad ones came.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial

from ai.core.sample import sample_jpeg
from tests.chaos.bad_callers import BadCallers
from tests.chaos.bad_input import CUT_SHORT, DETECT, HEAD, KINDS, LINES, Bad
from tests.chaos.footprint import Footprint
from tests.chaos.row import Row, Trial, Without

CONTROL_S = 2.0
SLOWER = 10.0  # p95, at most so many times what it was; on two cores that callers, sides and backend share
SLOWER_THAN_MS = 25.0  # a p95 below it is taken for this
MAY_TAKE_BYTES = 150_000_000
UPLOAD_S = 1.0
TIMES = 40
VARIABLES = {"UPLOAD_TIMEOUT_S": f"{UPLOAD_S:g}"}
COUNTS_THEM_TOO = "the metrics count the bad callers too, and the load's record does not"


def beside(misbehave: Callable[[Trial, BadCallers], None], trial: Trial) -> None:
    """What the load met before, and what it meets while others misbehave."""
    footprint, callers = Footprint.of(trial.house.backend), BadCallers(trial.house.backend.port)
    trial.lasting(CONTROL_S)
    began = time.time()
    before_ms = _p95_ms(trial, began - CONTROL_S, began)
    trial.broken()
    misbehave(trial, callers)
    trial.mended()
    _require_undisturbed(trial, before_ms, _p95_ms(trial, began, time.time()))
    _require_little_held(trial, footprint)
    trial.until_served_by("triton")


def _p95_ms(trial: Trial, since: float, until: float) -> float:
    took = sorted(one.reply.took_s for one in trial.load.since(since) if one.reply.began < until)
    return 1000 * took[int(0.95 * len(took))] if took else 0.0


def _require_undisturbed(trial: Trial, before_ms: float, beside_ms: float) -> None:
    allowed_ms = SLOWER * max(before_ms, SLOWER_THAN_MS)
    trial.require(
        beside_ms <= allowed_ms, "undisturbed", f"p95 {beside_ms:.0f} ms, before {before_ms:.0f} ms"
    )
    trial.note(p95_before_ms=round(before_ms, 1), p95_beside_ms=round(beside_ms, 1))


def _require_little_held(trial: Trial, footprint: Footprint) -> None:
    grown = footprint.peak_grown_bytes()
    trial.require(grown <= MAY_TAKE_BYTES, "memory", f"it grew by {grown:,} bytes")
    left = footprint.left_behind()
    trial.require(not left, "nothing left", left)
    trial.note(peak_grown_mb=round(grown / 1e6))


def bad_requests(kind: str, trial: Trial, callers: BadCallers) -> None:
    asked = KINDS[kind]()
    told = callers.send(asked)
    _require_told(trial, {one.name: (told[one.name], one.statuses) for one in asked})


def bad_lines(trial: Trial, callers: BadCallers) -> None:
    told = callers.send_lines()
    _require_told(trial, {name: (told[name], statuses) for name, (_, statuses) in LINES.items()})


def _require_told(trial: Trial, told: Mapping[str, tuple[int, frozenset[int]]]) -> None:
    odd = {name: status for name, (status, statuses) in told.items() if status not in statuses}
    trial.require(not odd, "told", f"{odd}")
    trial.note(bad=len(told))


def silent_callers(trial: Trial, callers: BadCallers) -> None:
    """A hundred that wait with half a request, one that drips, and many that hang up wherever they are."""
    lines = callers.stay_silent()
    dripped = callers.drip()
    whole = Bad("whole", frozenset(), sample_jpeg()).request()
    for words in (CUT_SHORT, HEAD[:40], whole, b""):
        callers.hang_up(words, TIMES)
    for line in lines:
        line.close()
    trial.require(dripped == 408, "told", f"the one that dripped was told {dripped}")
    trial.note(silent=len(lines), hung_up=4 * TIMES)


def busy_lines(trial: Trial, callers: BadCallers) -> None:
    """Many requests on one line, at once and by turns with bad ones: each is answered by itself, in order."""
    good = _kept_alive(sample_jpeg())
    at_once = callers.pipeline(good, TIMES)
    by_turns = callers.keep_alive(good, _kept_alive(b"no picture"), TIMES)
    trial.require(
        (at_once, by_turns) == (TIMES, TIMES), "told", f"{at_once} and {by_turns} of {TIMES} were answered"
    )


def _kept_alive(body: bytes) -> bytes:
    head = f"POST {DETECT} HTTP/1.1\r\nHost: t\r\nContent-Type: image/jpeg\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _row(
    name: str, misbehave: Callable[[Trial, BadCallers], None], without: Without, *, quick: bool = False
) -> Row:
    return Row(
        name, "callers", "told what is wrong, at nobody else's cost", partial(beside, misbehave), without,
        variables=VARIABLES, quick=quick, excused={"counted": COUNTS_THEM_TOO},
    )  # fmt: skip


ROWS: tuple[Row, ...] = (
    _row(
        "callers with what is no picture", partial(bad_requests, "no pictures"),
        Without("the look at a picture's header", patches=("the look at a picture's header",), fails="told"),
        quick=True,
    ),
    _row(
        "callers with bombs, and too much", partial(bad_requests, "bombs"),
        Without("the bound of a body", {"MAX_IMAGE_BYTES": "1000000000"}, fails="told"),
    ),
    _row(
        "callers with broken forms and queries", partial(bad_requests, "forms"),
        Without("problems in place of faults", patches=("problems in place of faults",), fails="told"),
    ),
    _row(
        "callers who speak no HTTP, or without end", bad_lines,
        Without("the bounds of a head", patches=("the bounds of a head",), fails="told"),
    ),
    _row(
        "callers who say nothing, drip, hang up", silent_callers,
        Without("the time for a body", {"UPLOAD_TIMEOUT_S": "600"}, fails="told"),
    ),
    _row(
        "callers with many requests on a line", busy_lines,
        Without("a line that outlives a request", patches=("a line that outlives a request",), fails="told"),
    ),
)  # fmt: skip
