"""What goes wrong again and again is said once, until it has worked again."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from backend.rollout.store import StoreAway


class Complaints:
    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._made: set[str] = set()

    @contextmanager
    def of(self, complaint: str) -> Iterator[None]:
        """Of files or a store that can be done without for a while."""
        try:
            yield
        except (OSError, StoreAway) as error:
            if complaint not in self._made:
                self._logger.warning("%s: %s", complaint, error)
            self._made.add(complaint)
        else:
            self._made.discard(complaint)
