"""What a row of the fault table is: a fault, scripted; what must hold meanwhile; and the defence that makes it hold."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.house import House
from tests.chaos.load import Asked, Load

FAMILIES = ("processes", "stores", "network", "lies", "floods", "callers", "flags")


@dataclass(frozen=True)
class Without:
    """The defence, taken away: by variables of the backend, or by patches that `tests.chaos.undefended` knows."""

    defence: str  # in words
    variables: Mapping[str, str] = field(default_factory=dict)
    patches: tuple[str, ...] = ()
    fails: str = "answered"  # the mark that must fail then, among others perhaps


@dataclass(frozen=True)
class Row:
    """`act` breaks what it breaks and mends it again, in its own time; it may raise AssertionError.

    `excused` names marks that cannot hold, each with the reason: they are not looked at.
    """

    name: str
    family: str
    promise: str  # what the caller may rely on, in words
    act: Callable[[Trial], None]
    without: Without
    reasons: frozenset[str] = frozenset()  # why answers may have come from the other side
    statuses: frozenset[int] = frozenset({200})
    variables: Mapping[str, str] = field(default_factory=dict)  # of the backend, beside the usual
    through_proxies: bool = False
    redis: bool = False  # the flags are kept in one, behind a proxy of its own
    workers: int = 1
    env_file: str | None = None  # what it says is not said by variables
    patches: tuple[str, ...] = ()  # of the backend, with and without its defence
    per_s: float = 50.0
    first: str = "triton"  # who serves before the fault, and again after it
    last: str | None = None  # … or somebody else after it
    quick: bool = False  # it is run by CI
    excused: Mapping[str, str] = field(default_factory=dict)
    ruins: bool = False  # the house is of no use to the next row


@dataclass
class Trial:
    """One run of a row: what it may touch, and what it finds out."""

    row: Row
    house: House
    load: Load
    patience_s: float = 60.0
    undefended: bool = False  # for a defence that does not lie in the backend
    figures: dict[str, Any] = field(default_factory=dict)  # shown in the table, kept in the file
    wrong: dict[str, list[str]] = field(default_factory=dict)  # by mark
    broke_at: float = 0.0
    mended_at: float = 0.0
    control_s: list[float] = field(
        default_factory=list
    )  # looks at the backend beside the load: how long each took

    def broken(self) -> None:
        """Called where the fault begins; what is measured is measured from here."""
        self.broke_at = time.time()

    def mended(self) -> None:
        """Called where nothing is broken any more: the time until the first side serves again is counted from here."""
        self.mended_at = time.time()

    def note(self, **figures: Any) -> None:
        self.figures.update(figures)

    def require(self, holds: bool, mark: str, words: str) -> None:
        """A mark of the row's own, or one of the shared ones."""
        if not holds:
            self.wrong.setdefault(mark, []).append(words)

    def until_served_by(self, side: str, patience_s: float | None = None) -> None:
        """The latest 20, at once and without a fallback."""
        self.load.until(
            lambda latest: all(one.reply.side == side and not one.reply.fallback_reason for one in latest),
            f"{side} does not serve", patience_s=patience_s or self.patience_s,
        )  # fmt: skip

    def until_falling_back(self, side: str = "legacy", patience_s: float | None = None) -> None:
        """The latest 20 are served by this side in the other's place."""
        self.load.until(
            lambda latest: all(one.reply.side == side and one.reply.fallback_reason for one in latest),
            f"{side} does not take over", patience_s=patience_s or self.patience_s,
        )  # fmt: skip

    def until(self, holds: Callable[[], bool], why: str) -> None:
        """Whatever else a row waits for."""
        ends_at = time.monotonic() + self.patience_s
        while not holds():
            assert time.monotonic() < ends_at, why
            time.sleep(0.02)

    def lasting(self, seconds: float) -> None:
        """The load goes on meanwhile."""
        time.sleep(seconds)

    @property
    def asked(self) -> list[Asked]:
        return list(self.load.asked)
