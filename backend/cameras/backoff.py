"""How long a camera leaves a backend alone that turned it away, or was not there."""

from __future__ import annotations

FIRST_S, MOST_S = 0.25, 4.0
MOST_ASKED_S = 30.0  # that a Retry-After may keep us away


class Backoff:
    def __init__(self) -> None:
        self._wait_s = FIRST_S
        self._until = 0.0

    def holds(self, now: float) -> bool:
        return now < self._until

    def turned_away(self, now: float, retry_after_s: float | None = None) -> None:
        """As long as the backend asked for; else twice as long as the last time."""
        if retry_after_s is not None:
            self._until = now + min(retry_after_s, MOST_ASKED_S)
            return
        self._until = now + self._wait_s
        self._wait_s = min(2 * self._wait_s, MOST_S)

    def answered(self) -> None:
        self._wait_s, self._until = FIRST_S, 0.0
