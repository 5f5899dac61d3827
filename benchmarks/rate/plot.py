"""The p95 over the rate that was offered: where a side stops keeping up."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.plot import FAINT, SIZE_COLOURS, write_figure
from benchmarks.rate.page import TITLES, p95_of, sides_of


def draw(result: Mapping[str, Any], json_path: Path) -> list[Path]:
    return write_figure(lambda: _figure(result), json_path)


def _figure(result: Mapping[str, Any]) -> Figure:
    figure = Figure(figsize=(8, 4.4), facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for colour, side in zip(SIZE_COLOURS, sides_of(result["found"]), strict=False):
        points = sorted(
            (tried["rate_rps"], p95_ms)
            for one in result["found"] if one["side"] == side
            for tried in one["held"]["tried"] if (p95_ms := p95_of(tried)) is not None
        )  # fmt: skip
        axes.plot([rate for rate, _ in points], [p95_ms for _, p95_ms in points], "o", color=colour, ms=5,
                  label=TITLES.get(side, side))  # fmt: skip
    limit_ms = result["settings"]["limit_ms"]
    axes.axhline(limit_ms, color=FAINT, linewidth=1, linestyle="--")
    axes.set_yscale("log")
    axes.set_xlim(left=0)
    axes.set_xlabel("requests that fall due in a second")
    axes.set_title(f"p95, ms, from when each was due; dashed: {limit_ms:g} ms")
    axes.legend(loc="upper left")
    figure.tight_layout()
    return figure
