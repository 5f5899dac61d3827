"""The soak: `python -m tests.chaos.soak [--minutes 120] [--seed S] [--json FILE] [--leak KIND]`.

Half of what the stack can carry, for hours, with a fault a minute; at the end nothing may have grown, nobody may have
gone without an answer, and every fault must have been got over. With `--leak` the backend is given one, and the soak
passes by naming it. It keeps what it has when it is interrupted, and ends with 1 where something was wrong.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.chaos import soak_faults
from tests.chaos.crowds import answers_per_s
from tests.chaos.house import House, running_house
from tests.chaos.leaks import LEAST_SAMPLES, Judged, judged
from tests.chaos.load import carried
from tests.chaos.long_load import LongLoad
from tests.chaos.planted_leaks import COUNTS, LEAKS
from tests.chaos.sampling import Sample, Sampler
from tests.chaos.soak_faults import FAULTS, SHADOW, Ground, Suffered
from tests.chaos.soak_report import keep, minute, table
from tests.threads import running

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "soak.json"
WORKERS = 2  # as it is deployed: a store, metrics files and a launcher that they share, any of which may leak
MEASURE_S = 4.0
HALF = 0.5
MOST_PER_S = 100.0  # whatever a quick machine could carry
LONGEST_MINUTES = 24 * 60.0
WARM_SHARE = 1 / 3


@dataclass(frozen=True)
class Plan:
    minutes: float = 120.0
    seed: int = 1
    fault_every_s: float = 60.0
    sample_every_s: float = 5.0
    settling_s: float = 20.0  # after a fault, until a moment counts as quiet
    most_per_s: float = MOST_PER_S
    measure_s: float = MEASURE_S  # the capacity of each side
    leaks: tuple[str, ...] = ()

    @property
    def lasts_s(self) -> float:
        return 60 * self.minutes

    @property
    def quiet_end_s(self) -> float:
        """After the last fault: enough to judge by, however long the faults were."""
        return self.settling_s + 1.5 * LEAST_SAMPLES * self.sample_every_s

    @property
    def warm_at_s(self) -> float:
        """Every fault was had once; or a third is over."""
        return min(len(FAULTS) * self.fault_every_s, WARM_SHARE * self.lasts_s)


@dataclass
class Soak:
    """What was found out so far; may be read at any moment."""

    plan: Plan
    capacity_per_s: dict[str, float] = field(default_factory=dict)
    per_s: float = 0.0
    samples: list[Sample] = field(default_factory=list)
    suffered: list[Suffered] = field(default_factory=list)
    load: LongLoad | None = None
    began: float = 0.0
    in_fault: bool = False
    interrupted: bool = False

    @property
    def at_s(self) -> float:
        return time.monotonic() - self.began

    @property
    def quiet(self) -> bool:
        last = self.suffered[-1] if self.suffered else None
        settled = last is None or self.at_s - last.at_s - last.took_s >= self.plan.settling_s
        return settled and not self.in_fault

    def verdict(self) -> list[Judged]:
        return [self._answered(), self._recovered(), *judged(self.samples, self.plan.warm_at_s)]

    def _answered(self) -> Judged:
        assert self.load is not None
        kept = self.load.kept
        words = f"{kept.failed} of {len(kept)} requests failed" + (
            f": {kept.failures[:3]}" if kept.failed else ""
        )
        return Judged("answered", not kept.failed and not self.load.skipped and len(kept) > 0, words)

    def _recovered(self) -> Judged:
        wrong = [f"{one.name}: {one.wrong}" for one in self.suffered if one.wrong]
        words = f"{len(self.suffered) - len(wrong)} of {len(self.suffered)} faults were got over"
        return Judged("recovered", not wrong, "; ".join((words, *wrong[:3])))


def run(plan: Plan, file: Path | None = None) -> Soak:
    """Writes the file every minute, and at the end, whatever ends it."""
    soak = Soak(plan)
    with tempfile.TemporaryDirectory() as counts, _house(plan, counts) as house:
        soak.capacity_per_s = _capacity(house, plan.measure_s)
        soak.per_s = round(min(plan.most_per_s, HALF * min(soak.capacity_per_s.values())), 1)
        print(f"carries {soak.capacity_per_s}, asked {soak.per_s}/s", flush=True)
        load = LongLoad(house.backend.url, soak.per_s, plan.lasts_s + 600)
        try:
            with _interruptible(), carried(load):
                _last(soak, house, load, Sampler(house, Path(counts)), file)
        except KeyboardInterrupt:
            soak.interrupted = True
        keep(soak, file)
    return soak


def _house(plan: Plan, counts: str) -> AbstractContextManager[House]:
    patches = ("its tasks are counted", *(f"a leak of {kind}" for kind in plan.leaks))
    variables = {COUNTS: counts, "TRITON_SHADOW_FRACTION": str(SHADOW), "LOG_SAMPLE": "0.01"}
    return running_house(variables, through_proxies=True, without=patches, workers=WORKERS)


def _capacity(house: House, for_s: float) -> dict[str, float]:
    """Of either side, since either must carry everything for a while."""
    found = {"triton": answers_per_s(house.backend.url, for_s)}
    house.backend.set(fraction=0.0)
    found["legacy"] = answers_per_s(house.backend.url, for_s)
    house.backend.set(fraction=1.0, shadow=SHADOW)
    return {side: round(per_s, 1) for side, per_s in found.items()}


def _last(soak: Soak, house: House, load: LongLoad, sampler: Sampler, file: Path | None) -> None:
    ground = Ground(house, load, Random(soak.plan.seed))
    ground.until_served_by("triton")
    soak.load, soak.began = load, time.monotonic()
    with _watched(soak, sampler, file):
        names, due_s = soak_faults.drawn(ground.random), soak.plan.fault_every_s / 2
        while due_s < soak.plan.lasts_s:
            time.sleep(max(0.0, due_s - soak.at_s))
            soak.in_fault = True
            soak.suffered.append(soak_faults.suffer(next(names), ground, soak.began))
            soak.in_fault = False
            due_s = max(due_s + soak.plan.fault_every_s, soak.at_s)
        time.sleep(max(soak.plan.quiet_end_s, soak.plan.lasts_s - soak.at_s))


@contextmanager
def _watched(soak: Soak, sampler: Sampler, file: Path | None) -> Iterator[None]:
    ending = threading.Event()
    with running(lambda: _watch(soak, sampler, file, ending), ending.set, 60):
        yield


def _watch(soak: Soak, sampler: Sampler, file: Path | None, ending: threading.Event) -> None:
    assert soak.load is not None
    minutes = 0
    while not ending.wait(soak.plan.sample_every_s):
        quiet = soak.quiet
        try:
            sample = sampler.look(soak.at_s, len(soak.load.kept), quiet)
        except Exception as error:  # noqa: BLE001 - one look less
            print(f"could not look: {error!r}", flush=True)
            continue
        soak.samples.append(sample)
        if soak.at_s >= 60 * (minutes + 1):
            minutes += 1
            print(minute(soak), flush=True)
            keep(soak, file)


@contextmanager
def _interruptible() -> Iterator[None]:
    """By SIGTERM as by Ctrl-C."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def main(arguments: Sequence[str]) -> int:
    asked = _parsed(arguments)
    plan = Plan(
        asked.minutes, asked.seed, asked.fault_every_s, leaks=tuple(asked.leak),
        sample_every_s=min(5.0, max(1.0, asked.minutes)), settling_s=min(20.0, asked.fault_every_s / 3),
    )  # fmt: skip
    soak = run(plan, asked.json)
    print("\n" + table(soak))
    wrong = {one.kind for one in soak.verdict() if not one.holds}
    return int(not set(plan.leaks) <= wrong if plan.leaks else bool(wrong))


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.soak", description=__doc__)
    parser.add_argument("--minutes", type=_minutes, default=120.0)
    parser.add_argument("--seed", type=int, default=1, help="which fault comes when")
    parser.add_argument("--fault-every-s", type=float, default=60.0)
    parser.add_argument(
        "--leak", action="append", default=[], choices=sorted(LEAKS), help="plant one, or several"
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", default=RESULTS, help="where the figures are kept"
    )
    return parser.parse_args(arguments)


def _minutes(text: str) -> float:
    minutes = float(text)
    if not 0 < minutes <= LONGEST_MINUTES:
        raise argparse.ArgumentTypeError(f"a number up to {LONGEST_MINUTES:g}")
    return minutes


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
