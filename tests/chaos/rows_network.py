"""Rows: what a network does between the backend and Triton, over both of its protocols."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from tests.chaos.credulous_lines import NAMES
from tests.chaos.load import SCENES, Asked
from tests.chaos.row import Row, Trial, Without
from tests.chaos.rows_legacy import EMPTY
from tests.chaos.rows_legacy import UNHURRIED as LEGACY_UNHURRIED
from tests.chaos.striking import UNHURRIED, strike
from tests.fault_proxy import (
    ANSWER,
    Behaviour,
    Blackhole,
    Corrupt,
    CutMidBody,
    Drip,
    Duplicate,
    Flap,
    HalfClose,
    Jitter,
    Latency,
    Lose,
    Refuse,
    Reset,
    WrongTls,
)

PROTOCOLS = "grpc", "http"
LASTS_S = 1.0  # after the other side has taken over
STRUCK = 2  # requests that are under way when it begins
MID_ANSWER_BYTES = 40  # within the first frame or line
FLAPS_S, FLAP_S = 8.0, 2.0
BIT_IN_BYTES = 300  # about one in each answer
SPOILT_S = 3.0
LOOKED_UP_S = 12.0  # two looks at the name, and as long as one may take

BROKEN = frozenset({"unavailable", "deadline_exceeded", "breaker_open"})
SLOW = BROKEN | {"full", "share", "pace"}
SPOILT = SLOW | {"server_error", "invalid_model_output", "model_not_found", "refused", "overloaded"}

NO_FALLBACK = Without("the fallback", {"FALLBACK": "none"})
NO_PATIENCE = Without("Triton's share of the deadline", {"TRITON_DEADLINE_SHARE": "0.05"}, fails="reasons")
ANYBODYS = Without(
    "the look at whose answer it is", patches=("the look at whose answer it is",), fails="right"
)
NO_NUMBERS = Without(
    "answers that are numbered, by HTTP/2 and by ourselves", {"TRITON_PROTOCOL": "http"},
    ("the look at whose answer it is",), fails="right",
)  # fmt: skip
LINES_ARE_LEFT = Without(
    "another line for one that is silent", patches=("lines that are left",), fails="acted"
)
KNOWN_ADDRESSES = Without(
    "the addresses that were known", patches=("addresses that are kept",), fails="reasons"
)
UNSIGNED = (
    "a flipped bit of a box is another box: neither protocol signs its bytes. The sums of TCP and Ethernet guard a real"
    " line, TLS would guard it better"
)


def broken_line(behaviour: Behaviour, trial: Trial, way: str = "triton") -> None:
    """While it lasts the other side serves; then the first one does, by itself."""
    _strike(trial, behaviour, way)
    trial.until_falling_back("triton" if way == "legacy" else "legacy")
    trial.lasting(LASTS_S)
    _mend(trial)


def slow_line(behaviour: Behaviour, trial: Trial) -> None:
    """Within Triton's share of the deadline nobody turns to legacy."""
    _strike(trial, behaviour, "triton")
    trial.lasting(SPOILT_S)
    _mend(trial)


def lost_lines(trial: Trial) -> None:
    """It is mended as soon as it is broken: whoever connects anew is answered."""
    _strike(trial, Lose(), "triton")
    trial.mended()
    trial.until(
        lambda: any(one.reply.status != 200 or one.reply.fallback_reason for one in trial.asked),
        "nobody fails",
    )
    trial.until_served_by("triton")


def flapping_line(trial: Trial, way: str = "triton") -> None:
    _strike(trial, Flap(FLAP_S), way)
    trial.lasting(FLAPS_S)
    _mend(trial)


def answers_come_twice(trial: Trial, way: str = "triton") -> None:
    _strike(trial, Duplicate(), way)
    trial.lasting(SPOILT_S)
    trial.note(doubled_bytes=trial.house.ways[way].counts["duplicated_bytes"])
    _mend(trial)


def spoilt_answers(trial: Trial) -> None:
    """What no check of ours can see is counted: it may never be more than the bits that were flipped."""
    before = trial.house.ways["triton"].counts["flipped_bits"]
    _strike(trial, Corrupt(BIT_IN_BYTES, seed=8), "triton")
    trial.lasting(SPOILT_S)
    _mend(trial)
    flipped = trial.house.ways["triton"].counts["flipped_bits"] - before
    wrong = [one for one in trial.asked if one.reply.status == 200 and not one.right]
    trial.note(flipped_bits=flipped, wrong_boxes=len(wrong))
    trial.require(flipped > 0, "spoilt", "no bit was flipped")
    trial.require(len(wrong) <= flipped, "unseen", f"{len(wrong)} wrong boxes of {flipped} flipped bits")
    others = [one for one in wrong if one.reply.side != "triton" or _is_anothers(one)]
    trial.require(not others, "unseen", f"{len(others)} show another picture's box, or come from legacy")


def _is_anothers(one: Asked) -> bool:
    return any(replace(one, scene=scene).right for scene in range(SCENES) if scene != one.scene)


def both_lines_refuse(trial: Trial) -> None:
    _strike(trial, Refuse(), "triton")
    trial.house.ways["legacy"].behave(Refuse())
    trial.load.until(
        lambda latest: {one.reply.status for one in latest} == {503}, "somebody is served",
        patience_s=trial.patience_s,
    )  # fmt: skip
    trial.lasting(LASTS_S)
    _mend(trial)


# --- names ------------------------------------------------------------------------------------------------


def name_lost(trial: Trial) -> None:
    """Where it led is where Triton still is."""
    names = trial.house.backend.folder / NAMES
    strike(trial, lambda: names.write_text(""))
    trial.lasting(LOOKED_UP_S)
    names.unlink()
    trial.mended()
    trial.until_served_by("triton")


def name_unknown(trial: Trial) -> None:
    """Triton is switched off and on, and its name stands for nothing when it is looked up anew."""
    names, backend = trial.house.backend.folder / NAMES, trial.house.backend
    backend.set(enabled=False)
    trial.until_served_by("legacy")
    names.write_text("")
    trial.broken()
    backend.set(enabled=True)
    trial.until_falling_back()
    trial.lasting(LASTS_S)
    names.unlink()
    trial.mended()
    trial.until_served_by("triton")


def _strike(trial: Trial, behaviour: Behaviour | Flap, way: str) -> None:
    trial.house.triton_orders.give(UNHURRIED)
    trial.house.legacy_orders.give(LEGACY_UNHURRIED)
    strike(trial, lambda: trial.house.ways[way].behave(behaviour), least=STRUCK)


def _mend(trial: Trial) -> None:
    trial.house.heal()
    trial.mended()
    trial.until_served_by(trial.row.first)


@dataclass(frozen=True)
class Fault:
    words: str
    act: Callable[[Trial], None]
    reasons: frozenset[str] = BROKEN
    without: Without = NO_FALLBACK
    quick_over: str = ""
    excused: Mapping[str, str] = field(default_factory=dict)


ON_THE_WAY_TO_TRITON = (
    Fault("0.15 s later", partial(slow_line, Latency(0.15)), frozenset(), NO_PATIENCE),
    Fault("0 to 0.3 s later", partial(slow_line, Jitter(0.0, 0.3, seed=8)), frozenset(), NO_PATIENCE),
    Fault("1.5 s later, too late", partial(broken_line, Latency(1.5)), SLOW),
    Fault("1 byte/s", partial(broken_line, Drip(1)), SLOW),
    Fault("reset", partial(broken_line, Reset())),
    Fault("reset in an answer", partial(broken_line, Reset(MID_ANSWER_BYTES))),
    Fault("half-closed", partial(broken_line, HalfClose())),
    Fault("half-closed in an answer", partial(broken_line, HalfClose(MID_ANSWER_BYTES))),
    Fault("a black hole", partial(broken_line, Blackhole()), SLOW, quick_over="grpc"),
    Fault("a black hole for answers", partial(broken_line, Blackhole(direction=ANSWER)), SLOW),
    Fault("cut in an answer", partial(broken_line, CutMidBody(MID_ANSWER_BYTES))),
    Fault("refused", partial(broken_line, Refuse())),
    Fault("TLS where none is spoken", partial(broken_line, WrongTls())),
    Fault(f"gone and back every {FLAP_S:g} s", flapping_line),
    Fault("flipped bits", spoilt_answers, SPOILT, excused={"right": UNSIGNED}),
)
FORGOTTEN = "open lines forgotten"
OVER_ONE = {
    "grpc": (
        Fault("answers come twice", answers_come_twice, SPOILT, NO_NUMBERS),
        Fault(FORGOTTEN, lost_lines, SLOW, LINES_ARE_LEFT),
    ),
    "http": (
        Fault("answers come twice", answers_come_twice, SPOILT, ANYBODYS, quick_over="http"),
        Fault(FORGOTTEN, lost_lines, SLOW),
    ),
}
AT_ZERO = {"TRITON_TRAFFIC_FRACTION": "0", "FALLBACK": "both"}
NO_HELP = Without("the help of the other side", {"FALLBACK": "legacy"})
ON_THE_WAY_TO_LEGACY = (
    Fault("reset in an answer", partial(broken_line, Reset(MID_ANSWER_BYTES), way="legacy"), without=NO_HELP),
    Fault(
        "cut in an answer", partial(broken_line, CutMidBody(MID_ANSWER_BYTES), way="legacy"), without=NO_HELP
    ),
    Fault("refused", partial(broken_line, Refuse(), way="legacy"), without=NO_HELP),
    Fault("TLS where none is spoken", partial(broken_line, WrongTls(), way="legacy"), without=NO_HELP),
    Fault("gone and back every 2 s", partial(flapping_line, way="legacy"), without=NO_HELP),
    Fault("answers come twice", partial(answers_come_twice, way="legacy"), SPOILT, ANYBODYS),
)
LATE_FIRST = (
    "at 0 % legacy may take the whole deadline: who waits when it falls silent is told that it passed"
)

ROWS: tuple[Row, ...] = (
    *(
        Row(
            f"to Triton over {protocol}: {fault.words}", "network", "legacy answers, or Triton in time",
            fault.act, fault.without, fault.reasons, variables={"TRITON_PROTOCOL": protocol},
            through_proxies=True, quick=fault.quick_over == protocol, excused=fault.excused,
        )
        for protocol in PROTOCOLS for fault in (*ON_THE_WAY_TO_TRITON, *OVER_ONE[protocol])
    ),
    *(
        Row(
            f"Triton's name over {protocol}: {words}", "network", promise, act, without, reasons,
            variables={"TRITON_PROTOCOL": protocol}, through_proxies=True, patches=("a name for Triton",),
        )
        for protocol in PROTOCOLS
        for words, promise, act, without, reasons in (
            ("not found any more", "Triton is asked where it was", name_lost, KNOWN_ADDRESSES, frozenset()),
            ("not found", "legacy answers", name_unknown, NO_FALLBACK, BROKEN | {"flag_changed"}),
        )
    ),
    *(
        Row(
            f"to legacy at 0 %: {fault.words}", "network", "Triton answers in its place",
            fault.act, fault.without, fault.reasons, variables=AT_ZERO, through_proxies=True, first="legacy",
        )
        for fault in ON_THE_WAY_TO_LEGACY
    ),
    Row(
        "to legacy at 0 %: a black hole", "network", LATE_FIRST,
        partial(broken_line, Blackhole(), way="legacy"), NO_HELP, SLOW | {"overloaded"}, frozenset({200, 504}),
        variables=AT_ZERO, through_proxies=True, first="legacy",
    ),
    Row(
        "to both: refused", "network", "a problem, never an empty scene", both_lines_refuse, EMPTY, BROKEN,
        frozenset({200, 503}), through_proxies=True,
    ),
)  # fmt: skip
