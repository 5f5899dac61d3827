"""A kept result of the overhead suite as Markdown, and those of the client's and the backend's own suites."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter

from benchmarks import backend_report, client_report
from benchmarks.comparison import Target
from benchmarks.comparison_text import verdict
from benchmarks.detect_cost import Part
from benchmarks.overhead.held import AT_ONCE, Held
from benchmarks.overhead.report import Report
from benchmarks.overhead.shadow_cost import ShadowRow
from benchmarks.overhead.store_cost import StoreRow
from benchmarks.report import Spread
from benchmarks.table import number
from docs.making.markdown import table

NO_SLOWER = 1.0  # times the calls/s of tritonclient's own asyncio client

_CLIENT, _BACKEND = TypeAdapter(client_report.Report), TypeAdapter(backend_report.Report)


def figures(result: Mapping[str, Any]) -> str:
    return as_text(Report.of(result))


def as_text(report: Report) -> str:
    return "\n\n".join([_head(report), *_parts(report)])


def _head(report: Report) -> str:
    machine, told = report.machine, report.settings
    return (
        f"{machine.title}; {machine.os}, Python {machine.python}; load average before the start "
        f"{machine.load_average_1m}, {report.other_cores:.2f} cores busy with other processes meanwhile; "
        f"{report.date[:10]}, commit {(report.commit or 'none')[:12]}. Medians of {told.repeats} x {told.calls:,} "
        "requests in turns, with the lowest and highest; µs of one process's CPU."
    )


def _parts(report: Report) -> Iterator[str]:
    yield "\n".join(map(_target, report.targets()))
    yield "**One detect over sides that do nothing, and its parts, each asked alone**"
    yield _cost_table(report.parts, ("the rest: values, waiting, colder caches", report.rest_us))
    yield "**What listens to a request, each alone**"
    yield _cost_table(report.observers)
    yield "**TritonClient without a network**, and what tritonclient does with the same picture and answer"
    yield _cost_table(report.client)
    yield "**A call of each side's transport**, to servers on loopback that answer at once"
    yield _cost_table(report.transports)
    yield "**In memory**"
    yield from _held(report.held)
    yield "**The shadow**"
    yield from _shadow(report.shadow)
    yield "**The stores**"
    yield table(("store", "asked", "wall µs", "CPU µs", "how often"), map(_store, report.stores))


def _target(target: Target) -> str:
    return f"- {verdict(target)}: {target.side}: {number(target.measured, 2)} {target.what}; wanted {target.wanted}"


def _cost_table(parts: Sequence[Part], rest: tuple[str, float] | None = None) -> str:
    rows = [(part.name, _spread(part.cpu_us)) for part in parts]
    return table(("part", "µs"), [*rows, (rest[0], number(rest[1]))] if rest else rows)


def _held(held: Held) -> Iterator[str]:
    yield (
        f"While its side is asked a request holds {held.blocks:.0f} blocks of memory, by `sys.getallocatedblocks` over "
        f"{AT_ONCE} that wait at once, less {held.control_blocks:.0f} of a task that only waits there; "
        f"{held.left_blocks:.1f} are left after it. In bytes, by tracemalloc: {held.bytes:,.0f}, the waiting task's "
        f"own among them. The garbage collector runs {held.collections:.1f} times in 1,000 requests, which is "
        f"{held.collector_us:.2f} µs of one, and finds {held.cyclic:.2f} objects of each that nothing else could free."
    )
    rows = [(f"`{place.file}`", f"{place.blocks:.1f}", f"{place.bytes:,.0f}") for place in held.places]
    yield table(("asked for in", "blocks", "bytes"), rows)


def _shadow(rows: Sequence[ShadowRow]) -> Iterator[str]:
    header = (
        "compared",
        "CPU µs a request, comparing included",
        "its caller waits µs",
        "comparisons",
        "dropped",
    )
    yield table(header, map(_shadow_row, rows))
    added_us = rows[-1].cpu_us.median - rows[0].cpu_us.median
    waits_us = rows[-1].detect_us.median - rows[0].detect_us.median
    yield (
        f"A comparison of two answers that agree takes {added_us:,.0f} µs of CPU after its caller was answered; "
        f"the caller pays {waits_us:.0f} µs for being compared."
    )


def _shadow_row(row: ShadowRow) -> Sequence[str]:
    return (
        f"{row.share:.0%}", _spread(row.cpu_us, 0), _spread(row.detect_us, 0), f"{row.compared:,}", f"{row.dropped:,}"
    )  # fmt: skip


def _store(row: StoreRow) -> Sequence[str]:
    return row.store, row.what, _spread(row.wall_us, 0), _spread(row.cpu_us, 0), row.often


def _spread(spread: Spread, digits: int = 1) -> str:
    return f"{number(spread.median, digits)} ({number(spread.min, digits)} to {number(spread.max, digits)})"


# --- other suites' results --------------------------------------------------------------------------------


def client_figures(result: Mapping[str, Any]) -> str:
    """Of `client-overhead.json`: TritonClient against the bare stub and against tritonclient's asyncio client."""
    report = _CLIENT.validate_python(result)
    cells = {(one.server, one.picture_bytes, one.callers, one.side): one for one in report.cells}
    places = dict.fromkeys(place[:3] for place in cells)
    rows = [_client_row(place, [cells[*place, side] for side in _SIDES]) for place in places]
    most = [row for place, row in zip(places, rows, strict=True) if place[2] == max(report.settings.callers)]
    verdicts = [_no_slower(row) for row in most]
    return "\n\n".join(
        ["\n".join(verdicts), table(("server", "JPEG bytes", "callers", *_SIDES, "x official"), rows)]
    )


_SIDES = (client_report.STUB, client_report.CLIENT, client_report.OFFICIAL)


def _client_row(place: tuple[str, int, int], sides: Sequence[client_report.Cell]) -> Sequence[str]:
    """Both ratios are to the stub of the same round, so the stub falls out of theirs."""
    _, client, official = sides
    assert client.ratio is not None
    assert official.ratio is not None
    rates = [f"{side.calls_per_s.median:,.0f}/s, {side.cpu_us.median:.0f} µs" for side in sides]
    server, picture_bytes, callers = place
    return (
        server,
        f"{picture_bytes:,}",
        str(callers),
        *rates,
        f"{client.ratio.median / official.ratio.median:.2f}",
    )


def _no_slower(row: Sequence[str]) -> str:
    met = "MET" if float(row[-1]) >= NO_SLOWER else "NOT MET"
    return (
        f"- {met}: TritonClient at {row[2]} callers, {row[1]} bytes, {row[0]}: {row[-1]} x the calls/s of "
        f"tritonclient.grpc.aio; wanted ≥ {NO_SLOWER:g} x"
    )


def backend_figures(result: Mapping[str, Any]) -> str:
    """Of `backend-overhead.json`: the backend against a bare route, and before Triton."""
    report = _BACKEND.validate_python(result)
    lines = [_target(target) for target in report.targets()]
    groups = [report.bare, *([report.triton] if report.triton else [])]
    added = [_added(one, group) for group in groups for one in group.added]
    header = (
        "side",
        "against",
        "callers",
        "requests/s, times the other's",
        "ms added to p50",
        "CPU µs added",
    )
    return "\n\n".join(["\n".join(lines) or "No target was measured.", table(header, added)])


def _added(one: backend_report.Added, group: backend_report.Measured) -> Sequence[str]:
    flag = " (DISTURBED)" if group.is_disturbed(one) else ""
    return (
        f"{one.side}{flag}", one.against, str(one.callers), _spread(one.share, 2), _spread(one.p50_ms, 2),
        _spread(one.cpu_us, 0),
    )  # fmt: skip
