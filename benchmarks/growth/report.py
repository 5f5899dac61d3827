"""A run of the growth suite as data: what the JSON file holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from benchmarks.growth.batching import Batching
from benchmarks.growth.series import Series
from benchmarks.growth.servers import Ceiling
from benchmarks.machine import Machine

SCHEMA, SUITE = 1, "growth"


@dataclass(frozen=True, slots=True)
class Settings:
    name: str
    rounds: int
    window_s: float  # of one size in one round, in one process
    load_rounds: int
    load_s: float  # the same before a server
    megapixels: tuple[float, ...]
    objects: tuple[int, ...]
    callers: tuple[int, ...]
    crowd: tuple[int, ...]  # callers of the backend before Triton, up to far too many
    crowd_s: float  # one such window
    cameras: tuple[int, ...]
    workers: tuple[int, ...]
    rows: tuple[int, ...]
    redis_rows: tuple[int, ...]
    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    schema_version: int
    suite: str
    date: str
    commit: str | None
    took_s: float
    machine: Machine
    settings: Settings
    series: tuple[Series, ...]
    ceiling: Ceiling | None  # where a server was asked
    batching: Batching | None
    errors: int  # requests that were not answered, of all parts

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_JSON.dump_json(self, indent=1) + b"\n")

    @classmethod
    def of(cls, result: Mapping[str, Any]) -> Report:
        """What the file holds, read as JSON."""
        return _JSON.validate_python(result)


_JSON = TypeAdapter(Report)
