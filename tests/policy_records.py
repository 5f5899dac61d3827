"""What is written down of requests and calls while their promises are watched."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from backend.rollout.flags import View
from backend.services.request import Served
from backend.sides import Side
from backend.transports.base import Found


@dataclass(frozen=True)
class Setup:
    fallback: str = "legacy"
    legacy_enabled: bool = True
    max_retries: int = 3
    budget_share: float = 0.2
    budget_per_s: float = 10.0
    places: int = 3
    triton_timeout_s: float = 60.0


@dataclass(eq=False)
class Call:
    """One call of a side; who made it: a request, a probe, or a comparison."""

    number: int
    side: Side
    detector: str
    of: str  # caller, probe, heal (a probe of a fallen side), twin
    begun_at: float
    moves: int | None  # of the breaker, if the result is to count
    least_s: float
    caller: Caller | None = field(default=None, repr=False)
    found: Found | None = None
    code: str | None = None  # None: under way
    ended_at: float = 0.0
    judged: bool = False  # of a probe of a fallen side: the breaker was told


@dataclass(eq=False)
class Caller:
    name: str
    detector: str
    camera: str | None
    force: Side | None
    came_at: float
    ends_at: float
    decided: Side
    compared: bool
    view: View = field(repr=False)
    calls: list[Call] = field(default_factory=list)
    until: dict[Side, float] = field(default_factory=dict)  # so long may it stay with a side
    outcome: Served | BaseException | None = None
    left_at: float | None = None
    flag_moved: bool = False  # away from Triton, at some moment since
    records: int = 0
    told: str = ""  # the outcome on record …
    error: str = ""  # … and what each side said
    task: asyncio.Task[None] | None = field(default=None, repr=False)

    def on(self, side: Side) -> list[Call]:
        return [call for call in self.calls if call.side == side]
