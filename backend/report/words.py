"""How the report's page writes numbers, with their units, and tables of them."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

NOTHING = "–"


def percent(share: float | None) -> str:
    return NOTHING if share is None else f"{share:.2%}".replace("%", " %")


def surely(low: float | None, high: float | None) -> str:
    """A band, for somebody who does not care what less than nothing means."""
    if low is None or high is None:
        return "no samples yet"
    return f"surely under {percent(high)}" if low <= 0 else f"surely {percent(low)} to {percent(high)}"


def share_of(part: int, whole_count: int) -> str:
    return percent(part / whole_count) if whole_count else NOTHING


def whole(number: int | None) -> str:
    return NOTHING if number is None else f"{number:,}"


def ms(value: float | None) -> str:
    """Three digits that mean something."""
    if value is None:
        return NOTHING
    return f"{value:,.0f} ms" if value >= 100 else f"{value:.1f} ms" if value >= 10 else f"{value:.2f} ms"


def rows_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Nothing where there are no rows."""
    if not rows:
        return ""
    kinds = [_kind(cell) for cell in rows[0]]
    first = "".join(
        f'<th scope="col"{kind}>{escape(head)}</th>' for head, kind in zip(heads, kinds, strict=True)
    )
    body = "".join(
        f"<tr>{''.join(f'<td{_kind(cell)}>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    return f"<table><thead><tr>{first}</tr></thead><tbody>{body}</tbody></table>"


def _kind(cell: str) -> str:
    """Numbers stand to the right, words to the left."""
    is_number = cell[:1].isdigit() or cell[:1] in {"-", "+", "−", NOTHING}
    return "" if is_number else ' class="text"'
