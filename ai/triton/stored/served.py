"""What lies in a version's folder beside its weights: which engine runs them, and what they answer."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from ai.core.errors import CrossfadeError
from ai.core.spec import DetectorSpec

EngineName = Literal["openvino", "onnxruntime", "torch", "bls"]
ENGINES: tuple[EngineName, ...] = get_args(EngineName)

FILE = "served.json"
GRAPH = "model.onnx"
WEIGHTS = "model.pt"
TUNED = "tuned"


class NotServable(CrossfadeError):
    """A version's folder does not hold what its engine needs."""


@dataclass(frozen=True, slots=True)
class Served:
    spec: DetectorSpec
    engine: EngineName
    precision: str
    source: str  # the fingerprint of the weights and their export
    batch_sizes: tuple[int, ...]  # that an engine with fixed sizes prepares, ascending
    family: str | None = None  # for `torch`: whose network the weights belong to
    head: DetectorSpec | None = None  # for `torch`: the bare network's own spec
    decode: Literal["cpu", "gpu", "scaled"] = "cpu"  # where JPEGs are decoded; scaled: there, and smaller
    tuned: bool = False  # for `torch`: compiled for the GPU, and what came of it kept in TUNED
    tensor_model: str | None = None  # for `bls`: the model that is handed the pixels

    @classmethod
    def load(cls, version: Path) -> Served:
        try:
            table: dict[str, Any] = json.loads((version / FILE).read_text())
            table["spec"] = DetectorSpec.from_table(table["spec"])
            table["head"] = DetectorSpec.from_table(table["head"]) if table["head"] else None
            table["batch_sizes"] = tuple(table["batch_sizes"])
            return cls(**table)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise NotServable(f"{version / FILE} cannot be read: {error}") from error

    def save(self, version: Path) -> None:
        head = self.head.to_table() if self.head else None
        table = {**asdict(self), "spec": self.spec.to_table(), "head": head}
        (version / FILE).write_text(json.dumps(table, indent=1) + "\n")
