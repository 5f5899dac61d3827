"""A version's network compiled for this machine's GPU, in a process that leaves nothing behind there."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from ai.core.errors import CrossfadeError
from ai.triton.stored.served import TUNED

MOST_CHARS = 2_000  # of what torch says when it cannot


class CannotTune(CrossfadeError):
    pass


def tune(version: Path, shared: Path) -> None:
    """`shared`: what another model of the same network has compiled already, and what the next one finds."""
    own = version / TUNED
    if shared.is_dir():
        shutil.copytree(shared, own)
    told = subprocess.run(  # noqa: S603 - our own words, no shell
        [sys.executable, "-m", "ai.triton.inside.tuning", str(version)],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    if told.returncode:
        raise CannotTune(f"--tuned: the network cannot be compiled here: {told.stderr.strip()[-MOST_CHARS:]}")
    shutil.copytree(own, shared, dirs_exist_ok=True)
