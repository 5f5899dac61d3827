"""Where the replicas agree on the flags: a Protocol that one file, one process or one server can keep.

A store is asked from one thread at a time, never from the event loop. Every method may raise StoreAway.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol

from ai.core.errors import CrossfadeError
from backend.rollout.books import Counts
from backend.rollout.checked import number, text, whole
from backend.rollout.checked import table as checked_table
from backend.rollout.quota import Quota, Seen
from backend.rollout.state import RolloutState

MAX_TURNS = 5_000  # cameras that are remembered; of more, the one that was silent longest is forgotten


class StoreAway(CrossfadeError):
    """The store cannot be read or written. What is obeyed meanwhile is the last state that was seen."""


class NotObeyable(StoreAway):
    """What it holds is no state: somebody else has to write another."""


class HasContent(StoreAway):
    """A whole store can be loaded only where there is none."""


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
    figures: dict[str, Any] | None = None  # what it was decided by, where a ramp did

    @classmethod
    def made(
        cls,
        before: RolloutState | None,
        after: RolloutState,
        *,
        who: str,
        reason: str,
        at: float | None = None,
        figures: dict[str, Any] | None = None,
    ) -> Change:
        table = before.to_table() if before else None
        at = time.time() if at is None else at
        return cls(after.version, at, who, reason, table, after.to_table(), figures)

    @property
    def state(self) -> RolloutState:
        """InvalidState where it is none."""
        return RolloutState.from_table(self.after)

    def to_table(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> Change:
        """KeyError or ValueError where it is none; fields of a later version are ignored."""
        before, figures = table["before"], table.get("figures")
        return cls(
            whole("version", table["version"]),
            number("at", table["at"]),
            text("who", table["who"]),
            text("reason", table["reason"]),
            None if before is None else checked_table("before", before),
            checked_table("after", table["after"]),
            None if figures is None else checked_table("figures", figures),
        )


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


@dataclass(frozen=True, slots=True)
class Turn:
    """When a camera last gave an evidence sample, and what legacy saw then."""

    at: float  # unix seconds
    seen: Sequence[Sequence[float]]  # of each box x1, y1, x2, y2, class id, and 1 where it is surely there


@dataclass(frozen=True, slots=True)
class Sample:
    """A pair that differs, without its picture."""

    id: str  # letters and digits; a later one sorts after an earlier one
    at: float  # unix seconds
    detector: str
    camera: str
    epoch: str  # the ramp's, or ""
    light: str
    model_version: str
    kinds: tuple[str, ...]
    labels: tuple[str, ...]  # the classes that differ
    legacy: Sequence[Sequence[float]]  # x1, y1, x2, y2, score, class id, in pixels of the kept picture
    triton: Sequence[Sequence[float]]
    width: int  # of the kept picture
    height: int


@dataclass(frozen=True, slots=True)
class SampleLimits:
    count: int
    total_bytes: int
    age_s: float


class Store(Protocol):
    def changed(self) -> bool:
        """Whether `read` might answer something new; cheap enough for ten times a second."""

    def read(self) -> Snapshot: ...

    def write(self, change: Change, expected: int | None) -> bool:
        """Append it and make it the current one, if the current version is still `expected` (None: no content)."""

    def history(self, limit: int, before: int | None = None) -> tuple[Change, ...]:
        """Newest first; of versions under `before`, where that is named."""

    def beat(self, beat: Beat) -> float | None:
        """Replace this worker's last one; `at` of that, None where there was none: the store was lost, or it is new."""

    def forget(self, worker: str) -> None: ...

    def beats(self) -> tuple[Beat, ...]:
        """By name of the worker; those of the dead too, for a while."""

    def publish(self, quotas: Mapping[str, Quota]) -> None: ...

    def now(self) -> float:
        """Unix seconds, by the clock that all users of this store share. Never waits; from any thread."""

    def subscribe(self, wake: Callable[[], None]) -> None:
        """Call `wake`, from any thread, when somebody wrote; a store that cannot tell never calls it."""

    # --- one leader ---------------------------------------------------------------------------------------

    def lead(self, worker: str, for_s: float) -> bool:
        """Take the lease or renew one's own; no where another one's still lasts."""

    def resign(self, worker: str) -> None:
        """Give one's own lease back, if one has it."""

    def record(self, name: str) -> str | None: ...

    def keep(self, name: str, text: str, leader: str) -> bool:
        """Write a record; no where `leader` does not hold the lease, whose record then stays."""

    # --- evidence -----------------------------------------------------------------------------------------

    def add(self, book: str, counts: Counts, writer: str, serial: int) -> None:
        """Add to a book. A writer's serials rise, and each one counts once in a book however often it is sent."""

    def counts(self, book: str) -> Counts: ...

    def books(self) -> tuple[str, ...]:
        """By name."""

    def forget_books(self, prefixes: Sequence[str]) -> None:
        """All but those whose name begins so."""

    def turn(self, name: str) -> Turn | None: ...

    def take_turn(self, name: str, turn: Turn, expected_at: float | None) -> bool:
        """Make it this one, if the last one's `at` is still `expected_at` (None: there is none).

        Of more than MAX_TURNS, the oldest go."""

    # --- samples ------------------------------------------------------------------------------------------

    def add_sample(self, sample: Sample, picture: bytes, limits: SampleLimits) -> None:
        """The oldest go until all limits hold; one that is too large by itself is not kept.

        What counts as bytes is the picture and the words about it."""

    def samples(
        self, limit: int, detector: str = "", camera: str = "", kind: str = "", label: str = ""
    ) -> tuple[Sample, ...]:
        """By id, the last one first; an empty word stands for any."""

    def picture(self, sample_id: str) -> bytes | None: ...

    def remove_samples(self, camera: str | None) -> int:
        """Of one camera or of all, for good: not to be read in the store's files afterwards. How many they were."""

    # --- as a whole ---------------------------------------------------------------------------------------

    def dump(self) -> Iterator[dict[str, Any]]:
        """Everything that lasts, a row at a time, the same words from every kind of store; no lease, no heartbeats."""

    def load(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """What `dump` gave, into a store without content; HasContent where it has some."""

    def close(self) -> None: ...
