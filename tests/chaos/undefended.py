"""The backend with one of its defences taken away: `python -m tests.chaos.undefended "the breaker"`.

A row of the fault table that passes with and without its defence shows nothing; so each is run once this way, too.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from backend import serve
from backend.services.breaker import Breaker
from tests.chaos import careless, credulous, credulous_flags, credulous_lines, planted_leaks, unrestrained


def no_breaker() -> None:
    """It never opens."""
    Breaker.ended = lambda *_: None  # type: ignore[method-assign,assignment]


PATCHES: dict[str, Callable[[], None]] = {
    "the breaker": no_breaker,
    **planted_leaks.PATCHES,
    **unrestrained.PATCHES,
    **credulous.PATCHES,
    **credulous_flags.PATCHES,
    **credulous_lines.PATCHES,
    **careless.PATCHES,
}


def patch(names: list[str]) -> None:
    for name in names:
        PATCHES[name]()


if __name__ == "__mp_main__":  # in each worker of several, which multiprocessing starts with the same words
    patch(sys.argv[1:])

if __name__ == "__main__":
    patch(sys.argv[1:])
    serve.main()
