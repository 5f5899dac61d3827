"""What a part of the system says of its work to whoever traces it: spans, without a word of OpenTelemetry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

Kind = Literal["server", "client"]
Attributes = Mapping[str, str | int | float | bool]


class Span(Protocol):
    @property
    def headers(self) -> Mapping[str, str]:
        """With these a call made in the course of this work continues the trace."""

    def stage(self, name: str, began_ns: int, ended_ns: int) -> None:
        """A part of this work, by the clock on the wall."""

    def end(self, attributes: Attributes, error: str | None = None) -> None:
        """`error`: what went wrong, in a word."""


class Spans(Protocol):
    def begin(self, name: str, kind: Kind, parent: Mapping[str, str], *, linked: bool = False) -> Span:
        """A part of what `parent`'s headers say; linked: work of its own, which came of that."""

    def close(self) -> None:
        """Send what is left, for a moment; blocks no longer than that."""
