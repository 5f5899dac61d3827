"""From the windows and loops of all rounds to what a comparison keeps: medians, and ratios within a round. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Literal

from benchmarks.comparison import (
    BASE,
    BATCHED_TWIN,
    CEILING,
    REFERENCE,
    UNBATCHED,
    Arranged,
    Arrangement,
    Cost,
    Loop,
    Pace,
    Ratio,
    Row,
    Stage,
    Window,
)
from benchmarks.report import Spread, beside_ceiling, summarise

NOTHING_ELSE: Mapping[str, tuple[str, int]] = MappingProxyType({})


def rows_of(
    windows: Sequence[Window], size: str, jpeg_bytes: int, other: Mapping[str, tuple[str, int]] = NOTHING_ELSE
) -> tuple[Row, ...]:
    """`other`: sides asked by another generator, or for pictures of another size: the ceiling is not theirs."""
    groups = _by_side_and_callers(windows)
    cells = [
        summarise(side, *other.get(side, (size, jpeg_bytes)), [window.run for window in some])
        for (side, _), some in groups.items()
    ]
    ceiling = [cell for cell in cells if cell.service == CEILING]
    cells = [cell if cell.service in other else beside_ceiling([cell], ceiling)[0] for cell in cells]
    return tuple(
        Row(cell, _batch(some), _medians(some, "split_ms"), _medians(some, "beside"))
        for cell, some in zip(cells, groups.values(), strict=True)
    )


def ratios_of(windows: Sequence[Window], pairs: Iterable[tuple[str, str]] | None = None) -> tuple[Ratio, ...]:
    """Of these sides; if none are named, of each side to legacy, and of batching to none."""
    return ratios_between(windows, _usual(windows) if pairs is None else pairs)


def _usual(windows: Sequence[Window]) -> list[tuple[str, str]]:
    sides = dict.fromkeys(window.side for window in windows)
    pairs = [(side, BASE) for side in sides if side not in (BASE, CEILING)]
    if UNBATCHED in sides and BATCHED_TWIN in sides:
        pairs.append((BATCHED_TWIN, UNBATCHED))
    return pairs


def ratios_between(windows: Sequence[Window], pairs: Iterable[tuple[str, str]]) -> tuple[Ratio, ...]:
    """Of each side to another, at every number of callers that both were asked by."""
    groups = _by_side_and_callers(windows)
    callers = dict.fromkeys(window.callers for window in windows)
    found = (
        _ratio(side, against, number, groups[side, number], groups[against, number])
        for side, against in pairs
        for number in callers
        if (side, number) in groups and (against, number) in groups
    )
    return tuple(one for one in found if one)


def loops_of(rounds: Sequence[Sequence[Pace]]) -> tuple[Loop, ...]:
    tables = [{(pace.engine, pace.batch): pace.images_per_s for pace in paces} for paces in rounds]
    return tuple(
        Loop(
            engine, batch,
            Spread.of([table[engine, batch] for table in tables]),
            Spread.of([table[engine, batch] / table[REFERENCE, 1] for table in tables]),
        )
        for engine, batch in tables[0]
    )  # fmt: skip


def stages_of(rounds: Sequence[Sequence[Cost]]) -> tuple[Stage, ...]:
    tables = [{(one.engine, one.stage): one.cpu_ms for one in costs} for costs in rounds]
    return tuple(
        Stage(engine, stage, Spread.of([table[engine, stage] for table in tables]))
        for engine, stage in (tables[0] if tables else ())
    )


def arranged_of(rounds: Sequence[Sequence[Arrangement]]) -> tuple[Arranged, ...]:
    """Beside the first of the same precision and number of pictures, which is the one that is used."""
    groups: dict[tuple[str, str, int], list[tuple[Arrangement, Arrangement]]] = {}
    for some in rounds:
        first: dict[tuple[str, int], Arrangement] = {}
        for one in some:
            beside = first.setdefault((one.precision, one.batch), one)
            groups.setdefault((one.precision, one.name, one.batch), []).append((one, beside))
    return tuple(
        Arranged(
            *key,
            Spread.of([one.images_per_s for one, _ in pairs]),
            Spread.of([one.cpu_ms for one, _ in pairs]),
            Spread.of([one.images_per_s / beside.images_per_s for one, beside in pairs]),
        )
        for key, pairs in groups.items()
    )


def _medians(windows: Sequence[Window], which: Literal["split_ms", "beside"]) -> dict[str, float]:
    found: list[Mapping[str, float]] = [getattr(window, which) for window in windows]
    names = dict.fromkeys(name for one in found for name in one)
    return {name: statistics.median([one[name] for one in found if name in one]) for name in names}


def _by_side_and_callers(windows: Iterable[Window]) -> dict[tuple[str, int], list[Window]]:
    groups: dict[tuple[str, int], list[Window]] = {}
    for window in sorted(windows, key=lambda window: window.round):
        groups.setdefault((window.side, window.callers), []).append(window)
    return groups


def _ratio(
    side: str, against: str, callers: int, ours: Sequence[Window], theirs: Sequence[Window]
) -> Ratio | None:
    """None where in some round one of the two answered nothing."""
    spreads = []
    for figure in ("rps", "p50_ms", "p95_ms"):
        values = [
            (getattr(our.run, figure), getattr(their.run, figure))
            for our, their in zip(ours, theirs, strict=True)
        ]
        if not all(our and their for our, their in values):
            return None
        spreads.append(Spread.of([our / their for our, their in values]))
    return Ratio(side, against, callers, *spreads)


def _batch(windows: Sequence[Window]) -> Spread | None:
    known = [window.batch for window in windows if window.batch is not None]
    return Spread.of(known) if known else None
