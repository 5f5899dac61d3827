"""A comparison as data: what the JSON file holds, and what follows from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from benchmarks.loadgen import Measurement
from benchmarks.machine import Machine
from benchmarks.report import DISTURBED_CORES, Cell, Spread

SCHEMA = 1
BASE, CEILING, UNBATCHED = "legacy", "nothing", "unbatched"
BATCHED_TWIN = "f32"  # of UNBATCHED
REFERENCE = "torch"  # the legacy service's engine
TITLES = {
    BASE: "legacy, torch",
    "f32": "Triton, f32",
    "bf16": "Triton, bf16",
    "int8": "Triton, int8",
    UNBATCHED: "Triton, f32, batching off",
    CEILING: "an endpoint that does nothing",
}
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
    large: str | None = None  # size of the pictures that show what scaled decoding saves


@dataclass(frozen=True, slots=True)
class Window:
    """One run of the generator."""

    round: int
    side: str
    callers: int
    run: Measurement
    batch: float | None  # pictures per execution, where a Triton counts them
    split_ms: Mapping[str, float] = field(default_factory=dict)  # of a mean request inside a Triton
    beside: Mapping[str, float] = field(
        default_factory=dict
    )  # what else was read meanwhile, such as of a GPU


@dataclass(frozen=True, slots=True)
class Cost:
    """What one stage of one picture takes of a processor, in one round, where no server is around it."""

    engine: str
    stage: str
    cpu_ms: float


@dataclass(frozen=True, slots=True)
class Arrangement:
    """OpenVINO's threads and streams, in one round: pictures through a plain loop of one process."""

    precision: str
    name: str
    batch: int  # pictures that are there at once
    images_per_s: float
    cpu_ms: float  # of one picture


@dataclass(frozen=True, slots=True)
class Pace:
    """One engine in one process, in one round."""

    engine: str
    batch: int
    images_per_s: float


@dataclass(frozen=True, slots=True)
class Alone:
    """All that is measured without a server, in one round."""

    paces: Sequence[Pace]
    costs: Sequence[Cost] = ()
    arrangements: Sequence[Arrangement] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """One side at one number of callers."""

    cell: Cell
    batch: Spread | None  # pictures per execution
    split_ms: dict[str, float] = field(default_factory=dict)  # inside a Triton, medians of the rounds
    beside: dict[str, float] = field(default_factory=dict)  # read meanwhile, medians of the rounds

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
class Stage:
    engine: str
    stage: str
    cpu_ms: Spread


@dataclass(frozen=True, slots=True)
class Arranged:
    precision: str
    name: str
    batch: int
    images_per_s: Spread
    cpu_ms: Spread
    ratio: Spread  # of its images/s to the first one's, of the same round


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
    detector: str = "yolo26"
    parity: dict[str, dict[str, Any]] = field(default_factory=dict)  # of each variant that was compared
    stages: tuple[Stage, ...] = ()
    arranged: tuple[Arranged, ...] = ()

    @property
    def errors(self) -> int:
        """What was not answered. A legacy service that is full says so, and that is an answer to how much it holds."""
        return sum(
            sum(row.cell.errors.values()) + (row.cell.busy if row.cell.service != BASE else 0)
            for row in self.rows
        )

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
        about = self.sides.get(side, {})
        return f"{about.get('engine')} {about.get('precision')}"

    def title(self, side: str) -> str:
        return str(self.sides.get(side, {}).get("title") or TITLES.get(side, side))

    def is_target(self, side: str) -> bool:
        """The targets are about encoded bytes in, as the backend asks: not the other tracks, nor a twin of a side."""
        return bool(self.sides.get(side, {}).get("target", side != UNBATCHED))

    def targets(self) -> Iterator[Target]:
        for one in self.ratios:
            if one.against != BASE or one.callers != TARGET_CALLERS or not self.is_target(one.side):
                continue
            rps, p95 = one.rps.median, one.p95.median
            disturbed = any(self.row(side, one.callers).disturbed for side in (one.side, BASE))
            yield Target(one.side, "requests/s", f"≥ {TARGET_RPS:g}", rps, rps >= TARGET_RPS, disturbed)
            yield Target(one.side, "p95", f"≤ {TARGET_P95:g}", p95, p95 <= TARGET_P95, disturbed)

    def parts(self) -> Iterator[Parts]:
        """With one caller there is nothing to put side by side."""
        for one in self.ratios:
            alone, many = (self.loop(self.engine_of(one.side), batch) for batch in (1, 8))
            if one.against != BASE or alone is None or many is None or not self._has_parts(one.side):
                continue
            batches = one.callers > 1 and one.side != UNBATCHED
            engine = alone.ratio.median
            side_by_side = many.ratio.median / engine if batches else 1.0
            total = one.rps.median
            yield Parts(one.side, one.callers, total, engine, side_by_side, total / engine / side_by_side)

    def _has_parts(self, side: str) -> bool:
        """Only what takes the pictures of the loops, encoded, one model for all callers."""
        return side == UNBATCHED or self.is_target(side)

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_JSON.dump_json(self, indent=2) + b"\n")

    @classmethod
    def read(cls, path: Path) -> Comparison:
        return _JSON.validate_json(path.read_bytes())

    @classmethod
    def of(cls, result: Mapping[str, Any]) -> Comparison:
        """From what the JSON file says."""
        return _JSON.validate_python(result)


_JSON = TypeAdapter(Comparison)
