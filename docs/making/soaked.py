"""What the kept soak found, as a part of docs/reliability.md."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from docs.making.markdown import table

Kept = Mapping[str, Any]


def parts(kept: Kept) -> Iterator[str]:
    if not kept:
        yield "No soak is kept yet: `make soak` writes it here."
        return
    yield _in_words(kept)
    yield table(("what", "", "found"), [_verdict(one) for one in kept["verdict"]])
    yield table(("fault", "times", "got over after, s: median", "longest"), [*_faults(kept["faults"])])


def _in_words(kept: Kept) -> str:
    asked, machine = kept["requests"], kept["machine"]
    took = asked["took_ms"]
    carried = ", ".join(f"{side} {per_s:,}" for side, per_s in sorted(kept["capacity_per_s"].items()))
    return (
        f"{kept['at'][:10]}, {machine['cores']} cores of an {machine['processor']}: {kept['lasted_s'] / 60:.0f} minutes"
        f" at {kept['per_s']} requests/s, half of what the weaker side was found to carry ({carried}/s)."
        f" {asked['answered']:,} requests, {asked['failed']} failed; {took['p50']:g} ms at the median,"
        f" {took['p99']:g} ms at p99, {took['p100']:g} ms at the longest. {len(kept['faults'])} faults;"
        f" {kept['warm_at_s'] / 60:.0f} minutes count as warming up."
    )


def _verdict(one: Kept) -> tuple[str, str, str]:
    words = one["words"]
    by_process = one["figures"].get("by_process", {})
    if one["kind"] == "memory" and by_process:
        words += "; by process: " + ", ".join(f"{name} {mib:+g}" for name, mib in by_process.items())
    return one["kind"], "holds" if one["holds"] else "**does not hold**", words


def _faults(suffered: Sequence[Kept]) -> Iterator[tuple[str, ...]]:
    for name in sorted({one["fault"] for one in suffered}):
        took = [one["took_s"] for one in suffered if one["fault"] == name]
        wrong = sorted({one["wrong"] for one in suffered if one["fault"] == name and one["wrong"]})
        words = "; ".join((name, *(f"**{why}**" for why in wrong)))
        yield words, str(len(took)), f"{statistics.median(took):.1f}", f"{max(took):.1f}"
