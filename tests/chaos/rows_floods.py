"""Rows: more than there is room for, and callers who hang up."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import psutil

from tests.callers import NO_ANSWER
from tests.chaos import crowds
from tests.chaos.house import House
from tests.chaos.load import Asked
from tests.chaos.row import Row, Trial, Without
from tests.fault_proxy import Latency

# --- more than it can carry -------------------------------------------------------------------------------

EACH_S = (
    0.04  # of a picture, on either side: what limits them is not this machine, and the crowd fits beside them
)
CROWDS = 8, 24, 48  # callers without a pause: one of these numbers gets the most out of both sides
CROWD_S = 2.0
TIMES = 3
FLOOD_S = 5.0
BEGINNING_S = 1.0
LOUD, OTHERS = "loud", 5  # three of four requests come from one camera
REFUSED_OVER_S = 0.05
LEAST_GOODPUT = 0.9
MOST_LOST = 0.1  # of all that were asked: let in, and given up when their time was over
LEAST_SHARE = 0.5  # of what a camera asks that is not loud: by chance it would be a third
FULL = frozenset({"full", "share", "pace", "overloaded", "deadline_exceeded"})


@dataclass(frozen=True)
class Flood:
    asked: list[Asked]
    began: float

    @property
    def goodput_per_s(self) -> float:
        """Once it has come to its full height."""
        begins_at, ends_at = self.began + BEGINNING_S, self.began + FLOOD_S
        return sum(1 for one in self.good if begins_at <= one.reply.ended < ends_at) / (FLOOD_S - BEGINNING_S)

    @property
    def good(self) -> list[Asked]:
        return [one for one in self.asked if one.reply.status == 200]

    @property
    def refused(self) -> list[Asked]:
        return [one for one in self.asked if one.reply.status == 503]


def three_times_as_much(trial: Trial) -> None:
    for orders in (trial.house.triton_orders, trial.house.legacy_orders):
        orders.give({"each_s": EACH_S})
    at_rest(trial)
    peak_per_s = max(good_with(trial, callers) for callers in CROWDS)
    trial.broken()
    flood = flooded(trial, TIMES * peak_per_s)
    trial.house.heal()
    trial.mended()
    judge_flood(trial, flood, peak_per_s)
    trial.load.query_of = lambda _: ""
    trial.load.per_s = trial.row.per_s
    trial.until_served_by("triton")


def at_rest(trial: Trial) -> None:
    trial.load.per_s = 0
    trial.until(lambda: not trial.load.under_way, "what was under way never ended")


def good_with(trial: Trial, callers: int) -> float:
    asked = crowds.asking_without_a_pause(trial.house.backend.url, CROWD_S, callers)
    trial.load.also(asked)
    return crowds.rate(asked)


def flooded(trial: Trial, per_s: float) -> Flood:
    began = time.time()
    trial.load.query_of = lambda number: f"camera={camera_of(number)}"
    trial.load.per_s = per_s
    trial.lasting(FLOOD_S)
    at_rest(trial)
    return Flood(trial.load.since(began), began)


def camera_of(number: int) -> str:
    return LOUD if number % 4 else f"cam-{number // 4 % OTHERS}"


def judge_flood(trial: Trial, flood: Flood, peak_per_s: float) -> None:
    trial.note(peak_per_s=round(peak_per_s, 1), goodput_per_s=round(flood.goodput_per_s, 1))
    least = LEAST_GOODPUT * peak_per_s
    words = f"{flood.goodput_per_s:.1f}/s of {peak_per_s:.1f}/s"
    trial.require(flood.goodput_per_s >= least, "goodput", words)
    trial.require(
        len(flood.refused) > len(flood.good), "flooded", f"{len(flood.refused)} were refused: no flood"
    )
    _judge_refused(trial, flood)
    _judge_turns(trial, flood)


def _judge_refused(trial: Trial, flood: Flood) -> None:
    """The excess, which neither side took; and those who were let in and got nothing, since a pace is a guess."""
    excess = [one for one in flood.refused if "deadline_exceeded" not in one.reply.document["detail"]]
    took = sorted(one.reply.took_s for one in excess) or [0.0]
    allowed_s = REFUSED_OVER_S + max(trial.control_s, default=0.0)
    lost = len(flood.asked) - len(flood.good) - len(excess)
    trial.note(
        refused=len(excess),
        refused_ms=[round(1000 * took[len(took) * n // 100]) for n in (50, 95, 99)],
        lost=lost,
    )
    trial.require(took[-1] <= allowed_s, "refused at once", f"{took[-1]:.3f} s, allowed {allowed_s:.3f} s")
    trial.require(
        lost <= MOST_LOST * len(flood.asked), "let in", f"{lost} of {len(flood.asked)} waited for nothing"
    )
    without = [one for one in flood.refused if "retry-after" not in one.reply.headers]
    trial.require(
        not without, "retry-after", f"{len(without)} of {len(flood.refused)} were not told when to come again"
    )


def _judge_turns(trial: Trial, flood: Flood) -> None:
    """All but the loud one ask for no more than an even share, and should get it."""
    asked = Counter(camera_of(one.number) for one in flood.asked)
    served = Counter(camera_of(one.number) for one in flood.good)
    shares = {camera: round(served[camera] / asked[camera], 2) for camera in sorted(asked)}
    trial.note(served_of_asked=shares)
    least = min(share for camera, share in shares.items() if camera != LOUD)
    trial.require(least >= LEAST_SHARE, "turns", f"{shares}, served {dict(served)}")


# --- callers who hang up ----------------------------------------------------------------------------------

STORM_PER_S, STORM_S = 80.0, 3.5
PATIENCE_S = 0.02, 0.1
SLOW_S = 0.06  # of a batch of eight: most have gone before it ends, and there is room for all
AT_ONCE = 250  # more than there are connections to legacy
BURSTS = 4
FAR_S = 0.3  # legacy is away from us, so that connections are held when callers leave
LEAST_LEFT = 120  # before they were answered, be it that there is no place
MORE_DESCRIPTORS = 16
LEFT = {"counted": "who hung up does not know who would have served him"}


def storm(trial: Trial) -> None:
    """The usual callers stay; beside them hundreds come and go."""
    held = descriptors(trial.house)
    trial.house.triton_orders.give({"takes_s": SLOW_S})
    trial.broken()
    gone = crowds.hanging_up(trial.house.backend.url, STORM_PER_S, STORM_S, PATIENCE_S, Random(8))
    trial.house.heal()
    trial.mended()
    judge_storm(trial, gone, held)


def bursts(trial: Trial) -> None:
    """All at once, so that they would wait for connections; whoever calls when they have gone is served."""
    held = descriptors(trial.house)
    trial.house.ways["legacy"].behave(Latency(FAR_S))
    trial.broken()
    gone = list[Asked]()
    for number in range(BURSTS):
        gone += crowds.hanging_up(trial.house.backend.url, AT_ONCE / 0.1, 0.1, PATIENCE_S, Random(number))
        trial.lasting(FAR_S)
    trial.house.heal()
    trial.mended()
    judge_storm(trial, gone, held)
    began = time.time()
    trial.lasting(1)
    after = [one for one in trial.load.since(began) if one.reply.status != 200]
    trial.require(
        not after, "unharmed", f"{len(after)} callers after it: {[one.reply.status for one in after[:5]]}"
    )


def judge_storm(trial: Trial, gone: list[Asked], held: int) -> None:
    left = sum(1 for one in gone if one.reply.status == NO_ANSWER)
    trial.note(hung_up=left, came=len(gone))
    trial.require(left >= LEAST_LEFT, "storm", f"{left} of {len(gone)} hung up: no storm")
    at_rest(trial)
    for side in ("triton", "legacy"):
        nothing_is_left(trial, f'detector_inflight{{backend="{side}"}}')
    holds_soon(
        trial, lambda: descriptors(trial.house) <= held + MORE_DESCRIPTORS, "nothing is left",
        f"descriptors: {held} before",
    )  # fmt: skip
    trial.load.per_s = trial.row.per_s
    try:
        trial.until_served_by(trial.row.first)
    except AssertionError as error:
        trial.require(False, "unharmed", str(error)[:300])


def nothing_is_left(trial: Trial, line: str) -> None:
    holds_soon(trial, lambda: not trial.house.backend.metric(line), "nothing is left", f"{line} is not 0")


def holds_soon(trial: Trial, holds: Callable[[], bool], mark: str, words: str) -> None:
    try:
        trial.until(holds, words)
    except AssertionError:
        trial.require(False, mark, words)


def descriptors(house: House) -> int:
    """Without the connections of callers."""
    process = psutil.Process(house.backend.pid)
    callers = sum(1 for one in process.net_connections("tcp") if one.laddr.port == house.backend.port)
    return process.num_fds() - callers


ROWS: tuple[Row, ...] = (
    Row(
        "hundreds hang up", "floods", "nothing of them is left, and nobody else notices",
        storm, Without("places that are given back", patches=("places given back",), fails="nothing is left"),
        FULL, excused=LEFT, per_s=20.0,
    ),
    Row(
        "three times what both sides carry", "floods", "the excess is told so at once, the rest is served in turn",
        three_times_as_much, Without("turns", patches=("turns",), fails="turns"),
        FULL, frozenset({200, 503, 504}), variables={"TRITON_MAX_IN_FLIGHT": "128"},  # a house whose pace is not known
    ),
    Row(
        "hundreds hang up at once", "floods", "connections to legacy are as before when they have gone",
        bursts, Without("places that are given back", patches=("places given back",), fails="nothing is left"),
        statuses=frozenset({200, 503}), variables={"TRITON_ENABLED": "false"}, through_proxies=True,
        first="legacy", excused=LEFT, per_s=20.0,
    ),
)  # fmt: skip
