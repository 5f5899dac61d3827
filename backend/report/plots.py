"""Plots as inline SVG: pure functions from numbers to text. They need no script, and take the page's own colours.

Each has a title and a description for whoever cannot see it; the page puts a table of the same numbers beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 480, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 52.0, 12.0, 30.0, 40.0
_ROW_HEIGHT, _LABEL_WIDTH, _VALUE_WIDTH = 26.0, 132.0, 92.0
_LABEL_CHARS = 19
_GRID_LINES = 4

Words = Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Bin:
    """One column of a histogram: from where to where, and how many of each side."""

    low: float
    high: float
    counts: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Mark:
    """A line across a histogram, of one of its sides."""

    at: float
    side: int
    words: str


@dataclass(frozen=True, slots=True)
class BandPoint:
    at: float
    middle: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class BarRow:
    label: str
    value: float
    part: float  # of the value, shown in another colour
    words: str


def histogram(
    bins: Sequence[Bin], names: tuple[str, str], title: str, words: Words, marks: Sequence[Mark] = ()
) -> str:
    """Two sides over one logarithmic axis, each as its share, so that a busy side does not hide a quiet one."""
    shares = _shares(bins)
    if not shares:
        return ""
    axis = _Axis.logarithmic(bins[0].low, bins[-1].high)
    top = max(max(pair) for pair in shares) * 1.12
    parts = [_frame(top, lambda share: f"{100 * share:.3g} %")]
    for side in (0, 1):
        heights = [pair[side] for pair in shares]
        if any(heights):
            parts.append(f'<path class="area side{side}" d="{_steps(bins, heights, axis, top)}"/>')
    parts += [_mark(mark, axis) for mark in marks]
    parts += [_ticks(axis, words), _legend(names)]
    said = "; ".join(f"{names[mark.side]}: {mark.words}" for mark in marks)
    return _svg(title, f"Share of the times of {names[0]} and {names[1]}. {said}", parts)


def band(points: Sequence[BandPoint], bound: float | None, title: str, words: Words) -> str:
    """A rate, the band that holds at all times together, and the bound it is held against."""
    if not points:
        return ""
    axis = _Axis(0.0, max(points[-1].at, 1.0))
    shown = points if len(points) > 1 else [BandPoint(0.0, *_values(points[0])), points[0]]
    # A band of the first samples is as wide as it can be, and would flatten all that follows.
    late = [point for point in shown if point.at >= points[-1].at / 10]
    top = max([point.high for point in late] + [2 * (bound or 0.0), 0.001]) * 1.1
    low = min(0.0, max(min(point.low for point in late) * 1.1, -top / 4))
    level = _Level(low, top)
    edge = [f"{axis.x(p.at):.1f},{level.y(p.high):.1f}" for p in shown]
    edge += [f"{axis.x(p.at):.1f},{level.y(p.low):.1f}" for p in reversed(shown)]
    line = " ".join(f"{axis.x(p.at):.1f},{level.y(p.middle):.1f}" for p in shown)
    parts = [
        _frame(top, lambda rate: f"{100 * rate:.3g} %", low),
        f'<polygon class="band" points="{" ".join(edge)}"/>',
    ]
    if bound is not None:
        y = level.y(bound)
        parts.append(f'<line class="bound" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(_text(WIDTH - _RIGHT - 4, y - 5, f"bound {100 * bound:.3g} %", "end", "boundword"))
    last = points[-1]
    parts += [f'<polyline class="middle" points="{line}"/>', _ticks(axis, words)]
    said = f"After {last.at:,.0f} samples {last.middle:.2%}, surely from {last.low:.2%} to {last.high:.2%}."
    return _svg(title, said, parts)


def bars(rows: Sequence[BarRow], title: str, description: str) -> str:
    """One row for each thing: its size, and a part of it."""
    if not rows:
        return ""
    most = max(row.value for row in rows) or 1.0
    room = WIDTH - _LABEL_WIDTH - _VALUE_WIDTH
    parts = []
    for number, row in enumerate(rows):
        y = 6 + number * _ROW_HEIGHT
        whole, part = (room * max(0.0, value) / most for value in (row.value, min(row.part, row.value)))
        parts.append(_text(_LABEL_WIDTH - 8, y + 14, shortened(row.label), "end"))
        parts.append(_rect("bar", _LABEL_WIDTH, y, max(whole, 1.0), 18))
        if part > 0:
            parts.append(_rect("barpart", _LABEL_WIDTH, y, max(part, 1.5), 18))
        parts.append(_text(_LABEL_WIDTH + whole + 6, y + 14, row.words, "start", "quietword"))
    return _svg(title, description, parts, round(10 + len(rows) * _ROW_HEIGHT))


def shortened(text: str, chars: int = _LABEL_CHARS) -> str:
    return text if len(text) <= chars else text[: chars - 1] + "…"


# --- axes -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Axis:
    """From values to the places of a picture, left to right."""

    low: float
    high: float
    is_log: bool = False

    @classmethod
    def logarithmic(cls, low: float, high: float) -> _Axis:
        return cls(math.log(low), math.log(max(high, low * 1.01)), True)

    def x(self, value: float) -> float:
        at = math.log(max(value, 1e-12)) if self.is_log else value
        share = (at - self.low) / (self.high - self.low)
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * min(1.0, max(0.0, share))

    @property
    def ticks(self) -> list[float]:
        if self.is_log:
            return _round_numbers(math.exp(self.low), math.exp(self.high))
        step = _nice((self.high - self.low) / _GRID_LINES)
        return [step * number for number in range(int(self.high / step) + 1)]


@dataclass(frozen=True, slots=True)
class _Level:
    low: float
    top: float

    def y(self, value: float) -> float:
        share = (value - self.low) / (self.top - self.low)
        return HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * min(1.0, max(0.0, share))


def _round_numbers(low: float, high: float) -> list[float]:
    """1, 2, 5, 10, 20, … between two numbers; fewer where that would be many."""
    first = math.floor(math.log10(low))
    numbers = [
        digit * 10.0**power for power in range(first, math.ceil(math.log10(high)) + 1) for digit in (1, 2, 5)
    ]
    inside = [number for number in numbers if low <= number <= high]
    return inside if len(inside) <= 6 else inside[:: math.ceil(len(inside) / 6)]


def _nice(step: float) -> float:
    power = 10.0 ** math.floor(math.log10(step)) if step > 0 else 1.0
    return next(digit * power for digit in (1, 2, 5, 10) if digit * power >= step * 0.999)


def _shares(bins: Sequence[Bin]) -> list[tuple[float, float]]:
    totals = [sum(one.counts[side] for one in bins) for side in (0, 1)]
    if not any(totals):
        return []
    return [(one.counts[0] / max(totals[0], 1), one.counts[1] / max(totals[1], 1)) for one in bins]


def _values(point: BandPoint) -> tuple[float, float, float]:
    return point.middle, point.low, point.high


# --- pieces -----------------------------------------------------------------------------------------------


def _steps(bins: Sequence[Bin], heights: Sequence[float], axis: _Axis, top: float) -> str:
    level = _Level(0.0, top)
    path = [f"M{axis.x(bins[0].low):.1f},{level.y(0):.1f}"]
    for one, height in zip(bins, heights, strict=True):
        y = level.y(height)
        path.append(f"L{axis.x(one.low):.1f},{y:.1f}L{axis.x(one.high):.1f},{y:.1f}")
    return "".join([*path, f"L{axis.x(bins[-1].high):.1f},{level.y(0):.1f}Z"])


def _mark(mark: Mark, axis: _Axis) -> str:
    x = axis.x(mark.at)
    anchor = "end" if x > WIDTH * 0.7 else "start"
    words = _text(
        x + (4 if anchor == "start" else -4), _TOP + 12 + 16 * mark.side, mark.words, anchor, "markword"
    )
    return f'<line class="mark side{mark.side}" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{HEIGHT - _BOTTOM}"/>{words}'


def _frame(top: float, words: Words, low: float = 0.0) -> str:
    level, lines = _Level(low, top), []
    step = _nice((top - low) / _GRID_LINES)
    for number in range(math.ceil(low / step), math.floor(top / step) + 1):
        y = level.y(number * step)
        lines.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        lines.append(_text(_LEFT - 6, y + 4, words(number * step), "end", "quietword"))
    return "".join(lines)


def _ticks(axis: _Axis, words: Words) -> str:
    return "".join(
        _text(axis.x(tick), HEIGHT - _BOTTOM + 18, words(tick), "middle", "quietword") for tick in axis.ticks
    )


def _legend(names: tuple[str, str]) -> str:
    parts, x = [], _LEFT
    for side, name in enumerate(names):
        shown = shortened(name, 26)
        parts.append(_rect(f"key side{side}", x, 6, 12, 12))
        parts.append(_text(x + 18, 17, shown, "start"))
        x += 40 + 7.2 * len(shown)
    return "".join(parts)


def _rect(kind: str, x: float, y: float, width: float, height: float) -> str:
    return f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="2"/>'


def _text(x: float, y: float, text: str, anchor: str, kind: str = "word") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(title: str, description: str, parts: Sequence[str], height: int = HEIGHT) -> str:
    return (
        f'<svg class="plot" viewBox="0 0 {WIDTH} {height}" role="img" xmlns="http://www.w3.org/2000/svg">'
        f"<title>{escape(title)}</title><desc>{escape(description)}</desc>{''.join(parts)}</svg>"
    )
