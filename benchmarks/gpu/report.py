"""A GPU's result as data, and the targets that follow from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from benchmarks.comparison import BASE, Comparison, Row
from benchmarks.gpu.variants import MAIN

SCHEMA = 1
CEILING_SHARE = 0.8  # of what the bare network does at its best
# callers → of D to A: requests/s at least; p50, p95 at most
WANTED = {1: ("p50", "≤", 0.6), 8: ("rps", "≥", 5.0), 64: ("rps", "≥", 8.0)}
WANTED_P95 = 0.175  # at 8 callers: the sources' 70 of 400 ms


@dataclass(frozen=True, slots=True)
class Rate:
    """Pictures a second in batches of one size, without a server."""

    what: str
    batch: int
    images_per_s: float


@dataclass(frozen=True, slots=True)
class Bare:
    """What a GPU does with one network where no server is around it."""

    device: str
    flops_per_image: float
    matmul_flops_per_s: float  # FP16, of two large square matrices: what the chip does at its best
    rates: tuple[Rate, ...] = ()
    stages_us: Mapping[int, Mapping[str, float]] = field(default_factory=dict)  # by batch, of one picture

    def best(self, *whats: str) -> Rate:
        return max((one for one in self.rates if one.what in whats), key=lambda one: one.images_per_s)

    @property
    def network(self) -> Rate:
        """At its best, however it is run."""
        return self.best("eager", "graph", "compiled")

    @property
    def roofline(self) -> float:
        """Images/s, if the chip did nothing but multiply at its best."""
        return self.matmul_flops_per_s / self.flops_per_image


@dataclass(frozen=True, slots=True)
class Target:
    words: str
    measured: float
    met: bool


@dataclass(frozen=True, slots=True)
class GpuReport:
    schema_version: int
    network: str
    bare: Bare
    served: Comparison

    @property
    def errors(self) -> int:
        return self.served.errors

    @property
    def name(self) -> str:
        return self.served.name

    def best_served(self) -> Row:
        """The track D that answers most, whatever the arrangement and the callers."""
        encoded = [
            row for row in self.served.measured if self.served.sides[row.cell.service].get("track") == "D"
        ]
        return max(encoded, key=lambda row: row.cell.rps.median)

    def targets(self) -> Iterator[Target]:
        for callers, (what, sign, wanted) in WANTED.items():
            if ratio := self.served.ratio(MAIN, callers, BASE):
                found = getattr(ratio, what).median
                who = "1 caller" if callers == 1 else f"{callers} callers"
                words = f"{who}: D has {{}} x A's {'requests/s' if what == 'rps' else what}; wanted {sign} {wanted:g} x"
                met = found >= wanted if sign == "≥" else found <= wanted
                yield Target(words, found, met)
        if ratio := self.served.ratio(MAIN, 8, BASE):
            p95 = ratio.p95.median
            yield Target(
                f"8 callers: D has {{}} x A's p95; wanted ≤ {WANTED_P95:g} x", p95, p95 <= WANTED_P95
            )
        share = self.best_served().cell.rps.median / self.bare.network.images_per_s
        words = f"D answers {{}} of what the bare network does at its best; wanted ≥ {CEILING_SHARE:g}"
        yield Target(words, share, share >= CEILING_SHARE)

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_JSON.dump_json(self, indent=2) + b"\n")

    @classmethod
    def of(cls, result: Mapping[str, Any]) -> GpuReport:
        """From what the JSON file says."""
        return _JSON.validate_python(result)


_JSON = TypeAdapter(GpuReport)
