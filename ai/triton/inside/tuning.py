"""Compiles a version's network for the GPU of this machine: `python -m ai.triton.inside.tuning VERSION`.

In a process of its own, which leaves nothing behind on the GPU. Whoever loads the version then finds what it wrote.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ai.triton.inside.engines import build_engine, usable_threads
from ai.triton.stored.served import Served


def main() -> None:
    version = Path(sys.argv[1])
    try:
        build_engine(Served.load(version), version, usable_threads())
    except RuntimeError as error:  # no GPU, no compiler, no memory: torch's own words
        sys.exit(str(error))


if __name__ == "__main__":
    main()
