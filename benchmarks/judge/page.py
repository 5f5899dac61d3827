"""What both counted, and whether they agree: for the terminal, and for docs/performance.md from a kept result. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.pages.where import measured_where
from benchmarks.report import DISTURBED_CORES
from benchmarks.table import grid

ALLOWED = 0.10  # of the judge's figure
COMPARED = {"rps": "requests/s", "p50_ms": "p50, ms", "p95_ms": "p95, ms", "p99_ms": "p99, ms"}
JUDGED = ("rps", "p50_ms", "p95_ms")  # a p99 of some hundred answers is a handful of them
HEADERS = ("protocol", "callers", "figure", "ours", "perf_analyzer", "ours / its", "lowest..highest", "")

Pair = Mapping[str, Any]


def figures(result: Mapping[str, Any]) -> str:
    """Markdown of a kept result."""
    aligned = ["---", "---:", "---", *["---:"] * 4, "---"]
    table = "\n".join(f"| {' | '.join(row)} |" for row in [HEADERS, aligned, *rows_of(result["pairs"])])
    return "\n\n".join([_about(result), "\n".join(verdicts(result)), table, *disturbed(result["pairs"])])


def as_text(result: Mapping[str, Any]) -> str:
    table = grid([HEADERS, *rows_of(result["pairs"])])
    return "\n".join([_about(result), *table, *verdicts(result), *disturbed(result["pairs"])])


def verdicts(result: Mapping[str, Any]) -> Iterator[str]:
    """One for each protocol: all its figures at every number of callers."""
    for protocol in dict.fromkeys(pair["protocol"] for pair in result["pairs"]):
        away = {
            f"{COMPARED[name]} at {callers}": ratio_of(pairs, name) - 1
            for (of, callers), pairs in by_place(result["pairs"]).items() if of == protocol
            for name in JUDGED
        }  # fmt: skip
        worst = max(away, key=lambda place: abs(away[place]))
        word = "MET" if abs(away[worst]) <= ALLOWED else "NOT MET"
        yield f"- {word}: over {protocol} the furthest apart is {worst} callers, {away[worst]:+.1%}; wanted within 10 %"


def rows_of(pairs: Sequence[Pair]) -> Iterator[list[str]]:
    for (protocol, callers), own in by_place(pairs).items():
        for name, title in COMPARED.items():
            ratios = _ratios(own, name)
            within = abs(statistics.median(ratios) - 1) <= ALLOWED
            verdict = "" if name not in JUDGED else "within 10 %" if within else "apart"
            yield [
                protocol, str(callers), title, _median(own, "ours", name), _median(own, "judge", name),
                f"{statistics.median(ratios):.2f}", f"{min(ratios):.2f}..{max(ratios):.2f}", verdict,
            ]  # fmt: skip


def by_place(pairs: Sequence[Pair]) -> dict[tuple[str, int], list[Pair]]:
    places: dict[tuple[str, int], list[Pair]] = {}
    for pair in pairs:
        places.setdefault((pair["protocol"], pair["callers"]), []).append(pair)
    return places


def ratio_of(pairs: Sequence[Pair], name: str) -> float:
    """Ours over the judge's, of neighbouring turns; the median of the rounds."""
    return statistics.median(_ratios(pairs, name))


def disturbed(pairs: Sequence[Pair]) -> Iterator[str]:
    others = [pair["other_cpu_cores"] or 0.0 for pair in pairs]
    if max(others, default=0.0) >= DISTURBED_CORES:
        yield f"DISTURBED: other processes kept up to {max(others):.2f} cores busy."


def _ratios(pairs: Sequence[Pair], name: str) -> list[float]:
    return [pair["ours"][name] / pair["judge"][name] for pair in pairs]


def _median(pairs: Sequence[Pair], side: str, name: str) -> str:
    return f"{statistics.median(pair[side][name] for pair in pairs):,.1f}"


def _about(result: Mapping[str, Any]) -> str:
    settings = result["settings"]
    return (
        f"{measured_where(result)}"
        f" {result['judge']} and our generator in turns on one Triton, the same repository and the same eight JPEGs"
        f" (median {result['jpeg_bytes']:,} bytes, ragged); closed loops, medians of {settings['rounds']} rounds of"
        f" {settings['seconds']:g} s each."
    )
