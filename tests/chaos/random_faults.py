"""What may happen in a random run, what each fault excuses, and the plan: all of it made from a seed beforehand.

Three tracks go on at once: one breaks sides and their ways, one at a time; one breaks the house around them; one moves
the flags. A track's draws are its own, so that a change of one leaves the others as they were.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from random import Random
from typing import Any, Literal

Track = Literal["sides", "house", "flags"]
Words = Mapping[str, Any]
Draw = Callable[[Random], Words]

CAMERAS = tuple(f"cam-{number}" for number in range(8))
LIES_SEEN = (
    "nan box",
    "score over 1",
    "no such class",
    "inverted",
    "short",
    "zero bytes",
    "renamed",
    "doubles",
    "impossible picture",
)  # fmt: skip - of `tests.chaos.lies`, those that nobody may be answered with
QUIET_AT_BOTH_ENDS_S = 4.0
BEGINS_S: Mapping[Track, float] = {"sides": 3.0, "house": 7.0, "flags": 1.0}
PAUSE_S: Mapping[Track, tuple[float, float]] = {"sides": (5, 8), "house": (10, 20), "flags": (1.5, 4)}

LATE = frozenset({"deadline_exceeded", "breaker_open", "overloaded", "pace", "full", "share"})
GONE = frozenset({"unavailable", "deadline_exceeded", "breaker_open", "model_not_found"})
GARBLED = LATE | GONE | {"server_error", "invalid_model_output", "refused"}


@dataclass(frozen=True)
class Kind:
    """One thing that may happen; `side` is whom it breaks, `reasons` why others may then serve in its place."""

    name: str
    side: str = ""  # "triton", "legacy", "both", or nobody
    reasons: frozenset[str] = frozenset()
    lasts_s: tuple[float, float] = (0.0, 0.0)
    weight: int = 1
    draw: Draw = lambda _: {}
    hangs: bool = False  # whoever asks it first may wait for all of his deadline
    garbles: bool = False  # bytes on the way become others: the picture, or what is said of it
    robust: bool = False  # the same on a busy machine: CI runs these


@dataclass(frozen=True)
class Act:
    """One line of a plan."""

    track: Track
    at_s: float
    name: str
    lasts_s: float
    words: Words = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    seed: int
    lasts_s: float
    fallback: str
    acts: tuple[Act, ...]

    def to_table(self) -> dict[str, Any]:
        return {**asdict(self), "acts": [asdict(act) for act in self.acts]}

    def of(self, track: Track) -> list[Act]:
        return [act for act in self.acts if act.track == track]


def plan_of(seed: int, lasts_s: float, *, robust: bool = False) -> Plan:
    fallback = Random(f"{seed} fallback").choice(("legacy", "both"))
    acts = [
        act for track, kinds in KINDS.items() for act in _track(track, kinds, seed, lasts_s, robust=robust)
    ]
    return Plan(seed, lasts_s, fallback, tuple(sorted(acts, key=lambda act: act.at_s)))


def _track(track: Track, kinds: Sequence[Kind], seed: int, lasts_s: float, *, robust: bool) -> list[Act]:
    random = Random(f"{seed} {track}")
    known = [kind for kind in kinds if kind.robust or not robust]
    acts: list[Act] = []
    at_s = BEGINS_S[track] + random.uniform(0, PAUSE_S[track][0])
    while True:
        (kind,) = random.choices(known, [one.weight for one in known])
        act = Act(
            track, round(at_s, 2), kind.name, round(random.uniform(*kind.lasts_s), 2), kind.draw(random)
        )
        at_s += act.lasts_s
        if at_s > lasts_s - QUIET_AT_BOTH_ENDS_S:
            return acts
        acts.append(act)
        at_s += random.uniform(*PAUSE_S[track])


# --- what is drawn for one of them ------------------------------------------------------------------------


def _between(name: str, least: float, most: float) -> Draw:
    return lambda random: {name: round(random.uniform(least, most), 3)}


def _one_of(name: str, values: Sequence[Any]) -> Draw:
    return lambda random: {name: random.choice(values)}


def _seeded(draw: Draw) -> Draw:
    return lambda random: {**draw(random), "seed": random.randrange(1000)}


def _failing(random: Random) -> Words:
    return {"error": random.choice(("INTERNAL", "UNKNOWN")), "share": round(random.uniform(0.05, 1), 2)}


def _fraction(random: Random) -> Words:
    """Now and then it says what a rollback left behind, too."""
    change: dict[str, Any] = {"fraction": random.choice((0.0, 0.1, 0.3, 0.5, 0.8, 1.0, 1.0))}
    if random.random() < 0.7:
        change |= {"overrides": {}, "pins_suspended": False}
    return change


def _override(random: Random) -> Words:
    share = random.choice((None, 0.0, 0.2, 0.6, 1.0))
    return {"overrides": {} if share is None else {"yolo26": share}}


def _pins(random: Random) -> Words:
    pinned = random.sample(CAMERAS, random.randrange(4))
    return {"pins": {camera: random.choice(("triton", "legacy")) for camera in sorted(pinned)}}


def _ramp(random: Random) -> Words:
    return {"steps": random.choice(([0.1, 0.5, 1.0], [0.25, 1.0], [0.5, 0.75, 1.0]))}


# --- what there is ----------------------------------------------------------------------------------------


def _ways(side: str) -> tuple[Kind, ...]:
    """Each behaviour of the proxy before this side."""
    few, some = (1.0, 4.0), (2.0, 6.0)
    return (
        Kind(f"{side} way: latency", side, LATE | GONE, some, draw=_between("s", 0.05, 1.5), hangs=True),
        Kind(f"{side} way: jitter", side, LATE | GONE, some, hangs=True,
             draw=_seeded(lambda random: {"low_s": 0.0, **_between("high_s", 0.1, 1.5)(random)})),
        Kind(f"{side} way: drip", side, LATE | GONE, some, draw=_one_of("bytes_per_s", (1, 20, 500)), hangs=True),
        Kind(f"{side} way: blackhole", side, LATE | GONE, some, hangs=True,
             draw=_one_of("direction", ("question", "answer", "both"))),
        Kind(f"{side} way: reset", side, GONE, some, robust=True, draw=_one_of("after_bytes", (0, 1, 60, 300))),
        Kind(f"{side} way: cut", side, GONE | {"server_error", "invalid_model_output"}, some,
             draw=_one_of("after_bytes", (0, 1, 60, 300))),
        Kind(f"{side} way: half close", side, GONE | {"server_error", "invalid_model_output"}, some, hangs=True,
             draw=_one_of("after_bytes", (0, 1, 60, 300))),
        Kind(f"{side} way: duplicate", side, GARBLED, few, hangs=True, garbles=True,
             draw=_one_of("direction", ("question", "answer"))),
        Kind(f"{side} way: corrupt", side, GARBLED, few, hangs=True, garbles=True, draw=_seeded(
            lambda random: {"every_bytes": random.choice((50, 1000, 20_000)),
                            "direction": random.choice(("question", "answer"))})),
        Kind(f"{side} way: refuse", side, GONE, some, robust=True),
        Kind(f"{side} way: flap", side, GONE, (4.0, 8.0), draw=_between("period_s", 0.3, 2.0)),
        Kind(f"{side} way: wrong tls", side, GONE | {"server_error", "invalid_model_output"}, some),
    )  # fmt: skip


SIDES: tuple[Kind, ...] = (
    Kind("triton killed", "triton", GONE, (0.5, 4.0), 4, robust=True),
    Kind("triton stopped", "triton", LATE | GONE, (0.5, 5.0), 3, hangs=True, robust=True),
    Kind("triton stub killed", "triton", LATE | GONE | {"server_error"}, (1.0, 4.0), 2),
    Kind("triton restarted", "triton", GONE, (0.0, 0.0), 2),
    Kind("triton unloaded", "triton", GONE | {"server_error"}, (0.5, 3.0), 2, robust=True),
    Kind("triton slow", "triton", LATE, (2.0, 6.0), 3, _between("takes_s", 0.1, 2.0), hangs=True),
    Kind("triton failing", "triton", frozenset({"server_error", "breaker_open"}), (2.0, 6.0), 3, _failing,
         robust=True),
    Kind("triton lying", "triton", frozenset({"invalid_model_output", "breaker_open"}), (2.0, 6.0), 3,
         _one_of("lie", LIES_SEEN), robust=True),
    Kind("legacy slow", "legacy", LATE, (2.0, 5.0), 3, _between("each_s", 0.03, 0.5), hangs=True),
    Kind("legacy killed", "legacy", GONE, (0.5, 3.0), 3, robust=True),
    Kind("legacy stopped", "legacy", LATE | GONE, (0.5, 4.0), 2, hangs=True),
    Kind("both ways refused", "both", GONE, (0.5, 2.5), 2),
    *_ways("triton"),
    *_ways("legacy"),
)  # fmt: skip
HOUSE: tuple[Kind, ...] = (
    Kind("worker killed", weight=3, draw=_one_of("which", (0, 1)), robust=True),
    Kind("store locked", reasons=frozenset({"flag_changed"}), lasts_s=(0.5, 5.0), weight=2, robust=True),
)
FLAGS: tuple[Kind, ...] = (
    Kind("set fraction", weight=6, draw=_fraction, robust=True),
    Kind("set override", weight=2, draw=_override, robust=True),
    Kind("set pins", weight=3, draw=_pins, robust=True),
    Kind("set shadow", draw=_one_of("shadow", (0.0, 0.05, 0.1))),
    Kind("disabled", lasts_s=(0.5, 3.0), robust=True),
    Kind("kill switch", lasts_s=(0.5, 4.0), weight=2, robust=True),
    Kind("rollback", lasts_s=(1.0, 3.0), weight=3, robust=True),
    Kind("ramp start", weight=2, draw=_ramp),
    Kind("ramp pause"),
    Kind("ramp resume"),
    Kind("ramp abort"),
)
KINDS: Mapping[Track, tuple[Kind, ...]] = {"sides": SIDES, "house": HOUSE, "flags": FLAGS}
BY_NAME: Mapping[str, Kind] = {kind.name: kind for kinds in KINDS.values() for kind in kinds}
