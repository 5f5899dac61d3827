"""Kept results of `benchmarks.capacity` as one table: the cameras and frames/s that a machine, a core, a GPU held."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from docs.making.markdown import table

HEADERS = ("machine", "detector", "engine", "cameras held", "frames/s", "a core", "a GPU", "against legacy")
Held = Mapping[str, Any]


def sizing(results: Sequence[Mapping[str, Any]]) -> str:
    """Frames/s of a core: all cores together, those that decoded, inferred, served and sent the frames."""
    return table(HEADERS, [row for result in results for row in _rows(result)])


def _rows(result: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    machine, told = result["machine"], result["settings"]
    gpus = len(machine["gpus"])
    place = f"{_gpu(machine)}{machine['cores']} cores ({machine['cpu']})"
    for held in sorted(result["rows"], key=lambda one: (one["detector"], one["cameras"])):
        per_s = held["cameras"] * told["fps"]
        on_gpu = f"{per_s / gpus:,.0f}" if gpus and held["engine"] in {"torch", "legacy"} else "-"
        yield (
            place, held["detector"], held["engine"], f"{held['cameras']} x {told['fps']:g}/s, {told['size']}",
            f"{per_s:,.0f}", f"{per_s / machine['cores']:.1f}", on_gpu, _against_legacy(result["rows"], held),
        )  # fmt: skip


def _gpu(machine: Mapping[str, Any]) -> str:
    return "".join(f"{gpu.split(',')[0]}, " for gpu in machine["gpus"])


def _against_legacy(rows: Sequence[Held], held: Held) -> str:
    """Of the same detector in the same run."""
    base = [
        one["cameras"] for one in rows if (one["detector"], one["engine"]) == (held["detector"], "legacy")
    ]
    return f"{held['cameras'] / base[0]:.1f} x" if base and base[0] and held["engine"] != "legacy" else "-"
