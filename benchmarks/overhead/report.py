"""A run of the overhead suite as data: what the JSON file holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from benchmarks.comparison import Target
from benchmarks.detect_cost import Part
from benchmarks.machine import Machine
from benchmarks.overhead.held import Held
from benchmarks.overhead.observers import METRICS, SEVERAL
from benchmarks.overhead.shadow_cost import ShadowRow
from benchmarks.overhead.store_cost import StoreRow
from benchmarks.report import DISTURBED_CORES

SCHEMA, SUITE = 1, "overhead"
DECISION = "flags.decide"
MOST_US = {DECISION: 5.0, METRICS: 20.0, SEVERAL: 20.0}  # of CPU, for one request


@dataclass(frozen=True, slots=True)
class Settings:
    name: str
    repeats: int
    calls: int  # in each of them
    shadow_rounds: int
    shadow_calls: int
    store_rounds: int
    store_window_s: float


@dataclass(frozen=True, slots=True)
class Report:
    schema_version: int
    suite: str
    date: str
    commit: str | None
    took_s: float
    machine: Machine
    settings: Settings
    other_cores: float  # kept busy by processes that are not ours, all the while
    parts: tuple[Part, ...]  # of one detect over sides that do nothing, the whole first
    observers: tuple[Part, ...]
    client: tuple[Part, ...]  # of TritonClient, without a network; tritonclient's beside them
    transports: tuple[Part, ...]
    held: Held
    shadow: tuple[ShadowRow, ...]
    stores: tuple[StoreRow, ...]

    @property
    def disturbed(self) -> bool:
        return self.other_cores >= DISTURBED_CORES

    @property
    def rest_us(self) -> float:
        """Of a detect, what no part of it accounts for."""
        whole, *parts = (part.cpu_us.median for part in self.parts)
        return whole - sum(parts)

    def targets(self) -> Iterator[Target]:
        for part in (*self.parts, *self.observers):
            if part.name in MOST_US:
                most, us = MOST_US[part.name], part.cpu_us.median
                yield Target(part.name, "us of CPU a request", f"≤ {most:g}", us, us <= most, self.disturbed)

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_JSON.dump_json(self, indent=1) + b"\n")

    @classmethod
    def of(cls, result: Mapping[str, Any]) -> Report:
        """What the file holds, read as JSON."""
        return _JSON.validate_python(result)


_JSON = TypeAdapter(Report)
