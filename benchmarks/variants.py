"""The ways in which Triton serves the detector, and what became of each in a built repository.

Whoever measures imports this, and `build_variants` only in a process of its own: ultralytics sets OMP_NUM_THREADS=1
where it is imported, and every service started from there would run torch on one core.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openvino as ov

from ai.engines.openvino_engine import require_precision
from ai.triton.stored import versions
from ai.triton.stored.config import read_config


@dataclass(frozen=True, slots=True)
class Variant:
    name: str
    precision: str = "f32"
    batched: bool = True
    engine: str = "openvino"
    decode: str = "cpu"
    instances: int | None = None  # None: the engine's habit
    tuned: bool = False  # compiled by torch for the GPU
    queue_delay_ms: float | None = None  # None: the engine's habit
    also: tuple[str, ...] = ()  # more models of it, as `crossfade models build --also`
    gated: bool = False  # kept only with its parity figure
    compared: bool = False  # its figure is shown, whatever it is

    @property
    def model(self) -> str:
        return f"{self.name}_jpeg"

    def models_in(self, models: Path) -> list[str]:
        """All that Triton has of it; a detector without a second head has no raw one."""
        more = (self.name, f"{self.name}_raw", f"{self.model}_streaming", f"{self.model}_batch")
        return [self.model, *(model for model in more if (models / model).is_dir())]

    def version_in(self, models: Path) -> Path:
        """Its newest version's folder."""
        folder = models / self.model
        return folder / str(versions.numbers(folder)[-1])

    def about(self, models: Path) -> dict[str, Any]:
        config = read_config(self.version_in(models) / versions.CONFIG)
        batching = config.dynamic_batching
        return {
            "engine": self.engine,
            "precision": self.precision,
            "decode": self.decode,
            "tuned": self.tuned,
            "max_batch": config.max_batch_size,
            "preferred": list(batching.preferred_batch_size),
            "queue_delay_us": batching.max_queue_delay_microseconds,
            "queue_size": batching.default_queue_policy.max_queue_size,
            "priority_levels": batching.priority_levels,
            "instances": sum(group.count for group in config.instance_group),
        }

    @property
    def possible(self) -> bool:
        """Whether this processor has the precision; eight-bit graphs run everywhere."""
        try:
            require_precision(ov.Core(), "f32" if self.precision == "int8" else self.precision)
        except ValueError:
            return False
        return True


PIXELS = ("raw", "tensors")

VARIANTS = {
    variant.name: variant
    for variant in (
        Variant("unbatched", batched=False),
        Variant("f32", also=(*PIXELS, "tiers")),
        Variant("bf16", precision="bf16", also=PIXELS, compared=True),
        Variant("int8", precision="int8", gated=True),
        Variant("ort", engine="onnxruntime", also=PIXELS),
        Variant("two", instances=2),
        Variant("scaled", decode="scaled", gated=True),
    )
}
