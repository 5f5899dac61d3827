"""A comparison as data: what the JSON file holds, and what follows from it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from benchmarks.loadgen import Measurement
from benchmarks.machine import Machine
from benchmarks.report import DISTURBED_CORES, Cell, Spread, beside_ceiling, summarise

SCHEMA = 1
BASE, CEILING, UNBATCHED = "legacy", "nothing", "unbatched"
BATCHED_TWIN = "f32"  # of UNBATCHED
REFERENCE = "torch"  # the legacy service's engine
TARGET_CALLERS = 8
TARGET_RPS, TARGET_P95 = 5.0, 0.2  # times the legacy service's


@dataclass(frozen=True, slots=True)
class Settings:
    callers: tuple[int, ...]
    size: str
    seconds: float
    loop_seconds: float
    ceiling_seconds: float
    rounds: int
    timeout_s: float
    pictures: int
    jpeg_quality: int


@dataclass(frozen=True, slots=True)
class Window:
    """One run of the generator."""

    round: int
    side: str
    callers: int
    run: Measurement
    batch: float | None  # pictures per execution, where a Triton counts them


@dataclass(frozen=True, slots=True)
class Pace:
    """One engine in one process, in one round."""

    engine: str
    batch: int
    images_per_s: float


@dataclass(frozen=True, slots=True)
class Row:
    """One side at one number of callers."""

    cell: Cell
    batch: Spread | None  # pictures per execution

    @property
    def disturbed(self) -> bool:
        return (self.cell.other_cpu_cores or 0.0) >= DISTURBED_CORES


@dataclass(frozen=True, slots=True)
class Ratio:
    """A side's figures over another's, of the same round: median, lowest and highest of the rounds."""

    side: str
    against: str
    callers: int
    rps: Spread
    p50: Spread
    p95: Spread


@dataclass(frozen=True, slots=True)
class Loop:
    """An engine in one process, without a server."""

    engine: str
    batch: int
    images_per_s: Spread
    ratio: Spread  # to torch, one picture at a time, of the same round


@dataclass(frozen=True, slots=True)
class Target:
    side: str
    what: str
    wanted: str
    measured: float
    met: bool
    disturbed: bool  # other processes were at work: then neither word is earned


@dataclass(frozen=True, slots=True)
class Parts:
    """total = engine × side_by_side × rest."""

    side: str
    callers: int
    total: float
    engine: float  # one picture at a time, in one process: OpenVINO over torch
    side_by_side: float  # in one process: several pictures at once over one at a time
    rest: float  # both servers: HTTP, processes, waiting, what overlaps


@dataclass(frozen=True, slots=True)
class Comparison:
    schema_version: int
    suite: str
    name: str
    date: str
    commit: str | None
    machine: Machine
    settings: Settings
    server: dict[str, Any]  # what Triton said of itself
    sides: dict[str, dict[str, Any]]  # what each of them is
    objects: dict[str, int]  # that each found in all pictures
    rows: tuple[Row, ...]
    ratios: tuple[Ratio, ...]
    loops: tuple[Loop, ...]

    @property
    def errors(self) -> int:
        return sum(sum(row.cell.errors.values()) + row.cell.busy for row in self.rows)

    @property
    def measured(self) -> list[Row]:
        return [row for row in self.rows if row.cell.service != CEILING]

    @property
    def smallest_ceiling_ratio(self) -> float | None:
        ratios = (row.cell.ceiling_ratio for row in self.measured)
        return min((ratio for ratio in ratios if ratio is not None), default=None)

    def row(self, side: str, callers: int) -> Row:
        return next(row for row in self.rows if (row.cell.service, row.cell.callers) == (side, callers))

    def ratio(self, side: str, callers: int, against: str = BASE) -> Ratio | None:
        wanted = (side, against, callers)
        return next((one for one in self.ratios if (one.side, one.against, one.callers) == wanted), None)

    def loop(self, engine: str, batch: int) -> Loop | None:
        return next((one for one in self.loops if (one.engine, one.batch) == (engine, batch)), None)

    def engine_of(self, side: str) -> str:
        about = self.sides[side]
        return f"{about['engine']} {about['precision']}"

    def targets(self) -> Iterator[Target]:
        for one in self.ratios:
            if one.against != BASE or one.callers != TARGET_CALLERS or one.side == UNBATCHED:
                continue
            rps, p95 = one.rps.median, one.p95.median
            disturbed = any(self.row(side, one.callers).disturbed for side in (one.side, BASE))
            yield Target(one.side, "requests/s", f"≥ {TARGET_RPS:g}", rps, rps >= TARGET_RPS, disturbed)
            yield Target(one.side, "p95", f"≤ {TARGET_P95:g}", p95, p95 <= TARGET_P95, disturbed)

    def parts(self) -> Iterator[Parts]:
        """With one caller there is nothing to put side by side."""
        for one in self.ratios:
            alone, many = (self.loop(self.engine_of(one.side), batch) for batch in (1, 8))
            if one.against != BASE or alone is None or many is None:
                continue
            batches = one.callers > 1 and one.side != UNBATCHED
            engine = alone.ratio.median
            side_by_side = many.ratio.median / engine if batches else 1.0
            total = one.rps.median
            yield Parts(one.side, one.callers, total, engine, side_by_side, total / engine / side_by_side)

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_JSON.dump_json(self, indent=2) + b"\n")

    @classmethod
    def read(cls, path: Path) -> Comparison:
        return _JSON.validate_json(path.read_bytes())


_JSON = TypeAdapter(Comparison)


def rows_of(windows: Sequence[Window], size: str, jpeg_bytes: int) -> tuple[Row, ...]:
    groups = _by_side_and_callers(windows)
    cells = [
        summarise(side, size, jpeg_bytes, [window.run for window in some])
        for (side, _), some in groups.items()
    ]
    cells = list(beside_ceiling(cells, [cell for cell in cells if cell.service == CEILING]))
    return tuple(Row(cell, _batch(some)) for cell, some in zip(cells, groups.values(), strict=True))


def ratios_of(windows: Sequence[Window]) -> tuple[Ratio, ...]:
    sides = dict.fromkeys(window.side for window in windows)
    pairs = [(side, BASE) for side in sides if side not in (BASE, CEILING)]
    if UNBATCHED in sides and BATCHED_TWIN in sides:
        pairs.append((BATCHED_TWIN, UNBATCHED))
    groups = _by_side_and_callers(windows)
    callers = dict.fromkeys(window.callers for window in windows)
    found = (
        _ratio(side, against, number, groups[side, number], groups[against, number])
        for side, against in pairs
        for number in callers
    )
    return tuple(one for one in found if one)


def loops_of(rounds: Sequence[Sequence[Pace]]) -> tuple[Loop, ...]:
    tables = [{(pace.engine, pace.batch): pace.images_per_s for pace in paces} for paces in rounds]
    return tuple(
        Loop(
            engine, batch,
            Spread.of([table[engine, batch] for table in tables]),
            Spread.of([table[engine, batch] / table[REFERENCE, 1] for table in tables]),
        )
        for engine, batch in tables[0]
    )  # fmt: skip


def _by_side_and_callers(windows: Iterable[Window]) -> dict[tuple[str, int], list[Window]]:
    groups: dict[tuple[str, int], list[Window]] = {}
    for window in sorted(windows, key=lambda window: window.round):
        groups.setdefault((window.side, window.callers), []).append(window)
    return groups


def _ratio(
    side: str, against: str, callers: int, ours: Sequence[Window], theirs: Sequence[Window]
) -> Ratio | None:
    """None where in some round one of the two answered nothing."""
    spreads = []
    for figure in ("rps", "p50_ms", "p95_ms"):
        values = [
            (getattr(our.run, figure), getattr(their.run, figure))
            for our, their in zip(ours, theirs, strict=True)
        ]
        if not all(our and their for our, their in values):
            return None
        spreads.append(Spread.of([our / their for our, their in values]))
    return Ratio(side, against, callers, *spreads)


def _batch(windows: Sequence[Window]) -> Spread | None:
    known = [window.batch for window in windows if window.batch is not None]
    return Spread.of(known) if known else None
