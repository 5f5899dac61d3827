"""Where and when a kept result was measured, as the first line of what is shown of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from benchmarks.comparison_text import short
from benchmarks.machine import Machine

_MACHINE = TypeAdapter(Machine)


def measured_where(result: Mapping[str, Any]) -> str:
    machine = _MACHINE.validate_python(result["machine"])
    return (
        f"{machine.title}; {machine.os}, Python {machine.python}; load average before the start"
        f" {machine.load_average_1m}; {result['date'][:10]}, commit {short(result['commit'])}."
    )
