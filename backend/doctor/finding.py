"""One thing that was looked at: how it is, and the command that mends it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ai.terminal.colours import Kind, colour
from ai.terminal.printable import printable
from ai.triton.embedded.settings import EmbeddedSettings
from backend.settings import Settings
from backend.stack.plan import TRITON, parts_of

Level = Literal["OK", "warning", "FAIL"]
_KINDS: dict[Level, Kind] = {"OK": "good", "warning": "warn", "FAIL": "bad"}


@dataclass(frozen=True, slots=True)
class Finding:
    about: str
    level: Level
    words: str
    mend: str | None = None

    @property
    def lines(self) -> tuple[str, ...]:
        level = colour(f"{self.level:8}", _KINDS[self.level])
        first = f"{level}{printable(f'{self.about:12} {self.words}')}"
        return (first, f"{'':21}→ {printable(self.mend)}") if self.mend else (first,)


@dataclass(frozen=True, slots=True)
class Patient:
    """What is looked at."""

    settings: Settings
    embedded: EmbeddedSettings

    @property
    def runs_triton(self) -> bool:
        return TRITON in {part.name for part in parts_of(self.settings, self.embedded)}
