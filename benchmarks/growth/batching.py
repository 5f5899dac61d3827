"""Cameras before a real Triton: with dynamic batching and without, in turns; how many requests in flight it takes to
keep it busy; and what breaks first where far more come than it can serve.

A camera has one frame open and sends the next one when that is answered: as many as the side can serve, no more.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from benchmarks.backend_apps import PATH
from benchmarks.backend_sides import SERVED, real_backend
from benchmarks.comparison import Ratio, Row, Window
from benchmarks.loadgen import TIMEOUT_S
from benchmarks.medians import ratios_of, rows_of
from benchmarks.pictures import Pictures, Size, draw_pictures
from benchmarks.processes import Server, running
from benchmarks.report import Spread
from benchmarks.rounds import Rounds
from benchmarks.sides import ceiling_side, triton_program, triton_sides
from benchmarks.suite import Ask, load, told_by
from benchmarks.variants import VARIANTS

BUILD_S = 420.0  # to export a network, and to compile it for every size of a batch, three times
UNBATCHED, BATCHED = VARIANTS["unbatched"], VARIANTS["f32"]
CAMERAS = (4, 8)  # of which the sources say 2.5 to 4 times the frames with dynamic batching
ENOUGH = 0.95  # of the highest rate: a side that serves so much is kept busy
LATE = "status 504"
OTHER = "rtdetr"  # a detector that this Triton does not have
_COUNTER = re.compile(
    r"^(detector_shed|detector_attempts|detector_fallbacks)_total\{(.*)\} (\S+)$", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Plan:
    callers: tuple[int, ...]
    crowd: tuple[int, ...]  # callers of the backend, up to far too many
    size: str
    seconds: float
    crowd_seconds: float  # longer than a request's deadline, or what breaks is not seen to break
    rounds: int


@dataclass(frozen=True, slots=True)
class Rule:
    """2 x batch x instances: as many requests in flight keep one batch inferred and the next one waiting."""

    max_batch: int
    instances: int
    share: Spread  # of the highest rate at any number, at that number
    first_enough: int  # the smallest number with ENOUGH of the highest rate

    @property
    def in_flight(self) -> int:
        return 2 * self.max_batch * self.instances


@dataclass(frozen=True, slots=True)
class Crowd:
    """The backend with that many callers, each of whom asks again at once."""

    callers: int
    answered_per_s: float
    p50_ms: float | None
    p95_ms: float | None
    refused: int  # 503, of all that were sent
    late: int  # 504
    sent: int
    reasons: Mapping[str, int]  # what its metrics counted meanwhile, successes apart
    errors: int  # of any other kind


@dataclass(frozen=True, slots=True)
class Batching:
    plan: Plan
    sides: Mapping[str, Any]  # how each is built
    rows: tuple[Row, ...]
    ratios: tuple[Ratio, ...]  # batched over unbatched, of the same round
    rule: Rule
    crowds: tuple[Crowd, ...]

    @property
    def errors(self) -> int:
        in_rows = sum(sum(row.cell.errors.values()) + row.cell.busy for row in self.rows)
        return in_rows + sum(crowd.errors for crowd in self.crowds)

    @property
    def disturbed(self) -> bool:
        return any(row.disturbed for row in self.rows)


def measured(plan: Plan, folder: Path) -> Batching:
    models, pictures = folder / "models", draw_pictures(Size.of(plan.size), folder)
    models.mkdir()
    told_by(["benchmarks.growth.build_served", str(models)], BUILD_S)
    variants = (UNBATCHED, BATCHED)
    triton = triton_program(models, (*variants, SERVED), folder / "triton")
    sides = triton_sides(triton, variants, pictures.paths, plan.seconds)
    ceiling = ceiling_side(pictures.paths, min(1.0, plan.seconds))
    rounds = Rounds([*sides, ceiling], plan.callers, plan.rounds, TIMEOUT_S)
    rounds.run()
    about = {variant.name: variant.about(models) for variant in variants}
    rows = rows_of(rounds.windows, plan.size, pictures.jpeg_bytes)
    with running(triton) as server, running(real_backend(folder / "backend", folder / "triton")) as backend:
        crowds = tuple(_crowds(plan, backend, server, pictures))
    ratios = ratios_of(rounds.windows, [(BATCHED.name, UNBATCHED.name)])
    return Batching(plan, about, rows, ratios, rule_of(rounds.windows, about[BATCHED.name]), crowds)


def rule_of(windows: Sequence[Window], about: Mapping[str, Any]) -> Rule:
    """`about`: how the batched side is built."""
    rates: dict[int, list[float]] = {}
    for window in windows:
        if window.side == BATCHED.name:
            rates.setdefault(window.callers, []).append(window.run.rps)
    in_flight = 2 * about["max_batch"] * about["instances"]
    asked = min(rates, key=lambda callers: abs(callers - in_flight))
    highest = [max(of_round) for of_round in zip(*rates.values(), strict=True)]
    shares = [rate / most for rate, most in zip(rates[asked], highest, strict=True)]
    medians = {callers: statistics.median(some) for callers, some in rates.items()}
    enough = [callers for callers, rate in medians.items() if rate >= ENOUGH * max(medians.values())]
    return Rule(about["max_batch"], about["instances"], Spread.of(shares), min(enough))


# --- far too many -----------------------------------------------------------------------------------------


def _crowds(plan: Plan, backend: Server, triton: Server, pictures: Pictures) -> Iterator[Crowd]:
    for callers in plan.crowd:
        before = _counted(backend)
        run = load(backend, pictures.paths, callers, plan.crowd_seconds, TIMEOUT_S, Ask(PATH), [triton])
        reasons = {name: count - before.get(name, 0) for name, count in _counted(backend).items()}
        yield Crowd(
            callers, run.rps, run.p50_ms, run.p95_ms, run.busy, run.errors.get(LATE, 0), run.sent,
            {name: count for name, count in reasons.items() if count},
            sum(count for reason, count in run.errors.items() if reason != LATE),
        )  # fmt: skip


def _counted(backend: Server) -> dict[str, int]:
    """The counters of what goes wrong, by name and labels; of the other detector only probes could tell."""
    text = httpx.get(f"{backend.url}/metrics", timeout=30.0, trust_env=False).raise_for_status().text
    return {
        f"{name}_total{{{labels}}}": int(float(value))
        for name, labels, value in _COUNTER.findall(text)
        if 'code="ok"' not in labels and f'detector="{OTHER}"' not in labels
    }
