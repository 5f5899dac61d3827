"""The fault table: every row, in one place."""

from __future__ import annotations

from tests.chaos import (
    rows_brownouts,
    rows_callers,
    rows_flags,
    rows_floods,
    rows_lies,
    rows_network,
    rows_processes,
    rows_stores,
)
from tests.chaos.row import Row

ROWS: tuple[Row, ...] = (
    *rows_processes.ROWS,
    *rows_stores.ROWS,
    *rows_network.ROWS,
    *rows_lies.ROWS,
    *rows_callers.ROWS,
    *rows_flags.ROWS,
    *rows_floods.ROWS,
    *rows_brownouts.ROWS,
)
