"""What a kept result of the suite says, as markdown: the targets, what was refused, and the tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.comparison import Comparison
from benchmarks.comparison_text import as_markdown

DETECTORS = {"yolo26": "YOLO26", "rtdetr": "RT-DETR"}


def figures(result: Mapping[str, Any]) -> str:
    """Of one detector; one file holds one."""
    report = Comparison.of(result)
    return f"{_tracks(report)}\n\n{as_markdown(report)}"


def _tracks(report: Comparison) -> str:
    return (
        f"{DETECTORS[report.detector]}. *A*: the legacy service. *B*: pixels in, all candidates out; the client fits "
        "and does NMS. *C*: pixels in, rows out; the client fits. *D*: encoded pictures in, rows out. What the client "
        "does in B and C is in the requests/s and the latencies, and under `loadgen CPU`."
    )
