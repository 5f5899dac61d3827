"""Markdown as our pages write it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def code(text: str) -> str:
    return f"`{text}`"


def begun(title: str, source: str, name: str) -> str:
    """The heading, whose page it is, and what is written by hand in NAME.begin.md."""
    begin = Path(__file__).with_name(f"{name}.begin.md")
    made_by = (
        f"<!-- Made by `python -m docs.making` from {source} and docs/making/{begin.name}; edit those. -->"
    )
    return joined(f"# {title}", made_by, begin.read_text(encoding="utf-8")).rstrip("\n")


def joined(*parts: str) -> str:
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"
