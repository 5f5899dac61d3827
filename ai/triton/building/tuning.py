"""A version's network compiled for this machine's GPU, in a process that leaves nothing behind there."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ai.core.errors import CrossfadeError
from ai.triton.stored.served import TUNED, NotServable, Served

MOST_CHARS = 2_000  # of what torch says when it cannot


class CannotTune(CrossfadeError):
    pass


def tune(version: Path, repository: Path) -> None:
    """Begins with what another version of the same network has compiled: other instances need nothing new."""
    source = Served.load(version).source
    before = next(_tuned(repository, source), None)
    if before is not None:
        shutil.copytree(before, version / TUNED)
    told = subprocess.run(  # noqa: S603 - our own words, no shell
        [sys.executable, "-m", "ai.triton.inside.tuning", str(version)],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    if told.returncode:
        raise CannotTune(f"--tuned: the network cannot be compiled here: {told.stderr.strip()[-MOST_CHARS:]}")


def _tuned(repository: Path, source: str) -> Iterator[Path]:
    for compiled in sorted(repository.glob(f"*/*/{TUNED}")):
        with suppress(NotServable):
            if Served.load(compiled.parent).source == source:
                yield compiled
