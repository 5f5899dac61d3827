"""A figure for each thing that grows: a panel for each of its series, on logarithmic axes, with its slope."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

from benchmarks.growth.page import AXES
from benchmarks.growth.report import Report
from benchmarks.growth.series import Series
from benchmarks.plot import FAINT, SIZE_COLOURS, write_figure

COLUMNS = 3
WELL, ILL, UNSURE = SIZE_COLOURS[2], "#b3362c", FAINT
PANEL_INCHES = (4.6, 3.2)


def draw(report: Report, json_path: Path) -> list[Path]:
    written: list[Path] = []
    for axis, title in AXES.items():
        own = [one for one in report.series if one.question.axis == axis]
        if own:
            path = json_path.with_name(f"{json_path.stem}-{axis}.json")
            written += write_figure(partial(_figure, own, title, report.machine.title), path)
    return written


def _figure(series: Sequence[Series], title: str, machine: str) -> Figure:
    columns = min(COLUMNS, len(series))
    rows = ceil(len(series) / columns)
    height = 0.9 + PANEL_INCHES[1] * rows
    figure = Figure(figsize=(PANEL_INCHES[0] * columns, height), facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(f"{title}\n{machine}", fontsize=10.5, x=0.01, ha="left", linespacing=1.5)
    panels: list[Any] = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes, one in zip(panels, series, strict=False):
        _draw(axes, one)
    for axes in panels[len(series) :]:
        axes.set_visible(False)
    return figure


def _draw(axes: Axes, one: Series) -> None:
    points = [point for point in one.points if point.x > 0]
    xs = [point.x for point in points]
    colour = {True: WELL, False: ILL, None: UNSURE}[one.met]
    lows, highs = [min(point.rounds) for point in points], [max(point.rounds) for point in points]
    axes.fill_between(xs, lows, highs, color=colour, alpha=0.16, linewidth=0)
    axes.plot(xs, [point.median for point in points], "o-", color=colour, ms=4.5)
    axes.set_xscale("log")
    axes.set_xticks(xs, [_short(x) for x in xs])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_yscale("log")
    _widen(axes)
    axes.set_title(one.question.title, fontsize=9.5)
    axes.set_xlabel(f"{one.question.x}; exponent {one.slope.exponent:.2f}: {one.verdict}", fontsize=8.5)
    axes.set_ylabel(one.question.y, fontsize=8.5)
    axes.tick_params(which="both", labelsize=8)
    axes.yaxis.set_major_formatter(FuncFormatter(_plain))
    axes.yaxis.set_minor_formatter(FuncFormatter(_plain) if _is_short(axes) else NullFormatter())


def _widen(axes: Axes) -> None:
    """Noise of a tenth is no mountain."""
    bottom, top = axes.get_ylim()
    if top < 10 * bottom:
        middle = (bottom * top) ** 0.5
        axes.set_ylim(middle / 10**0.5, middle * 10**0.5)


def _is_short(axes: Axes) -> bool:
    """A decade has one major tick: the ones between are to be read too."""
    bottom, top = axes.get_ylim()
    return top < 11 * bottom


def _short(size: float) -> str:
    for least, sign in ((1e6, "M"), (1e3, "k")):
        if size >= least:
            return f"{size / least:.3g}{sign}"
    return f"{size:g}"


def _plain(value: float, _place: object) -> str:
    return f"{value:,.4g}" if value < 1e3 else f"{value:,.0f}"
