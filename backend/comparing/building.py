"""Builds the model that is compared, where there is none yet, as `crossfade up` does."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from ai.triton.embedded.settings import read_settings as read_embedded
from backend.comparing import shelf
from backend.comparing.contenders import Contender
from backend.comparing.errors import CannotCompare
from backend.settings import Settings, whole_environment
from backend.stack.journal import Journal
from backend.stack.parts import Health, Part
from backend.stack.processes import Running, Tell, reap, spawn, tail
from backend.stack.signals import held

POLL_S = 0.1


def build_missing(
    detector: str, models: Sequence[Contender], folder: Path, settings: Settings, tell: Tell
) -> None:
    """In a process of its own, since it needs torch, and on record, so that a guard of the folder ends it."""
    repository = read_embedded().triton_repository
    own = settings.triton_models[detector]
    wanted = next((one for one in models if one.model == own and shelf.missing(repository, one)), None)
    if wanted is None:
        return
    tell(f"{own} is not built yet; that takes a minute")
    log = folder / "log" / "models.log"
    _run(_build(detector, log), Journal(folder), settings.start_timeout_s)
    if shelf.missing(repository, wanted):
        said = " ".join(tail(log, lines=3).split())
        raise CannotCompare(f"`crossfade models build {detector}` failed: {said}")


def _build(detector: str, log: Path) -> Part:
    return Part(
        "models", "", "ai.triton.models", log, lambda: Health(False, "builds"), words=("build", detector)
    )


def _run(part: Part, journal: Journal, timeout_s: float) -> None:
    with journal.alone():
        with held() as interrupted:  # nothing is started that is not on record
            one = spawn(part, whole_environment())
            journal.remember([one])
        try:
            if interrupted():
                raise KeyboardInterrupt
            _wait(one, part, time.monotonic() + timeout_s, timeout_s)
        finally:
            journal.end([one], tell=lambda _: None)


def _wait(one: Running, part: Part, until: float, timeout_s: float) -> None:
    while one.alive:
        if time.monotonic() > until:
            command = f"`crossfade models {' '.join(part.words)}`"
            raise CannotCompare(f"{command} was not done within {timeout_s:g} s")
        time.sleep(POLL_S)
        reap(one.pid)
