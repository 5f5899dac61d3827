"""What `benchmarks.batch` measured, as data and as plain text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from benchmarks.machine import Machine
from benchmarks.report import Spread
from benchmarks.table import grid

SCHEMA = 1
BATCH, DETECT = "batch", "detect"


@dataclass(frozen=True, slots=True)
class Settings:
    detector: str
    size: str
    pictures: int
    rounds: int
    callers: tuple[int, ...]  # of Triton itself
    fixed: int  # at once, of the batch that does not adapt


@dataclass(frozen=True, slots=True)
class Live:
    """What a caller of ten pictures a second saw."""

    calls: int
    errors: int
    p50_ms: float
    p95_ms: float


@dataclass(frozen=True, slots=True)
class Round:
    per_s: dict[str, float]
    live: dict[str, Live]

    @property
    def ceiling_per_s(self) -> float:
        return max(rate for name, rate in self.per_s.items() if name.startswith("triton"))

    @property
    def over_detect(self) -> float:
        return self.per_s[BATCH] / self.per_s[DETECT]

    @property
    def of_ceiling(self) -> float:
        return self.per_s[BATCH] / self.ceiling_per_s


@dataclass(frozen=True, slots=True)
class Report:
    schema_version: int
    suite: str
    date: str
    commit: str | None
    machine: Machine
    settings: Settings
    jpeg_bytes: int
    rounds: tuple[Round, ...]

    def spread(self, of: Callable[[Round], float]) -> Spread:
        return Spread.of([of(one) for one in self.rounds])

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_JSON.dump_json(self, indent=2) + b"\n")

    @classmethod
    def read(cls, path: Path) -> Report:
        return _JSON.validate_json(path.read_bytes())


_JSON = TypeAdapter(Report)


def as_text(report: Report) -> str:
    return "\n".join(_lines(report))


def _lines(report: Report) -> Iterator[str]:
    machine, settings = report.machine, report.settings
    yield f"Machine: {machine.title}; {machine.os}, Python {machine.python}"
    yield f"Load average before the start {machine.load_average_1m}; {report.date[:10]}"
    yield (
        f"{settings.detector}, {settings.pictures} pictures of {settings.size}, {report.jpeg_bytes:,} bytes; "
        f"medians of {settings.rounds} rounds (lowest..highest)"
    )
    yield ""
    names = report.rounds[0].per_s
    yield from grid([
        ["", "pictures/s"],
        *([name, _said(report.spread(lambda one, name=name: one.per_s[name]))] for name in sorted(names)),  # type: ignore[misc]
    ])  # fmt: skip
    yield ""
    yield f"batch over detect, in the same round: {_said(report.spread(lambda one: one.over_detect), 2)}"
    yield f"batch of Triton's own best:           {_said(report.spread(lambda one: one.of_ceiling), 2)}"
    yield ""
    yield from grid(
        [["a live caller", "p50 ms", "p95 ms", "calls", "errors"], *map(_live(report), report.rounds[0].live)]
    )


def _live(report: Report) -> Callable[[str], list[str]]:
    def row(name: str) -> list[str]:
        all_of_them = [one.live[name] for one in report.rounds]
        p50, p95 = (Spread.of([getattr(one, which) for one in all_of_them]) for which in ("p50_ms", "p95_ms"))
        calls, errors = (sum(getattr(one, which) for one in all_of_them) for which in ("calls", "errors"))
        return [_TITLES.get(name, name), _said(p50), _said(p95), str(calls), str(errors)]

    return row


_TITLES = {"batch": "beside a batch", "fixed": "beside one that does not adapt"}


def _said(spread: Spread, digits: int = 1) -> str:
    return f"{spread.median:.{digits}f} ({spread.min:.{digits}f}..{spread.max:.{digits}f})"
