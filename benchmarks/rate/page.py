"""What each side held, in words: for the terminal, and for docs/performance.md from a kept result. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.pages.where import measured_where
from benchmarks.report import DISTURBED_CORES
from benchmarks.table import grid, number

HEADERS = (
    "side",
    "held, requests/s",
    "lowest..highest",
    "p95 ms there",
    "8 callers, closed",
    "held / legacy's",
)
TITLES = {"legacy": "legacy", "triton": "Triton"}
BASE = "legacy"

Found = Mapping[str, Any]


def figures(result: Mapping[str, Any]) -> str:
    """Markdown of a kept result."""
    rows = [HEADERS, ["---", *["---:"] * (len(HEADERS) - 1)], *rows_of(result["found"])]
    curve = [_CURVE, ["---", *["---:"] * (len(_CURVE) - 1)], *curve_of(result["found"])]
    tables = ["\n".join(f"| {' | '.join(row)} |" for row in some) for some in (rows, curve)]
    titled = "**Each rate that was tried, and the p95 from when requests were due**"
    return "\n\n".join([_about(result), tables[0], titled, tables[1], *disturbed(result["found"])])


def as_text(result: Mapping[str, Any]) -> str:
    tables = [*grid([HEADERS, *rows_of(result["found"])]), "", *grid([_CURVE, *curve_of(result["found"])])]
    return "\n".join([_about(result), *tables, *disturbed(result["found"])])


def rows_of(found: Sequence[Found]) -> Iterator[list[str]]:
    for side in sides_of(found):
        own = [one for one in found if one["side"] == side]
        rates = [one["held"]["rate_rps"] for one in own]
        p95s = [one["held"]["p95_ms"] for one in own if one["held"]["p95_ms"] is not None]
        yield [
            TITLES.get(side, side), number(statistics.median(rates)), f"{min(rates):.1f}..{max(rates):.1f}",
            number(statistics.median(p95s) if p95s else None),
            number(statistics.median(one["closed_rps"] for one in own)), _against_legacy(found, side),
        ]  # fmt: skip


_CURVE = ("side", "round", "requests/s", "p95 ms", "not answered", "in time")


def curve_of(found: Sequence[Found]) -> Iterator[list[str]]:
    for side in sides_of(found):
        for one in (one for one in found if one["side"] == side):
            for tried in one["held"]["tried"]:
                yield [
                    TITLES.get(side, side),
                    str(one["round"] + 1),
                    number(tried["rate_rps"]),
                    *_tried(tried),
                ]


def sides_of(found: Sequence[Found]) -> list[str]:
    return sorted({one["side"] for one in found}, key=lambda side: (side != BASE, side))


def ratios_of(found: Sequence[Found], side: str) -> list[float]:
    """What it held over what legacy held in the same round; a round in which legacy held nothing has none."""
    held = {(one["round"], one["side"]): one["held"]["rate_rps"] for one in found}
    return [
        rate / held[number, BASE]
        for (number, of), rate in held.items()
        if of == side and held.get((number, BASE))
    ]


def p95_of(tried: Found) -> float | None:
    known = [window["p95_ms"] for window in tried["windows"] if window["p95_ms"] is not None]
    return statistics.median(known) if known else None


def disturbed(found: Sequence[Found]) -> Iterator[str]:
    others = [one["other_cpu_cores"] or 0.0 for one in found]
    if max(others, default=0.0) >= DISTURBED_CORES:
        yield f"DISTURBED: other processes kept up to {max(others):.2f} cores busy, the idle side among them."


def _tried(tried: Found) -> list[str]:
    lost = sum(window["busy"] + sum(window["errors"].values()) for window in tried["windows"])
    return [number(p95_of(tried)), str(lost), "yes" if tried["held"] else "no"]


def _against_legacy(found: Sequence[Found], side: str) -> str:
    ratios = ratios_of(found, side)
    if side == BASE or not ratios:
        return "-"
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f}..{max(ratios):.2f})"


def _about(result: Mapping[str, Any]) -> str:
    told = result["settings"]
    return (
        f"{measured_where(result)} YOLO26, {told['size']} JPEGs of {result['jpeg_bytes']:,} bytes. Requests fall due"
        f" at a rate ({told['arrivals']}); a rate is held when none fails and the p95, from when each was due, stays"
        f" under {told['limit_ms']:g} ms. Medians of {told['rounds']} rounds, windows of {told['seconds']:g} s."
    )
