"""Everything that a ramp needs, for real: the legacy service, a Triton that can be made ill, a backend, a certificate.

with proof_stack(house, RAMP_STEP_S="0") as stack, watched(stack.backend.url, per_s=12) as traffic:
    run = ramped(stack, traffic, FAULTS["class lost"])
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from ai.triton.embedded import record
from ai.triton.embedded.settings import read_settings
from ai.triton.parity import ParityOptions, run_parity
from tests.backends import Backend, running_backend
from tests.faults import FAULTS, OLDER, Fault, FaultyHouse
from tests.services import Service
from tests.small_yolo26 import small_legacy
from tests.traffic import Traffic
from tests.tritons import RunningTriton, running_triton

DETECTOR = "yolo26"
PARITY_SCENES = 16
SLOWER = 1.3
TIMES = 60  # of each side, to know how fast they are
RAMP = "/api/rollout/ramp"
LOOK_S = 0.2


@dataclass(frozen=True)
class Stack:
    house: FaultyHouse
    triton: RunningTriton
    legacy: Service
    backend: Backend

    def order(self, **words: Any) -> httpx.Response:
        """Start a ramp, or whatever else is asked of it."""
        body = {"action": "start", "detector": DETECTOR, "reason": "the proof", **words}
        url = self.backend.url + RAMP
        return httpx.post(url, json=body, headers=self.backend.admin, timeout=30, trust_env=False)

    @property
    def state(self) -> dict[str, Any]:
        return dict(self.backend.get("/api/rollout").json())

    @property
    def ramp(self) -> dict[str, Any]:
        """With what the leader said last, as `look`."""
        return dict(self.backend.get(RAMP).json()["ramps"][DETECTOR])

    def changes_since(self, version: int) -> list[dict[str, Any]]:
        """Oldest first."""
        changes = self.backend.get("/api/rollout/history?limit=200").json()["changes"]
        return [change for change in reversed(changes) if change["version"] > version]


@contextmanager
def proof_stack(house: FaultyHouse, **variables: str) -> Iterator[Stack]:
    house.plant({})
    with (
        running_triton(house.repository) as triton,
        small_legacy() as legacy,
        proof_backend(house, triton, legacy, **variables) as backend,
    ):
        yield Stack(house, triton, legacy, backend)


@contextmanager
def proof_backend(
    house: FaultyHouse, triton: RunningTriton, legacy: Service, **variables: str
) -> Iterator[Backend]:
    known: dict[str, Any] = {
        "TRITON_ENABLED": "true",
        "TRITON_REPOSITORY": str(house.repository),
        **variables,
    }
    with running_backend(legacy=legacy, triton=triton, **known) as backend:
        certify(house, triton, backend.var)
        yield backend


def certify(house: FaultyHouse, triton: RunningTriton, var: Path) -> None:
    """A certificate as `crossfade models parity` writes it, of few scenes and for the newer version."""
    settings = read_settings(triton_repository=house.repository, crossfade_var=var)
    (var / "run").mkdir(exist_ok=True)
    record.write(var, triton.record)
    told: list[str] = []
    options = ParityOptions(scenes=PARITY_SCENES, batches=(1,))
    assert run_parity(settings, {DETECTOR: house.newer}, options, told.append) == 0, told
    record.remove(var)


@dataclass(frozen=True)
class Run:
    """What one ramp came to."""

    fault: str
    phase: str
    reasons: tuple[str, ...]  # of all changes, in turn
    named: str  # what the leader says is wrong
    steps: tuple[float, ...]  # the fractions, in turn
    seconds: float  # since the fault, or since the start where there is none
    questions: dict[str, tuple[int, int]]  # when it was decided: worse, and all
    served: dict[str, int]  # answers by side, from start to end
    median_ms: dict[str, float]  # by side, since the fault, of those whom it served at once
    lost: tuple[str, ...]

    @property
    def highest(self) -> float:
        return max(self.steps, default=0.0)


def ramped(stack: Stack, traffic: Traffic, fault: Fault | None, timeout_s: float) -> Run:
    """A ramp from its start to its end: with a fault that comes in its first step, or healthy as far as it goes.

    Where it has not ended when the time is up, its phase says so.
    """
    before, first = stack.state["version"], len(traffic.answers)
    began, since = time.monotonic(), first
    started = stack.order()
    assert started.status_code == 200, started.text
    if fault is not None:
        require(stack, lambda: stack.ramp["phase"] != "baseline", timeout_s)
        began, since = time.monotonic(), len(traffic.answers)
        befall(stack, fault)
    became(lambda: stack.ramp["phase"] in {"watching", "ended"}, timeout_s)
    took_s = time.monotonic() - began
    run = _run(stack, traffic, fault.name if fault else "none", before, first, took_s)
    return replace(run, median_ms=_medians_ms(traffic, since))


def befall(stack: Stack, fault: Fault) -> None:
    if fault.name == "stale":
        stack.house.serve(stack.triton, OLDER)
    else:
        stack.house.plant(fault.table)


def became(holds: Callable[[], bool], timeout_s: float) -> bool:
    """Whether it came true in time."""
    ends_at = time.monotonic() + timeout_s
    while not (is_so := holds()) and time.monotonic() < ends_at:
        time.sleep(LOOK_S)
    return is_so


def require(stack: Stack, holds: Callable[[], bool], timeout_s: float) -> None:
    assert became(holds, timeout_s), f"{stack.ramp['look']}\n{stack.backend.log_text()[-2000:]}"


def _run(stack: Stack, traffic: Traffic, name: str, before: int, first: int, took_s: float) -> Run:
    changes = stack.changes_since(before)
    last = next((one for one in reversed(changes) if one["figures"]), changes[-1])
    figures = last["figures"] or {}
    sides = [one.side for one in traffic.answers[first:]]
    return Run(
        fault=name,
        phase=stack.ramp["phase"],
        reasons=tuple(one["reason"] for one in changes),
        named=figures.get("fault", ""),
        steps=_rising([one["after"]["overrides"].get(DETECTOR, 0.0) for one in changes]),
        seconds=round(took_s, 1),
        questions={
            one["question"]: (one["worse"], one["worse"] + one["same"] + one["better"])
            for one in figures.get("answers", ())
        },
        served={side: sides.count(side) for side in sorted(set(sides))},
        median_ms={},
        lost=tuple(traffic.lost),
    )


def _medians_ms(traffic: Traffic, since: int) -> dict[str, float]:
    times = {side: traffic.times_s(side, since) for side in ("legacy", "triton")}
    return {side: round(1000 * statistics.median(own), 1) for side, own in times.items() if own}


def _rising(fractions: Sequence[float]) -> tuple[float, ...]:
    """Each once, in turn."""
    return tuple(now for before, now in zip((0.0, *fractions), fractions, strict=False) if now != before)


def slower(stack: Stack, traffic: Traffic, times: float = SLOWER) -> Fault:
    """The median caller of Triton will wait as long as legacy's does now, times `times`: both are measured first."""
    legacy_s, triton_s = (statistics.median(_times_s(stack, traffic, fraction)) for fraction in (0.0, 1.0))
    stack.backend.set(fraction=0.0)
    return replace(FAULTS["slow"], table={"adds_s": times * legacy_s - triton_s})


def _times_s(stack: Stack, traffic: Traffic, fraction: float) -> list[float]:
    stack.backend.set(fraction=fraction)
    side, begun = "triton" if fraction else "legacy", len(traffic.answers)
    require(stack, lambda: len(traffic.times_s(side, begun)) >= TIMES, timeout_s=60)
    return traffic.times_s(side, begun)
