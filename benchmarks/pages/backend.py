"""A kept result of the backend's own suite as Markdown: what it adds, the rates beside it, and one detect in parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import TypeAdapter

from benchmarks.backend_report import Report
from benchmarks.backend_text import parts_of, rows_of
from benchmarks.overhead.page import backend_figures
from docs.making.markdown import table

_REPORT = TypeAdapter(Report)


def figures(result: Mapping[str, Any]) -> str:
    return "\n\n".join([backend_figures(result), *_more(_REPORT.validate_python(result))])


def _more(report: Report) -> Iterator[str]:
    groups = {
        "Its sides fakes, against a bare route": report.bare,
        "Before Triton, against Triton": report.triton,
    }
    for title, measured in groups.items():
        if measured is not None:
            head, *rows = rows_of(measured)
            yield f"**{title}**"
            yield table(head, rows)
    about, (head, *rows) = parts_of(report)
    yield f"**{about}**"
    yield table(head, rows)
