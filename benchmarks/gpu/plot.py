"""A GPU's result as a figure: requests/s and p95 against callers, and images/s against the batch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.comparison import BASE, CEILING, Row
from benchmarks.gpu.report import GpuReport
from benchmarks.gpu.variants import MAIN
from benchmarks.plot import write_figure

SHOWN = (BASE, MAIN, "off", "grpc", "C", "B", "streaming", "batch")
LIMITS = ("compiled", "graph", "eager", "pipeline", "decode")


def draw(report: GpuReport, json_path: Path) -> list[Path]:
    return write_figure(lambda: _figure(report), json_path)


def _figure(report: GpuReport) -> Figure:
    figure = Figure(figsize=(13, 4.2), facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    rates, latencies, alone = figure.subplots(1, 3)
    _sides(rates, report, "requests/s", lambda row: row.cell.rps.median)
    rates.get_legend().remove()  # its neighbour's is the same, and lies on no line
    _sides(latencies, report, "p95, ms", lambda row: row.cell.p95_ms or 0.0)
    _alone(alone, report)
    figure.suptitle(f"{report.network} on one {report.bare.device}")
    return figure


def _sides(axes: Axes, report: GpuReport, title: str, value: Callable[[Row], float]) -> None:
    for side in SHOWN:
        rows = [row for row in report.served.rows if row.cell.service == side and side != CEILING]
        if rows:
            axes.plot([row.cell.callers for row in rows], [value(row) for row in rows], "o-", ms=3,
                      label=report.served.title(side))  # fmt: skip
    _finish(axes, "callers", title)


def _alone(axes: Axes, report: GpuReport) -> None:
    for what in LIMITS:
        rates = [one for one in report.bare.rates if one.what == what]
        if rates:
            axes.plot(
                [one.batch for one in rates], [one.images_per_s for one in rates], "o-", ms=3, label=what
            )
    best = report.best_served()
    axes.axhline(best.cell.rps.median, ls="--", lw=1, color="black", label="the most that was served")
    _finish(axes, "batch", "images/s without a server")


def _finish(axes: Axes, x: str, title: str) -> None:
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xlabel(x)
    axes.set_title(title, fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7)
