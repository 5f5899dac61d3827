"""A part of the stack: a process of ours, and all that must be known to start, ask and end it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from backend.stack.rotation import LogBounds

SIDES, FRONT = 0, 1  # stages: the backend starts when there is somebody to ask, and ends first


@dataclass(frozen=True, slots=True)
class Health:
    well: bool
    words: str
    hopeless: bool = False  # it says itself that it cannot come up


@dataclass(frozen=True, slots=True)
class Part:
    name: str
    url: str
    module: str  # run as `python -m module`
    log: Path  # what it prints
    look: Callable[[], Health]
    variables: Mapping[str, str] = field(default_factory=dict)  # beside the environment that we have
    ports: Mapping[str, int] = field(default_factory=dict)  # each by the variable that names another
    more_logs: tuple[Path, ...] = ()
    words: Sequence[str] = ()  # that the module is called with
    prepare: Sequence[str] = ()  # a module and its words, run to their end before it starts
    log_bounds: LogBounds | None = None  # None: it grows
    patience_s: float = 35.0  # to answer what is in flight once it is asked to end
    stage: int = SIDES

    @property
    def logs(self) -> tuple[Path, ...]:
        return (self.log, *self.more_logs)
