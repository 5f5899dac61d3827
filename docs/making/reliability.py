"""docs/reliability.md: what was broken on purpose, and what callers noticed, from the runs' own files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from docs.making import soaked
from docs.making.markdown import begun, joined, table

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
TABLE, WITHOUT, SOAK = "chaos.json", "chaos-without.json", "soak.json"
FAMILIES = {
    "processes": "Processes",
    "stores": "Where the flags are kept",
    "network": "The network",
    "lies": "Lies",
    "floods": "Floods",
    "callers": "Callers",
    "flags": "Flags",
}
HEADERS = (
    "fault",
    "what holds",
    "answered",
    "by Triton / legacy",
    "longest, ms",
    "again after, s",
    "without it",
)
SHOWN_ELSEWHERE = {
    "row", "family", "promise", "passed", "wrong", "took_s", "requests", "served", "statuses", "reasons",
    "longest_ms", "median_ms", "control_ms", "recovery_s", "defence",
}  # fmt: skip

Row = Mapping[str, Any]


def page() -> str:
    source = f"benchmarks/results/{TABLE}, {WITHOUT} and {SOAK}"
    soak = ("## Hours at half capacity", *soaked.parts(_read(SOAK)))
    return joined(
        begun("What was broken on purpose", source, "reliability"), *soak, "## The table", *_parts()
    )


def _parts() -> Iterator[str]:
    run, without = _read(TABLE), _read(WITHOUT)
    if not run or not without:
        yield "No run of the whole table is kept yet: `make chaos`, and the same `--without`, write it here."
        return
    undefended = {row["row"]: row for row in without["rows"]}
    rows = run["rows"]
    yield _run_in_words(run, without)
    for family, title in FAMILIES.items():
        own = [row for row in rows if row["family"] == family]
        if own:
            yield f"### {title}"
            yield table(HEADERS, [_cells(row, undefended.get(row["row"])) for row in own])


def _read(name: str) -> dict[str, Any]:
    file = RESULTS / name
    return dict(json.loads(file.read_text())) if file.exists() else {}


def _run_in_words(run: Row, without: Row) -> str:
    machine = run["machine"]
    failed = [row["row"] for row in without["rows"] if not row["passed"]]
    return (
        f"The run of {run['at'][:10]}: {run['passed']} of {len(run['rows'])} rows passed in {run['took_s']} s, on"
        f" {machine['cores']} cores of an {machine['processor']}. Without its defence"
        f" {without['passed']} of {len(without['rows'])} failed, as they had to"
        + (f"; not so: {', '.join(failed)}" if failed else "")
        + ". *Longest* is a request's time from its caller's side; the deadline is 2 s unless the row says otherwise."
    )


def _cells(row: Row, undefended: Row | None) -> tuple[str, ...]:
    served = row.get("served", {})
    figures = [
        f"{_said(name)}: {_figure(value)}" for name, value in row.items() if name not in SHOWN_ELSEWHERE
    ]
    return (
        row["row"] if row["passed"] else f"**{row['row']}: failed**",
        "; ".join((row["promise"], *figures)),
        _answered(row),
        f"{served.get('triton', 0):,} / {served.get('legacy', 0):,}",
        f"{row['longest_ms']:,}" if row.get("longest_ms") is not None else "",
        f"{row['recovery_s']:.1f}" if row.get("recovery_s") is not None else "",
        _without(row, undefended),
    )


def _answered(row: Row) -> str:
    statuses = dict(row.get("statuses", {}))
    good = statuses.pop("200", 0)
    others = ", ".join(f"{number:,} × {status}" for status, number in sorted(statuses.items()))
    return f"{good:,}" + (f" and {others}" if others else "")


def _without(row: Row, undefended: Row | None) -> str:
    if undefended is None:
        return ""
    return f"{row['defence']}: {', '.join(undefended['wrong']) or 'nothing'}"


def _said(name: str) -> str:
    return name.replace("_", " ")


def _figure(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_figure(one)}" for name, one in value.items())
    if isinstance(value, list):
        return ", ".join(_figure(one) for one in value)
    return f"{value:,}" if isinstance(value, int) else str(value)
