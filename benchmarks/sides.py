"""The sides of a comparison: the legacy service, and a real Triton that serves variants of one detector.

One tritonserver holds all variants, each as a model of its own, so that they can take turns within seconds.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import httpx
import openvino as ov

from ai.core.spec import Serving
from ai.demo.scenes import draw_scene
from ai.engines.openvino_engine import require_precision
from ai.triton import repository
from ai.triton.building.source import Source
from ai.triton.embedded import record
from ai.triton.repository import Options
from ai.triton.stored import versions
from ai.triton.stored.config import read_config
from benchmarks import kserve
from benchmarks.processes import Program, Server, do_nothing
from benchmarks.suite import LEGACY, Ask

PROBE_INTERVAL_S = 30  # models that wait for their turn are not to be asked how they are every 2 s
CALIBRATION_PICTURES = 32
OBJECT_SCORE = 0.5  # what counts as found, when a side is looked at before it is measured


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to serve the detector."""

    name: str
    precision: str = "f32"
    batched: bool = True

    @property
    def model(self) -> str:
        return f"{self.name}_jpeg"


VARIANTS = {
    variant.name: variant
    for variant in (
        Variant("f32"),
        Variant("bf16", precision="bf16"),
        Variant("int8", precision="int8"),
        Variant("unbatched", batched=False),
    )
}


@dataclass(frozen=True, slots=True)
class Side:
    name: str
    program: Program
    bodies: tuple[Path, ...]
    seconds: float  # of one window
    ask: Ask = LEGACY
    model: str | None = None  # of a Triton, where batches are counted

    def objects(self, server: Server) -> int:
        """How many it finds in all pictures: sides that do the same work find about the same."""
        with httpx.Client(base_url=server.url, timeout=30.0, trust_env=False) as client:
            return sum(self._objects(client, path.read_bytes()) for path in self.bodies)

    def _objects(self, client: httpx.Client, body: bytes) -> int:
        lines = (line.split(": ", 1) for line in self.ask.headers)
        headers = {"Content-Type": self.ask.content_type, **dict(lines)}
        answer = client.post(self.ask.path, content=body, headers=headers).raise_for_status()
        if self.model:
            return kserve.objects(answer, OBJECT_SCORE)
        return sum(one["confidence"] >= OBJECT_SCORE for one in answer.json()["detections"])


def legacy_side(program: Program, pictures: Sequence[Path], seconds: float) -> Side:
    return Side("legacy", program, tuple(pictures), seconds)


def ceiling_side(pictures: Sequence[Path], seconds: float) -> Side:
    return Side("nothing", do_nothing(), tuple(pictures), seconds)


def triton_sides(
    program: Program, variants: Sequence[Variant], pictures: Sequence[Path], seconds: float
) -> list[Side]:
    bodies = kserve.write_bodies(pictures)
    return [
        Side(variant.name, program, bodies, seconds, kserve.ask(variant.model), variant.model)
        for variant in variants
    ]


def triton_program(models: Path, variants: Sequence[Variant], var: Path) -> Program:
    """A supervised Triton, as `crossfade up` would start it, on ports of its own."""

    def command(port: int) -> list[str]:
        return [
            "env", f"TRITON_PROBE_INTERVAL_S={PROBE_INTERVAL_S}",
            sys.executable, "-m", "ai.triton.server", f"--repository={models}", f"--var={var}",
            f"--http-port={port}", "--grpc-port=0", "--metrics-port=0",
        ]  # fmt: skip

    def health(url: str) -> dict[str, Any]:
        running = record.running(var)
        if running is None:
            return {}
        with httpx.Client(base_url=url, timeout=5.0, trust_env=False) as client:
            missing = [v.model for v in variants if client.get(f"/v2/models/{v.model}/ready").is_error]
            if missing:
                return {"status": "failed", "error": f"{', '.join(missing)} did not come up"}
            return {"status": "healthy", "metrics_url": running.metrics_url, **client.get("/v2").json()}

    return Program("triton", command, health)


def can_be_had(variant: Variant) -> bool:
    """Whether this processor has the precision; eight-bit graphs run everywhere."""
    try:
        require_precision(ov.Core(), "f32" if variant.precision == "int8" else variant.precision)
    except ValueError:
        return False
    return True


def build(source: Source, variants: Sequence[Variant], models: Path, folder: Path) -> dict[str, Any]:
    """The repository of these variants, out of one export; what each of them is, in the answer."""
    graph = folder / "exported.onnx"
    source.write_onnx(graph)
    exported = replace(source, write_onnx=lambda output: _copy(graph, output))
    return {variant.name: _build(exported, variant, models, folder) for variant in variants}


def version_folder(models: Path, variant: Variant) -> Path:
    folder = models / variant.model
    return folder / str(versions.numbers(folder)[-1])


def _build(source: Source, variant: Variant, models: Path, folder: Path) -> dict[str, Any]:
    calibration = _calibration(folder / "calibration") if variant.precision == "int8" else ()
    options = Options(precision=variant.precision, calibration=calibration)
    one = source if variant.batched else replace(source, spec=_one_at_a_time(source))
    repository.build(models, {variant.name: one}, options, lambda _: None)
    return _described(models, variant)


def _one_at_a_time(source: Source) -> Any:
    return replace(source.spec, serving=Serving(max_batch=1, queue_delay_ms=0))


def _described(models: Path, variant: Variant) -> dict[str, Any]:
    config = read_config(version_folder(models, variant) / versions.CONFIG)
    batching = config.dynamic_batching
    return {
        "engine": "openvino",
        "precision": variant.precision,
        "max_batch": config.max_batch_size,
        "preferred": list(batching.preferred_batch_size),
        "queue_delay_us": batching.max_queue_delay_microseconds,
        "instances": sum(group.count for group in config.instance_group),
    }


def _calibration(folder: Path) -> tuple[Path, ...]:
    """Scenes that the detector was trained on, so that what is sent stays unseen."""
    folder.mkdir()
    return tuple(_draw(seed, folder / f"{seed}.png") for seed in range(CALIBRATION_PICTURES))


def _draw(seed: int, path: Path) -> Path:
    cv2.imwrite(str(path), draw_scene(seed, split="train", width=640, height=360).image[..., ::-1])
    return path


def _copy(graph: Path, output: Path) -> None:
    shutil.copyfile(graph, output)
