"""What a model repository is built from: a detector's weights, and how they become a graph."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ai.core.spec import DetectorSpec
from ai.engines.engine import Engine


@dataclass(frozen=True, slots=True)
class Source:
    spec: DetectorSpec  # of the graph that `write_onnx` writes, not of the weights as they came
    fingerprint: str  # changes with everything that decides what is written
    write_onnx: Callable[[Path], None]
    reference: Callable[[], Engine]  # the honest other side: torch in this process, or ONNX Runtime
    family: str | None = None  # whose network it is, for the torch engine; None: only a graph exists
    head: DetectorSpec | None = None  # for that engine: of the bare network
    weights: Path | None = None  # the file for that engine; None: the family's demo weights
    raw: Callable[[], Source] | None = None  # the same network with the head that leaves NMS to the client


def fingerprint(file: Path, *about: object) -> str:
    """A name that ultralytics resolves is hashed as a name until its file is there."""
    digest = hashlib.sha256(repr(about).encode())
    digest.update(file.read_bytes() if file.is_file() else str(file).encode())
    return digest.hexdigest()
