"""How a server is asked, and the error of a generator that could not."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.loadgen import CONTENT_TYPE


class LoadFailedError(Exception):
    """The load generator itself failed; the message is what it said."""


@dataclass(frozen=True, slots=True)
class Ask:
    """How a server is asked: all that is the same in each of its requests."""

    path: str = "/detect"
    content_type: str = CONTENT_TYPE
    headers: tuple[str, ...] = ()


LEGACY = Ask()
