"""A report as a figure: `python -m benchmarks.plot benchmarks/results/baseline-cpu.json` draws it again."""

from __future__ import annotations

import math
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from benchmarks.report import STAGES, Cell, Report

SIZE_COLOURS = ("#1b4f8a", "#e08a1e", "#2f9e7f", "#a8457f", "#6b7280")
STAGE_COLOURS = ("#7fb3d5", "#2f9e7f", "#d9d2c5", "#1b4f8a", "#e08a1e", "#b8bcc4")  # in the order of STAGES
INK, FAINT = "#22262e", "#6b7280"
TITLES = {"yolo26": "YOLO26", "rtdetr": "RT-DETR"}

STYLE: dict[Any, Any] = {  # matplotlib types its keys one by one
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": "#c4c8cf",
    "axes.labelcolor": FAINT,
    "axes.titlecolor": INK,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e7e9ed",
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "svg.hashsalt": "crossfade",  # the same report gives the same file
    "svg.fonttype": "none",
}


def draw(report: Report, json_path: Path) -> list[Path]:
    return write_figure(lambda: _figure(report), json_path)


def write_figure(make: Callable[[], Figure], json_path: Path) -> list[Path]:
    """The figure beside its JSON, as .png and .svg."""
    with mpl.rc_context(STYLE):
        figure = make()
        paths = [json_path.with_suffix(suffix) for suffix in (".png", ".svg")]
        figure.savefig(paths[0], dpi=150)
        figure.savefig(paths[1], metadata={"Date": None})
    return paths


def _figure(report: Report) -> Figure:
    services = report.settings.services
    height = 1.9 + 3.3 * len(services)
    figure = Figure(figsize=(14, height), facecolor="white")
    FigureCanvasAgg(figure)
    rows = figure.subplots(len(services), 3, squeeze=False, width_ratios=(1, 1, 1.25))
    for service, (rate, latency, split) in zip(services, rows, strict=True):
        _draw_rate(rate, report, service)
        _draw_latency(latency, report, service)
        _draw_split(split, report, service)
    figure.subplots_adjust(
        left=0.055, right=0.985, top=1 - 1.05 / height, bottom=1.35 / height, wspace=0.27, hspace=0.48
    )
    figure.text(0.018, 1 - 0.38 / height, "The legacy services today", fontsize=16, fontweight="bold")
    figure.text(0.018, 1 - 0.64 / height, report.machine.title, fontsize=10.5, color=FAINT)
    figure.text(0.018, 0.16 / height, _caption(report), fontsize=9, color=FAINT, va="bottom", linespacing=1.5)
    return figure


def _draw_rate(axes: Axes, report: Report, service: str) -> None:
    _title(axes, service, "requests/s")
    for colour, size in zip(SIZE_COLOURS, report.settings.sizes, strict=False):
        cells = report.cells_of(service, size)
        lows, highs = [cell.rps.min for cell in cells], [cell.rps.max for cell in cells]
        axes.fill_between(
            [cell.callers for cell in cells], lows, highs, color=colour, alpha=0.14, linewidth=0
        )
    _by_callers(axes, report, service, lambda cell: cell.rps.median)
    axes.legend(loc="lower right")


def _draw_latency(axes: Axes, report: Report, service: str) -> None:
    _title(axes, service, "p95 latency, ms")
    _by_callers(axes, report, service, lambda cell: math.nan if cell.p95_ms is None else cell.p95_ms)


def _by_callers(axes: Axes, report: Report, service: str, value: Callable[[Cell], float]) -> None:
    for colour, size in zip(SIZE_COLOURS, report.settings.sizes, strict=False):
        cells = report.cells_of(service, size)
        label = f"{_times(size)}, {cells[0].jpeg_bytes / 1024:.0f} KiB"
        axes.plot(
            [cell.callers for cell in cells],
            [value(cell) for cell in cells],
            "o-",
            color=colour,
            label=label,
            ms=5,
        )
    axes.set_xscale("log", base=2)
    axes.set_xticks(report.settings.callers, [str(callers) for callers in report.settings.callers])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("callers, each with one request open")
    axes.margins(y=0.12)
    axes.set_ylim(bottom=0)


def _draw_split(axes: Axes, report: Report, service: str) -> None:
    fewest = min(report.settings.callers)
    _title(axes, service, f"where the time goes at {fewest} caller{'s' * (fewest > 1)}, ms")
    cells = [report.cells_of(service, size)[0] for size in report.settings.sizes]
    names = [_times(cell.size) for cell in cells]
    ends = [0.0] * len(cells)
    for colour, stage in zip(STAGE_COLOURS, STAGES, strict=True):
        widths = [max(0.0, cell.split_ms.get(stage, 0.0)) for cell in cells]
        axes.barh(names, widths, left=ends, color=colour, label=stage, height=0.58)
        ends = [end + width for end, width in zip(ends, widths, strict=True)]
    for name, end in zip(names, ends, strict=True):
        axes.annotate(
            f"{end:.0f}", (end, name), xytext=(5, 0), textcoords="offset points", va="center", fontsize=9.5
        )
    half = max(0.5, (3 - len(cells)) / 2)  # one bar alone stays a bar
    axes.set_ylim(len(cells) - 1 + half, -half)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.margins(x=0.08)
    _legend_below(axes)


def _legend_below(axes: Axes) -> None:
    axes.legend(
        loc="upper right", bbox_to_anchor=(1.02, -0.09), ncols=len(STAGES), fontsize=8.5,
        columnspacing=0.9, handlelength=0.9, handletextpad=0.4,
    )  # fmt: skip


def _title(axes: Axes, service: str, what: str) -> None:
    axes.set_title(f"{TITLES.get(service, service)}: {what}")


def _caption(report: Report) -> str:
    machine, settings = report.machine, report.settings
    rates = [cell.rps.median for cell in report.ceiling]
    smallest = report.smallest_ceiling_ratio
    repeats = f"{settings.repeats} repeat{'s' * (settings.repeats > 1)}"
    parts = [
        f"Closed loop; medians of {repeats} of {settings.seconds:g} s; a band is their range.",
        "Rest: HTTP, the event loop and the wait for a decoding thread.",
        "The load generator alone, against an endpoint that does nothing:",
        f"{min(rates):,.0f} to {max(rates):,.0f} requests/s,",
        f"at least {smallest:.0f} × every rate above." if smallest else "and the services answered nothing.",
        f"{machine.os}, Python {machine.python}, torch {machine.torch}; {report.date[:10]},",
        f"commit {(report.commit or 'none yet')[:12]}.",
    ]
    return "\n".join(textwrap.wrap(" ".join(parts), 195))


def _times(size: str) -> str:
    return size.replace("x", " × ")


def main() -> None:
    for name in sys.argv[1:]:
        path = Path(name)
        for written in draw(Report.read(path), path):
            print(written)


if __name__ == "__main__":
    main()
