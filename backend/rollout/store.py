"""Where the replicas agree on the flags: a Protocol that one file, one process or one server can keep.

A store is asked from one thread at a time, never from the event loop. Every method may raise StoreAway.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol

from ai.core.errors import CrossfadeError
from backend.rollout.quota import Quota, Seen
from backend.rollout.state import RolloutState


class StoreAway(CrossfadeError):
    """The store cannot be read or written. What is obeyed meanwhile is the last state that was seen."""


class LostUpdate(CrossfadeError):
    """Somebody else changed the flags since the caller looked."""

    def __init__(self, current: RolloutState) -> None:
        super().__init__(f"The flags were changed meanwhile; they are at version {current.version} now.")
        self.current = current


class NotPossible(CrossfadeError):
    """The change would leave requests to nobody."""


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of the history, which holds the whole state that it led to."""

    version: int
    at: float  # unix seconds
    who: str
    reason: str
    before: dict[str, Any] | None
    after: dict[str, Any]

    @classmethod
    def made(
        cls,
        before: RolloutState | None,
        after: RolloutState,
        *,
        who: str,
        reason: str,
        at: float | None = None,
    ) -> Change:
        table = before.to_table() if before else None
        return cls(after.version, time.time() if at is None else at, who, reason, table, after.to_table())

    @property
    def state(self) -> RolloutState:
        """InvalidState where it is none."""
        return RolloutState.from_table(self.after)

    def to_table(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> Change:
        return cls(**{name: table[name] for name in cls.__dataclass_fields__})


@dataclass(frozen=True, slots=True)
class Beat:
    """A worker's sign of life: which version it obeys, and what it was asked lately."""

    worker: str
    at: float  # unix seconds
    version: int
    traffic: Mapping[str, Seen] = field(default_factory=lambda: MappingProxyType({}))  # by detector


@dataclass(frozen=True, slots=True)
class Snapshot:
    change: Change | None  # the last one; None: the store is empty
    quotas: Mapping[str, Quota]  # by detector


class Store(Protocol):
    def changed(self) -> bool:
        """Whether `read` might answer something new; cheap enough for ten times a second."""

    def read(self) -> Snapshot: ...

    def write(self, change: Change, expected: int | None) -> bool:
        """Append it and make it the current one, if the current version is still `expected` (None: no content)."""

    def history(self, limit: int) -> tuple[Change, ...]:
        """Newest first."""

    def beat(self, beat: Beat) -> float | None:
        """Replace this worker's last one; `at` of that, None where there was none: the store was lost, or it is new."""

    def forget(self, worker: str) -> None: ...

    def beats(self) -> tuple[Beat, ...]:
        """By name of the worker; those of the dead too, for a while."""

    def publish(self, quotas: Mapping[str, Quota]) -> None: ...

    def close(self) -> None: ...
