"""A run of the backend's benchmark as data: what the JSON file holds, and what follows from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from benchmarks.backend_sides import AGAINST_BARE, AGAINST_TRITON, THROUGH
from benchmarks.comparison import CEILING, Row, Target, Window
from benchmarks.detect_cost import Part
from benchmarks.machine import Machine
from benchmarks.medians import rows_of
from benchmarks.report import Spread

SCHEMA = 1
ALONE, CROWD = 1, 32  # callers, where the targets stand
MOST_ADDED_MS = 2.0  # to Triton's p50, for one who asks alone
LEAST_SHARE = 0.9  # of Triton's requests/s, for a crowd


@dataclass(frozen=True, slots=True)
class Settings:
    callers: tuple[int, ...]
    size: str
    seconds: float  # of one window
    triton_seconds: float  # the same before Triton: a batch more or less is to be little
    ceiling_seconds: float
    rounds: int
    timeout_s: float
    repeats: int  # of what one process does alone
    calls: int  # in each of them


@dataclass(frozen=True, slots=True)
class Added:
    """What a side adds to another, of the same round: median, lowest and highest of the rounds."""

    side: str
    against: str
    callers: int
    share: Spread  # of the other's requests/s
    p50_ms: Spread
    cpu_us: Spread  # for one request, of all processes that serve it


@dataclass(frozen=True, slots=True)
class Measured:
    """One control, and what stood beside it."""

    objects: dict[str, int]  # that each side found in all pictures
    rows: tuple[Row, ...]
    added: tuple[Added, ...]

    @classmethod
    def of(
        cls,
        windows: Sequence[Window],
        pairs: Sequence[tuple[str, str]],
        objects: dict[str, int],
        size: str,
        jpeg_bytes: int,
    ) -> Measured:
        return cls(objects, rows_of(windows, size, jpeg_bytes), tuple(_added(windows, pairs)))

    @property
    def measured(self) -> list[Row]:
        return [row for row in self.rows if row.cell.service != CEILING]

    @property
    def agrees(self) -> bool:
        """The sides did the same work."""
        return len({found for side, found in self.objects.items() if side != CEILING}) <= 1

    def is_disturbed(self, one: Added) -> bool:
        return any(
            row.disturbed for row in self.rows
            if row.cell.callers == one.callers and row.cell.service in (one.side, one.against)
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Report:
    schema_version: int
    suite: str
    date: str
    commit: str | None
    machine: Machine
    settings: Settings
    bare: Measured  # the backend with fake sides, against a route that does nothing
    triton: Measured | None  # the backend before Triton, against Triton
    parts: tuple[Part, ...]  # of one detect, the whole first

    @property
    def errors(self) -> int:
        rows = [*self.bare.rows, *(self.triton.rows if self.triton else ())]
        return sum(sum(row.cell.errors.values()) + row.cell.busy for row in rows)

    @property
    def rest_us(self) -> float:
        """Of a detect, what no part of it accounts for."""
        whole, *parts = (part.cpu_us.median for part in self.parts)
        return whole - sum(parts)

    def targets(self) -> Iterator[Target]:
        for one in self.triton.added if self.triton else ():
            disturbed = self.triton is not None and self.triton.is_disturbed(one)
            if one.side == THROUGH and one.callers == ALONE:
                ms = one.p50_ms.median
                wanted, met = f"≤ {MOST_ADDED_MS:g} ms", ms <= MOST_ADDED_MS
                yield Target(one.side, "ms added to p50", wanted, ms, met, disturbed)
            if one.side == THROUGH and one.callers == CROWD:
                share = one.share.median
                wanted, met = f"≥ {LEAST_SHARE:g}", share >= LEAST_SHARE
                yield Target(one.side, "of the requests/s", wanted, share, met, disturbed)

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_JSON.dump_json(self, indent=2) + b"\n")

    @classmethod
    def read(cls, path: Path) -> Report:
        return _JSON.validate_json(path.read_bytes())


_JSON = TypeAdapter(Report)


def against_bare(windows: Sequence[Window], objects: dict[str, int], size: str, jpeg_bytes: int) -> Measured:
    return Measured.of(windows, AGAINST_BARE, objects, size, jpeg_bytes)


def against_triton(
    windows: Sequence[Window], objects: dict[str, int], size: str, jpeg_bytes: int
) -> Measured:
    return Measured.of(windows, AGAINST_TRITON, objects, size, jpeg_bytes)


def _added(windows: Sequence[Window], pairs: Sequence[tuple[str, str]]) -> Iterator[Added]:
    """Without those of whom one answered nothing in some round."""
    by_place = {(one.side, one.callers, one.round): one for one in windows}
    rounds = sorted({one.round for one in windows})
    for callers in sorted({one.callers for one in windows}):
        for side, against in pairs:
            both = [
                (by_place[side, callers, number], by_place[against, callers, number]) for number in rounds
            ]
            if all(our.run.answered and their.run.answered for our, their in both):
                yield _one_added(side, against, callers, both)


def _one_added(side: str, against: str, callers: int, both: Sequence[tuple[Window, Window]]) -> Added:
    return Added(
        side, against, callers,
        share=Spread.of([our.run.rps / their.run.rps for our, their in both]),
        p50_ms=Spread.of([(our.run.p50_ms or 0.0) - (their.run.p50_ms or 0.0) for our, their in both]),
        cpu_us=Spread.of([_cpu_us(our) - _cpu_us(their) for our, their in both]),
    )  # fmt: skip


def _cpu_us(window: Window) -> float:
    return (window.run.cores.server or 0.0) / window.run.rps * 1e6
