"""What the requests of one generator process come to, while it runs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from benchmarks.wire import Answer

MAX_FAILURES = 100  # of a whole run; more of the same teaches nothing


@dataclass(frozen=True, slots=True)
class Timed:
    """An answer, and the moment from which its latency counts."""

    since_ns: int  # sent in a closed loop, due in an open one
    answer: Answer

    @property
    def latency_ms(self) -> float:
        return (self.answer.ended_ns - self.since_ns) / 1e6

    @property
    def late_ms(self) -> float:
        return (self.answer.started_ns - self.since_ns) / 1e6


@dataclass(slots=True)
class Tally:
    max_requests: int
    sent: int = 0
    answers: list[Timed] = field(default_factory=list)  # with 200
    busy: int = 0
    errors: Counter[str] = field(default_factory=Counter)

    @property
    def spent(self) -> bool:
        """Enough was sent, or enough went wrong."""
        return self.sent >= self.max_requests or self.errors.total() >= MAX_FAILURES

    def note(self, answer: Answer, since_ns: int) -> None:
        if answer.status == 200:
            self.answers.append(Timed(since_ns, answer))
        elif answer.status == 503:
            self.busy += 1
        else:
            self.errors[f"status {answer.status}"] += 1
