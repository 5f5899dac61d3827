"""The proof: a healthy Triton earns all requests, and each of nine faults is caught before it gets a quarter of them.

    python -m benchmarks.proof              # half an hour on 2 cores
    python -m benchmarks.proof --only slow  # one of them anew; what was found of the others stays

Everything is real: a legacy service, a Triton, a backend with its store, cameras that send over HTTP. A fault comes
in a ramp's first step, and what is kept is what the ramp made of it. docs/proof.md has the table.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.command import concluded
from benchmarks.machine import this_machine
from benchmarks.processes import ROOT
from benchmarks.progress import Progress
from benchmarks.proof_cases import CASES, Case
from benchmarks.proof_report import Proven, Report, as_text, save
from tests.faults import FAULTS, NEWER, FaultyHouse, build_house
from tests.proof_stack import Stack, proof_backend, ramped, slower
from tests.services import Service
from tests.small_yolo26 import small_legacy
from tests.traffic import frames, watched
from tests.tritons import RunningTriton, running_triton

RESULTS = ROOT / "benchmarks" / "results"


def prove(cases: Sequence[Case]) -> Report:
    machine, progress = this_machine(), Progress(len(cases))
    progress.say("drawing the cameras' pictures, building both versions")
    frames()
    with tempfile.TemporaryDirectory(prefix="crossfade-proof-") as created:
        house = build_house(Path(created))
        with running_triton(house.repository) as triton, small_legacy() as legacy:
            report = Report(machine, ())
            for case in cases:
                report = report.and_also(_proven(case, house, triton, legacy, progress))
                save(report, RESULTS)  # it takes half an hour, and somebody may stop it
    progress.done()
    return report


def _proven(
    case: Case, house: FaultyHouse, triton: RunningTriton, legacy: Service, progress: Progress
) -> Proven:
    """Each with a backend and a store of its own, healthy as it begins."""
    progress.say(case.title)
    house.plant({})
    house.serve(triton, NEWER)
    with proof_backend(house, triton, legacy, **case.variables) as backend:
        stack = Stack(house, triton, legacy, backend)
        with watched(backend.url, case.per_s) as traffic:
            backend.set(fraction=0.0, shadow=case.shadow)
            fault = slower(stack, traffic) if case.fault == "slow" else FAULTS.get(case.fault)
            run = ramped(stack, traffic, fault, case.timeout_s)
    proven = Proven.of(case, run)
    progress.step(f"{case.title}: {proven.verdict}")
    return proven


def _cases(arguments: Sequence[str] | None) -> Sequence[Case]:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.proof", description="Healthy, and nine faults."
    )
    names = [case.title for case in CASES]
    parser.add_argument("--only", nargs="+", choices=names, metavar="CASE", help=", ".join(names))
    only = parser.parse_args(arguments).only
    return [case for case in CASES if not only or case.title in only]


def main(arguments: Sequence[str] | None = None) -> None:
    cases = _cases(arguments)
    report = concluded(lambda: prove(cases), save, as_text, RESULTS)
    if not all(one.holds for one in report.proven):
        sys.exit("the proof does not hold")


if __name__ == "__main__":
    main()
