"""What Crossfade itself costs a request, in processes of its own, where nobody infers.

    python -m benchmarks.overhead            # 2 minutes on 2 cores
    python -m benchmarks.overhead --quick    # seconds; shows that it works, no more

One detect over sides that do nothing and its parts (`benchmarks.detect_cost`), each observer alone, what a request
holds in memory, the shadow at 0, 10 and 100 %, and the stores. CPU time of the process, unless a column says wall.
What the client costs over bare gRPC is `benchmarks.client`'s, what the backend costs over a bare route
`benchmarks.backend`'s.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter

from benchmarks.baseline import commit
from benchmarks.command import concluded
from benchmarks.detect_cost import Part
from benchmarks.growth.timing import Plan
from benchmarks.machine import this_machine
from benchmarks.meter import Reading
from benchmarks.options import with_output
from benchmarks.overhead.held import Held
from benchmarks.overhead.page import as_text
from benchmarks.overhead.report import SCHEMA, SUITE, Report, Settings
from benchmarks.overhead.shadow_cost import ShadowRow
from benchmarks.overhead.store_cost import StoreRow, costs
from benchmarks.processes import ROOT
from benchmarks.progress import Progress
from benchmarks.suite import told_by

LONGEST_S = 300.0  # of one part
FLAGS = ("TRITON_ENABLED=true", "TRITON_TRAFFIC_FRACTION=0.1", "TRITON_SHADOW_FRACTION=0")

_PARTS, _SHADOW = TypeAdapter(tuple[Part, ...]), TypeAdapter(tuple[ShadowRow, ...])
_HELD = TypeAdapter(Held)


def measure(settings: Settings) -> Report:
    machine, began_at, progress = this_machine(), time.monotonic(), Progress(7)
    others = Others()
    parts = _parts(["benchmarks.detect_cost"], settings)
    progress.step("one detect and its parts")
    observers = _observers(settings)
    progress.step("observers")
    client = _parts(["benchmarks.overhead.client_parts"], settings)
    progress.step("TritonClient's parts")
    transports = _parts(["benchmarks.overhead.transports"], settings)
    progress.step("transports")
    held = _HELD.validate_json(told_by(["benchmarks.overhead.held"], LONGEST_S))
    progress.step("memory")
    shadow = _shadow(settings)
    progress.step("shadow")
    stores = _stores(settings)
    progress.step("stores")
    progress.done()
    return Report(
        SCHEMA, SUITE, datetime.now(UTC).isoformat(timespec="seconds"), commit(),
        round(time.monotonic() - began_at, 1), machine, settings, others.cores, parts, observers, client,
        transports, held, shadow, stores,
    )  # fmt: skip


class Others:
    """Cores kept busy by processes that are neither this one nor its children, those that have ended."""

    def __init__(self) -> None:
        self._began = Reading.take()
        self._ours_s = _with_children_s()

    @property
    def cores(self) -> float:
        now = Reading.take()
        machine_s = now.machine_s - self._began.machine_s
        wall_s = (now.at_ns - self._began.at_ns) / 1e9
        return max(0.0, machine_s - (_with_children_s() - self._ours_s)) / wall_s


def _with_children_s() -> float:
    return sum(os.times()[:4])


def _parts(module: Sequence[str], settings: Settings, *variables: str) -> tuple[Part, ...]:
    command = [*module, f"--repeats={settings.repeats}", f"--calls={settings.calls}"]
    return _PARTS.validate_json(told_by(command, LONGEST_S, *variables))


def _observers(settings: Settings) -> tuple[Part, ...]:
    """Those of several workers share their figures through files: prometheus_client decides that at its import."""
    module = "benchmarks.overhead.observers"
    with tempfile.TemporaryDirectory() as shared:
        several = _parts([module, f"--several={shared}"], settings, f"PROMETHEUS_MULTIPROC_DIR={shared}")
    return (*_parts([module], settings), *several)


def _shadow(settings: Settings) -> tuple[ShadowRow, ...]:
    command = ["benchmarks.overhead.shadow_cost", f"--rounds={settings.shadow_rounds}"]
    return _SHADOW.validate_json(told_by([*command, f"--calls={settings.shadow_calls}"], LONGEST_S, *FLAGS))


def _stores(settings: Settings) -> tuple[StoreRow, ...]:
    with tempfile.TemporaryDirectory(prefix="crossfade-bench-") as folder:
        return tuple(costs(Plan(settings.store_rounds, settings.store_window_s), Path(folder)))


def save(report: Report, folder: Path) -> list[Path]:
    path = folder / f"{SUITE}-{report.settings.name}.json"
    report.save(path)
    return [path]


_FULL = {
    "repeats": 15, "calls": 2_000, "shadow_rounds": 9, "shadow_calls": 500, "store_rounds": 7, "store_window_s": 0.2,
    "out": ROOT / "benchmarks" / "results", "name": "cpu",
}  # fmt: skip
_QUICK = {
    "repeats": 3, "calls": 100, "shadow_rounds": 2, "shadow_calls": 40, "store_rounds": 2, "store_window_s": 0.01,
    "out": ROOT / "var" / "benchmarks", "name": "quick",
}  # fmt: skip


def settings_of(words: Sequence[str] | None) -> tuple[Settings, Path]:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.overhead", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )  # fmt: skip
    parser.add_argument("--name", help="of the result: overhead-NAME.json; `cpu` if not said")
    told = vars(with_output(parser, words, quick=_QUICK, full=_FULL))
    told.pop("quick")
    out = told.pop("out")
    return Settings(**told), out


def main(words: Sequence[str] | None = None) -> None:
    settings, out = settings_of(words)
    concluded(lambda: measure(settings), save, as_text, out)


if __name__ == "__main__":
    main()
