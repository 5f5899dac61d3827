"""The fault table: every row, in one place."""

from __future__ import annotations

from tests.chaos import rows_processes
from tests.chaos.row import Row

ROWS: tuple[Row, ...] = (*rows_processes.ROWS,)
