"""Whether the evidence holds: simulated ramps, looked at after every sample, wrong no more often than is promised.

    python -m benchmarks.evidence            # 20,000 ramps of each kind; 3 to 7 minutes
    python -m benchmarks.evidence --quick    # 400 of each, into var/benchmarks: seconds, shows that it works

Nothing of it depends on how fast the machine is. It ends with an error where evidence was wrong more often than chance
explains, and where a control that has to fail did not.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from benchmarks.baseline import commit
from benchmarks.evidence_delays import Delay, delays
from benchmarks.evidence_scenarios import (
    PROMOTE_ALPHA,
    SURE,
    Finding,
    band_misses,
    findings,
    late_promotions,
    scenarios,
)
from benchmarks.options import whole_number_to, with_output
from benchmarks.processes import ROOT
from benchmarks.progress import Progress
from benchmarks.table import grid

SCHEMA = 1
SEED = 20_260_101


@dataclass(frozen=True, slots=True)
class Report:
    schema_version: int
    suite: str
    date: str
    commit: str | None
    numpy: str
    seed: int
    streams: int  # of each scenario
    delay_streams: int
    sure: float  # that a right test stays within what is allowed
    findings: tuple[Finding, ...]
    delays: tuple[Delay, ...]

    @property
    def faults(self) -> tuple[str, ...]:
        return tuple(fault for one in self.findings for fault in faults_of(one))


def faults_of(finding: Finding) -> Iterator[str]:
    """A promise that does not hold; a control that holds although it must not."""
    counted = f"{finding.scenario}: {finding.happened} false {finding.claim}s of {finding.streams}"
    if finding.promised == "yes" and not finding.holds:
        yield f"{counted}, {finding.allowed} are allowed"
    if finding.promised == "breaks" and finding.holds:
        yield f"{counted}; the control has to have more than {finding.allowed}"


def run(streams: int, delay_streams: int, seed: int = SEED) -> Report:
    found, progress = list[Finding](), Progress(len(scenarios()) + 3)
    for number, scenario in enumerate(scenarios()):
        # Each has random numbers of its own: a new scenario changes none of the others.
        found += findings(scenario, np.random.default_rng([seed, number]), streams)
        progress.step(scenario.name)
    found += late_promotions(np.random.default_rng([seed, 1000]), streams)
    progress.step("late faults")
    found += band_misses(np.random.default_rng([seed, 2000]), streams)
    progress.step("bands")
    took = tuple(delays(np.random.default_rng([seed, 3000]), delay_streams))
    progress.step("delays")
    progress.done()
    return Report(
        SCHEMA, "evidence", datetime.now(UTC).isoformat(timespec="seconds"), commit(), np.__version__,
        seed, streams, delay_streams, SURE, tuple(found), took,
    )  # fmt: skip


# --- as text --------------------------------------------------------------------------------------------------


def as_text(report: Report) -> str:
    parts = [
        f"Of {report.streams:,} ramps each, looked at after every sample or batch; seed {report.seed}",
        *grid([_FINDING_HEAD, *map(_finding_row, report.findings)]),
        "",
        f"Samples until it is said, of {report.delay_streams:,} ramps each",
        *grid([_DELAY_HEAD, *map(_delay_row, report.delays)]),
        "",
        *(f"WRONG: {fault}" for fault in report.faults),
    ]
    return "\n".join(parts)


_FINDING_HEAD = ["scenario", "false", "promised", "τ", "alpha", "samples", "happened", "allowed", "naive"]
_DELAY_HEAD = ["said", "what", "τ", "truth", "median", "9 in 10", "never", "horizon"]


def _finding_row(one: Finding) -> list[str]:
    naive = "-" if one.naive is None or one.alpha != PROMOTE_ALPHA else f"{one.naive / one.streams:.1%}"
    return [
        one.scenario, one.claim, one.promised, f"{one.bound:g}", f"{one.alpha:g}", str(one.samples),
        f"{one.happened / one.streams:.2%}", f"{one.allowed / one.streams:.2%}", naive,
    ]  # fmt: skip


def _delay_row(one: Delay) -> list[str]:
    return [
        one.claim, one.what, f"{one.bound:g}", one.rate, _whole(one.median), _whole(one.nine_in_ten),
        f"{one.never / one.streams:.1%}", str(one.horizon),
    ]  # fmt: skip


def _whole(samples: int | None) -> str:
    return "-" if samples is None else f"{samples:,}"


# --- the command ----------------------------------------------------------------------------------------------


def save(report: Report, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "evidence.json"
    path.write_text(json.dumps(asdict(report), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


_FULL = {"streams": 20_000, "delay_streams": 1000, "out": ROOT / "benchmarks" / "results"}
_QUICK = {"streams": 400, "delay_streams": 100, "out": ROOT / "var" / "benchmarks"}


def arguments_of(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.evidence",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--streams", type=whole_number_to(1_000_000), help="ramps of each scenario")
    parser.add_argument("--delay-streams", type=whole_number_to(2000))
    return with_output(parser, words, quick=_QUICK, full=_FULL)


def main(words: Sequence[str] | None = None) -> None:
    options = arguments_of(words)
    report = run(options.streams, options.delay_streams)
    path = save(report, options.out)
    print(as_text(report))
    print(f"Written: {path}")
    if report.faults:
        sys.exit(f"{len(report.faults)} promises were not kept")


if __name__ == "__main__":
    main()
