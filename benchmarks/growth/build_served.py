"""Builds what the growth suite asks of Triton: `python -m benchmarks.growth.build_served FOLDER`.

One detector, batched and not, and once more under the name that the backend asks for. In a process of its own, see
`benchmarks.variants`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ai.triton.building import catalogue
from benchmarks.backend_sides import DETECTOR, SERVED
from benchmarks.build_variants import build
from benchmarks.growth.batching import BATCHED, UNBATCHED

if __name__ == "__main__":
    build(catalogue.built_in(DETECTOR), [UNBATCHED, BATCHED, SERVED], Path(sys.argv[1]))
