"""A comparison as a figure: `python -m benchmarks.comparison_plot FILE.json` draws it again."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.comparison import BASE, TARGET_CALLERS, TARGET_P95, TARGET_RPS, Comparison, Row
from benchmarks.comparison_text import short
from benchmarks.plot import FAINT, INK, TITLES, write_figure
from benchmarks.report import Spread

COLOURS = {
    "legacy": "#e08a1e",
    "unbatched": "#7fb3d5",
    "f32": "#1b4f8a",
    "bf16": "#2f9e7f",
    "int8": "#a8457f",
    "ort": "#8a6d3b",
    "f32-C": "#8d99ae",
    "f32-B": "#c3cad6",
}
ENGINES = {"torch": "legacy", "openvino f32": "f32", "openvino bf16": "bf16", "openvino int8": "int8",
           "onnxruntime f32": "ort"}  # fmt: skip
WIDTH = 0.8  # of a group of bars
MOST_WRITTEN = 12  # bars with their figures over them; of more they would lie on one another
_HOW = {1: "one by one", 8: "8 at once"}


def draw(report: Comparison, json_path: Path) -> list[Path]:
    return write_figure(lambda: _figure(report), json_path)


def _figure(report: Comparison) -> Figure:
    figure = Figure(figsize=(14, 5.6), facecolor="white")
    FigureCanvasAgg(figure)
    rate, latency, loops = figure.subplots(1, 3)
    _draw_sides(rate, report, "requests/s", lambda row: row.cell.rps.median)
    _draw_whiskers(rate, report)
    _draw_target(rate, report, TARGET_RPS, lambda row: row.cell.rps.median)
    _draw_sides(latency, report, "p95 latency, ms", _p95_ms)
    _draw_target(latency, report, TARGET_P95, _p95_ms)
    latency.legend(loc="upper left")
    _draw_loops(loops, report)
    figure.subplots_adjust(left=0.04, right=0.985, top=0.80, bottom=0.235)
    _make_room_at_the_left(loops, 0.09)
    figure.text(
        0.018,
        0.93,
        f"{TITLES[report.detector]}: the legacy service and Triton",
        fontsize=16,
        fontweight="bold",
    )
    figure.text(0.018, 0.885, report.machine.title, fontsize=10.5, color=FAINT)
    figure.text(0.018, 0.03, _caption(report), fontsize=9, color=FAINT, va="bottom", linespacing=1.5)
    return figure


def _draw_sides(axes: Axes, report: Comparison, title: str, value: Callable[[Row], float]) -> None:
    axes.set_title(title)
    for side in _sides(report):
        rows = [report.row(side, callers) for callers in report.settings.callers]
        places = [_place(report, row) for row in rows]
        axes.bar(
            places,
            [value(row) for row in rows],
            width=_bar(report),
            color=COLOURS[side],
            label=report.title(side),
        )
        for place, row in zip(places, rows, strict=True):
            if len(rows) * len(_sides(report)) <= MOST_WRITTEN:
                _write(axes, place, value(row))
    groups = [str(callers) for callers in report.settings.callers]
    axes.set_xticks(range(len(groups)), groups)
    axes.set_xlabel("callers")
    axes.grid(visible=False, axis="x")
    axes.set_xlim(-0.55, len(groups) - 0.1)  # the target's name stands at the right
    axes.margins(y=0.14)


def _draw_whiskers(axes: Axes, report: Comparison) -> None:
    for row in (row for row in report.measured if row.cell.service in COLOURS):
        _whisker(axes, _place(report, row), row.cell.rps)


def _draw_target(axes: Axes, report: Comparison, times: float, value: Callable[[Row], float]) -> None:
    if TARGET_CALLERS not in report.settings.callers:
        return
    wanted = times * value(report.row(BASE, TARGET_CALLERS))
    at = report.settings.callers.index(TARGET_CALLERS)
    axes.plot([at - WIDTH / 2, at + WIDTH / 2], [wanted, wanted], "--", color=INK, linewidth=1.1)
    axes.annotate(
        f"{times:g} × legacy", (at + WIDTH / 2, wanted), xytext=(4, 0), textcoords="offset points",
        va="center", fontsize=9,
    )  # fmt: skip


def _draw_loops(axes: Axes, report: Comparison) -> None:
    axes.set_title("one process, no server: images/s")
    names = [f"{one.engine}, {_HOW[one.batch]}" for one in report.loops]
    for place, one in enumerate(report.loops):
        pace = one.images_per_s
        axes.barh(place, pace.median, height=0.62, color=COLOURS[ENGINES.get(one.engine, BASE)])
        axes.plot([pace.min, pace.max], [place, place], color=FAINT, linewidth=1.2)
        axes.annotate(
            f"{one.ratio.median:.1f} ×", (pace.max, place), xytext=(5, 0), textcoords="offset points",
            va="center", fontsize=9.5,
        )  # fmt: skip
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.margins(x=0.18)


def _make_room_at_the_left(axes: Axes, share: float) -> None:
    place = axes.get_position()
    axes.set_position((place.x0 + share, place.y0, place.width - share, place.height))


def _whisker(axes: Axes, place: float, spread: Spread) -> None:
    axes.plot([place, place], [spread.min, spread.max], color=FAINT, linewidth=1.2)


def _write(axes: Axes, place: float, value: float) -> None:
    axes.annotate(
        f"{value:.0f}", (place, value), xytext=(0, 3), textcoords="offset points", ha="center", fontsize=9
    )


def _place(report: Comparison, row: Row) -> float:
    sides = _sides(report)
    at = report.settings.callers.index(row.cell.callers)
    return at + (sides.index(row.cell.service) - (len(sides) - 1) / 2) * _bar(report)


def _bar(report: Comparison) -> float:
    return WIDTH / len(_sides(report))


def _sides(report: Comparison) -> list[str]:
    present = {row.cell.service for row in report.measured}
    return [side for side in COLOURS if side in present]


def _p95_ms(row: Row) -> float:
    return row.cell.p95_ms or 0.0


def _caption(report: Comparison) -> str:
    machine, settings = report.machine, report.settings
    parts = [
        f"{settings.size} JPEGs, closed loop (B and C over gRPC, the others over HTTP); "
        f"medians of {settings.rounds} rounds of {settings.seconds:g} s, "
        "thin lines: lowest to highest.",
        "A dashed line is the target at 8 callers.",
        "On the right: decode, prepare, infer, finish in a plain loop; ×: times torch, one by one.",
        f"{machine.os}, Python {machine.python}, torch {machine.torch}, OpenVINO {machine.packages.get('openvino')};",
        f"{report.date[:10]}, commit {short(report.commit)}.",
    ]
    return "\n".join(textwrap.wrap(" ".join(parts), 195))


def main() -> None:
    for name in sys.argv[1:]:
        path = Path(name)
        for written in draw(Comparison.read(path), path):
            print(written)


if __name__ == "__main__":
    main()
