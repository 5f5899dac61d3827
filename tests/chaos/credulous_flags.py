"""Patches for `tests.chaos.undefended`: flags that are taken as they are found, as most programs take theirs."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

from backend.rollout import state
from backend.rollout.environment import EnvironmentWatch, Said


def nothing_said_is_nothing() -> None:
    together = EnvironmentWatch._together

    def without_memory(self: EnvironmentWatch) -> Said:
        said = together(self)
        return replace(said, fraction=said.fraction or 0.0)

    EnvironmentWatch._together = without_memory  # type: ignore[method-assign]


def unreadable_is_empty() -> None:
    text = EnvironmentWatch._text
    EnvironmentWatch._text = lambda self: text(self) or ""  # type: ignore[method-assign]


def believe_the_first_look() -> None:
    def look(self: EnvironmentWatch) -> bool:
        text = self._text()
        if text is None:
            return False
        self._last = self._settled = text
        before, self.said = self.said, self._together()
        return self.said != before

    EnvironmentWatch.look = look  # type: ignore[method-assign]
    EnvironmentWatch.is_current = lambda self: True  # type: ignore[method-assign]


def look_at_the_link() -> None:
    text, seen = EnvironmentWatch._text, dict[str, object]()

    def cached(self: EnvironmentWatch) -> str | None:
        written = os.lstat(self._path).st_mtime_ns
        if seen.get("written") != written:
            seen.update(written=written, text=text(self))
        return seen["text"]  # type: ignore[return-value]

    EnvironmentWatch._text = cached  # type: ignore[method-assign]


def obey_any_state() -> None:
    state._require = lambda *_: None  # type: ignore[assignment]


PATCHES: dict[str, Callable[[], None]] = {
    "what was said last stands": nothing_said_is_nothing,
    "an unreadable file": unreadable_is_empty,
    "two looks that agree": believe_the_first_look,
    "a file known by its link": look_at_the_link,
    "the look at a state": obey_any_state,
}
