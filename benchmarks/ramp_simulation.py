"""Whole ramps in a drawn world, a thousand of them: how often a healthy Triton goes back, how soon an ill one does.

    python -m benchmarks.ramp_simulation [--runs 1000] [--seed 1]

What decides is the very function that decides in the backend; drawn are only the samples. docs/ramp.md tells more.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np

from ai.triton.comparing.certificate import Standing
from backend.ramp.deciding import Situation, decide
from backend.ramp.figures import Policy
from backend.ramp.holding import Conditions
from backend.ramp.noted import Noted
from backend.ramp.serving import served_fraction
from backend.rollout.books import bin_of, longest_s
from backend.rollout.ramps import Ramp
from backend.settings import Settings

NAME: Final = "ramp-simulation.json"
RESULTS: Final = Path(__file__).with_name("results")
LOOK_S: Final = 30.0  # simulated, between two looks
SAMPLES: Final = 20  # of evidence, in that time
REQUESTS: Final = 2000
TIMES: Final = 40
FRESH: Final = 2
TYPICAL_S: Final = 0.06
SPREAD: Final = 0.35  # of the times' logarithms
MAX_LOOKS: Final = 6000
WATCHED: Final = 200  # looks at 100 %
LATE_STEP: Final = 3
EVERYTHING_HOLDS = Conditions(lambda _version: Standing(True, "simulated"), headroom=2.0, shadow=0.1)


@dataclass(frozen=True, slots=True)
class World:
    """What is true of the two sides."""

    name: str
    noise: float = 0.002  # legacy disagrees with itself, and an equal Triton with it
    disagreement: float = 0.0  # more than that
    errors: float = 0.0001
    slower: float = 1.0  # Triton's times over those of legacy
    drift: float = 1.0  # both sides' times over those of the baseline
    from_step: int = 0  # the fault comes with this step; before it Triton is healthy


HEALTHY: Final = World("healthy")
WORLDS: Final = (
    HEALTHY,
    World("2 % disagree", disagreement=0.02),
    World("5 % disagree", disagreement=0.05),
    World("30 % disagree", disagreement=0.3),
    World("0.5 % errors", errors=0.005),
    World("1 % errors", errors=0.01),
    World("every call fails", errors=1.0),
    World("15 % slower", slower=1.15),
    World("30 % slower", slower=1.3),
    World("5 % disagree from 75 % on", disagreement=0.05, from_step=LATE_STEP),
    World("1 % errors from 75 % on", errors=0.01, from_step=LATE_STEP),
    World("30 % slower from 75 % on", slower=1.3, from_step=LATE_STEP),
    World("both sides 10 % slower than before", drift=1.1),
)


@dataclass(frozen=True, slots=True)
class Run:
    """One ramp, from its start to the end of the watch."""

    phase: str
    highest: float  # share that Triton got
    samples: int  # of evidence, from the fault on
    looks: int
    ended: str = ""

    @property
    def earned(self) -> bool:
        return self.phase == "watching"

    @property
    def rolled_back(self) -> bool:
        return self.phase == "ended"


@dataclass(frozen=True, slots=True)
class Found:
    """What came of all runs in one world."""

    world: World
    runs: int
    earned: int
    rolled_back: int
    under_a_quarter: int  # never got 25 %
    median_samples: float | None  # of evidence, from the fault to the rollback
    median_hours: float  # simulated, of a whole run
    by_question: dict[str, int]


class Simulation:
    """A look comes after so much as was drawn in `spell` times 30 s."""

    def __init__(self, world: World, policy: Policy, seed: int, spell: int = 1) -> None:
        self._world = world
        self._spell = spell
        self._policy = policy
        self._random = np.random.default_rng(seed)
        self._counts: Counter[str] = Counter()
        self._samples = 0

    def run(self, steps: tuple[float, ...]) -> Run:
        ramp, noted, highest, watched, looks = Ramp("r", steps), Noted("r.1"), 0.0, 0, 0
        while ramp.is_on and watched < WATCHED and looks < MAX_LOOKS:
            looks += self._spell
            self._draw(ramp)
            now = looks * LOOK_S
            found = decide(
                Situation("d", ramp, self._counts, noted, EVERYTHING_HOLDS, self._policy, now, tell=False)
            )
            noted = found.noted
            if found.ramp.epoch != ramp.epoch:
                self._counts, noted = Counter(), Noted(found.ramp.epoch)
            ramp = found.ramp
            highest = max(highest, served_fraction(ramp) or 0.0)
            watched += self._spell * (ramp.phase == "watching")
        return Run(ramp.phase, highest, self._samples, looks, ramp.ended)

    def _draw(self, ramp: Ramp) -> None:
        self._counts["version.1"] += self._spell * SAMPLES
        if ramp.phase == "baseline":
            self._add_times("legacy", self._times(self._spell * TIMES, 1.0))
            return
        ill = ramp.step >= self._world.from_step
        world = self._world if ill else HEALTHY
        self._samples += self._spell * SAMPLES if ill else 0
        self._draw_pairs(world)
        asked = self._random.binomial(self._spell * REQUESTS, served_fraction(ramp) or 0.0)
        failed = int(self._random.binomial(asked, world.errors))
        self._counts.update({"errors.1": failed, "errors.0": asked - failed, "error.unavailable": failed})
        self._draw_times(world, ramp)

    def _draw_pairs(self, world: World) -> None:
        worse = min(world.noise + world.disagreement, 1 - world.noise)
        shares = [worse, 1 - worse - world.noise, world.noise]
        drawn = self._random.multinomial(self._spell * SAMPLES, shares)
        for value, count in zip((1, 0, -1), drawn, strict=True):
            self._counts[f"disagreement.{value}"] += int(count)
        self._counts["compared.same"] += self._spell * SAMPLES

    def _draw_times(self, world: World, ramp: Ramp) -> None:
        """Only on which side of θ each lies: no decision asks for more."""
        assert ramp.slow_bin is not None
        times = self._times(self._spell * TIMES, world.slower * world.drift)
        slow = int((times > longest_s(ramp.slow_bin)).sum())
        self._counts.update(
            {
                f"time.triton.{ramp.slow_bin + 1}": slow,
                f"time.triton.{ramp.slow_bin}": self._spell * TIMES - slow,
            }
        )
        fresh = self._spell * FRESH
        triton = self._times(fresh, world.slower * world.drift)
        legacy = self._times(fresh * 19, world.drift).reshape(fresh, 19)
        slower = int((triton > legacy.max(axis=1)).sum())
        self._counts.update({"fresh.1": slower, "fresh.0": fresh - slower})

    def _times(self, number: int, factor: float) -> Any:
        return TYPICAL_S * factor * np.exp(SPREAD * self._random.standard_normal(number))

    def _add_times(self, side: str, times: Any) -> None:
        for one in times:
            self._counts[f"time.{side}.{bin_of(one)}"] += 1


def simulated(world: World, runs: int, seed: int = 1, spell: int = 1, **changed: Any) -> tuple[Run, ...]:
    """The same seed draws the same runs; steps, bounds and alphas are the defaults, where they are not `changed`."""
    settings = Settings(_env_file=None, **changed)
    policy = Policy.of(settings)
    return tuple(
        Simulation(world, policy, seed * 1_000_003 + number, spell).run(settings.ramp_steps)
        for number in range(runs)
    )


def found_in(world: World, runs: Sequence[Run]) -> Found:
    back = [run for run in runs if run.rolled_back]
    return Found(
        world,
        len(runs),
        sum(run.earned for run in runs),
        len(back),
        sum(run.highest < 0.25 for run in runs),
        median(run.samples for run in back) if back else None,
        round(median(run.looks for run in runs) * LOOK_S / 3600, 2),
        dict(Counter(_question(run) for run in back)),
    )


def _question(run: Run) -> str:
    words = run.ended.removeprefix("rolled back: ")
    if words.startswith("slower"):
        return "latency"
    return "errors" if "every call fails" in words or words.startswith("errors") else "disagreement"


def as_text(found: Sequence[Found]) -> str:
    """Markdown, for docs/ramp.md."""
    lines = ["| world | runs | earned 100 % | rolled back | never got 25 % | samples to the rollback |",
             "| --- | --- | --- | --- | --- | --- |"]  # fmt: skip
    for one in found:
        samples = "–" if one.median_samples is None else f"{one.median_samples:,.0f}"
        lines.append(
            f"| {one.world.name} | {one.runs:,} | {one.earned:,} | {one.rolled_back:,} "
            f"| {one.under_a_quarter:,} | {samples} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--runs", type=int, default=1000, help="of the healthy world; each other one has a fifth"
    )
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    began = time.monotonic()
    found = []
    for world in WORLDS:
        runs = options.runs if world is HEALTHY else max(1, options.runs // 5)
        found.append(found_in(world, simulated(world, runs, options.seed)))
        print(as_text(found[-1:]).splitlines()[-1], flush=True)
    table = {
        "schema": 1,
        "seed": options.seed,
        "took_s": round(time.monotonic() - began, 1),
        "worlds": [asdict(one) for one in found],
    }
    (RESULTS / NAME).write_text(json.dumps(table, indent=1) + "\n")
    print(as_text(found))


if __name__ == "__main__":
    main()
