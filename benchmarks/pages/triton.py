"""A kept result of Triton against the legacy service, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.comparison import Comparison
from benchmarks.comparison_text import as_markdown


def figures(result: Mapping[str, Any]) -> str:
    return as_markdown(Comparison.of(result))
