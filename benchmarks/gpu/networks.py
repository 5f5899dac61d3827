"""The networks that a GPU is measured with, and weights for those that nobody trained here.

    python -m benchmarks.gpu.networks yolo26m FILE.pt

In a process of its own: ultralytics sets OMP_NUM_THREADS=1 where it is imported.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.suite import told_by

WRITE_S = 120.0


@dataclass(frozen=True, slots=True)
class Network:
    name: str
    detector: str
    architecture: str | None = None  # None: the demo weights, which see what is drawn

    def weights(self, folder: Path) -> str:
        """What {DETECTOR}_WEIGHTS is set to."""
        if self.architecture is None:
            return "demo"
        checkpoint = folder / f"{self.name}.pt"
        if not checkpoint.exists():
            told_by(["benchmarks.gpu.networks", self.name, str(checkpoint)], WRITE_S)
        return str(checkpoint)

    def variable(self, folder: Path) -> str:
        return f"{self.detector.upper()}_WEIGHTS={self.weights(folder)}"


NETWORKS = {
    network.name: network
    for network in (
        Network("yolo26n", "yolo26"),
        Network("yolo26m", "yolo26", "yolo26m.yaml"),
        Network("rtdetr-l", "rtdetr", "rtdetr-l.yaml"),
    )
}


def write_untrained(network: Network, checkpoint: Path) -> None:
    from ai.rtdetr import model as rtdetr  # noqa: PLC0415 - see above
    from ai.yolo26 import model as yolo26  # noqa: PLC0415

    if network.architecture is None:
        raise ValueError(f"{network.name} is measured with the demo weights")
    family = {"rtdetr": rtdetr, "yolo26": yolo26}[network.detector]
    family.write_untrained(network.architecture, checkpoint)


def main(words: Sequence[str] | None = None) -> None:
    name, checkpoint = sys.argv[1:] if words is None else words
    write_untrained(NETWORKS[name], Path(checkpoint))


if __name__ == "__main__":
    main()
