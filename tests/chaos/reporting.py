"""How the fault table is shown and kept."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from tests.chaos.running import Result


def line(result: Result) -> str:
    """One row, with its figures; what was wrong stands below it."""
    figures = result.figures
    served = ", ".join(f"{number} {side}" for side, number in sorted(figures.get("served", {}).items()))
    recovery = figures.get("recovery_s")
    head = (
        f"{'pass' if result.passed else 'FAIL'}  {result.row.family:9}  {result.row.name:44}"
        f" {figures.get('requests', 0):5} requests ({served}), longest {figures.get('longest_ms')} ms"
        + (f", well again after {recovery} s" if recovery is not None else "")
        + f"  [{result.took_s:.1f} s]"
    )
    if not result.wrong or (result.undefended and result.passed):
        return head
    return "\n".join(
        (head, *(f"      {mark}: {words}" for mark, said in result.wrong.items() for words in said))
    )


def summary(results: Sequence[Result], took_s: float) -> str:
    failed = [result.row.name for result in results if not result.passed]
    verdict = f"failed: {'; '.join(failed)}" if failed else "all passed"
    return f"{len(results)} rows in {took_s:.0f} s, {verdict}"


def keep(file: Path | None, results: Sequence[Result], took_s: float, undefended: bool) -> None:
    if file is None:
        return
    document = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "undefended": undefended,
        "took_s": round(took_s),
        "passed": sum(result.passed for result in results),
        "rows": [result.to_table() for result in results],
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(as_text(document))


def as_text(document: dict[str, Any]) -> str:
    """A line for each entry, and for each of a list: whoever compares two runs sees what changed."""
    lines = [f" {json.dumps(name)}: {_entry(value)}" for name, value in document.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _entry(value: Any) -> str:
    if not isinstance(value, list) or not value:
        return json.dumps(value)
    return "[\n" + ",\n".join(f"  {json.dumps(one)}" for one in value) + "\n ]"


def machine() -> dict[str, Any]:
    return {
        "cores": psutil.cpu_count(), "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "processor": _processor(), "python": platform.python_version(),
    }  # fmt: skip


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next(
        (one.partition(":")[2].strip() for one in lines if one.startswith("model name")), platform.machine()
    )
