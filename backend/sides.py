"""The two sides of the migration."""

from __future__ import annotations

from typing import Final, Literal

Side = Literal["legacy", "triton"]

LEGACY: Final = "legacy"
TRITON: Final = "triton"
SIDES: Final[tuple[Side, ...]] = (LEGACY, TRITON)


def other(side: Side) -> Side:
    return TRITON if side == LEGACY else LEGACY
