"""Which model version of Triton the evidence is about, and whether it is about one alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from backend.ramp.noted import SETTLED_S, Noted
from backend.rollout.ramps import Ramp

FAIR_ANSWERS: Final = 20  # of another model version: not one that was under way while the versions changed


def version_of(ramp: Ramp, noted: Noted, now: float) -> str:
    """From now on: another one that answers often, when the old one has ended."""
    current = noted.versions.get(ramp.model_version)
    if current is not None and now - current.last_at < SETTLED_S:
        return ramp.model_version
    often = _often(ramp, noted)
    return max(often, key=lambda name: noted.versions[name].last_at, default=ramp.model_version)


def waits_for_one_version(ramp: Ramp, noted: Noted, now: float) -> Iterator[str]:
    """While another one answers too. One that is gone, and said little, is of no account."""
    lately = [name for name, one in noted.versions.items() if now - one.last_at < SETTLED_S]
    if any(name != ramp.model_version for name in lately):
        yield f"several model versions answer: {', '.join(sorted({*lately, ramp.model_version}))}"


def strangers(ramp: Ramp, noted: Noted) -> str:
    """Those that gave part of the evidence; empty where it is about the ramp's own version."""
    return ", ".join(sorted(_often(ramp, noted)))


def _often(ramp: Ramp, noted: Noted) -> list[str]:
    others = {name: one for name, one in noted.versions.items() if name != ramp.model_version}
    return [name for name, one in others.items() if one.count >= FAIR_ANSWERS]
