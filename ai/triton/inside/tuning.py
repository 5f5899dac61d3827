"""Compiles a version's network for the GPU of this machine: `python -m ai.triton.inside.tuning VERSION`.

In a process of its own, which leaves nothing behind on the GPU. Whoever loads the version then finds what it wrote.
What came along from another version of the network is not compiled again, if it was compiled for such a GPU.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from ai.triton.inside.engines import build_engine, usable_threads
from ai.triton.stored.served import TUNED, Served

COMPILED = "compiled.json"  # beside what torch keeps: for what it was compiled


def tune(version: Path) -> None:
    served = Served.load(version)
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    wanted = {"gpu": name, "torch": torch.__version__, "batches": served.batch_sizes[-1] > 1}
    note = version / TUNED / COMPILED
    if name is None or _compiled(note) not in (wanted, {**wanted, "batches": True}):
        build_engine(served, version, usable_threads())
        note.parent.mkdir(exist_ok=True)
        note.write_text(json.dumps(wanted) + "\n")


def _compiled(note: Path) -> object:
    try:
        return json.loads(note.read_text())
    except (OSError, ValueError):
        return None


def main() -> None:
    try:
        tune(Path(sys.argv[1]))
    except RuntimeError as error:  # no GPU, no compiler, no memory: torch's own words
        sys.exit(str(error))


if __name__ == "__main__":
    main()
