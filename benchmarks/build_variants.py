"""Builds a repository with variants of one detector: `python -m benchmarks.build_variants FOLDER f32 bf16`."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2

from ai.core.spec import Serving
from ai.demo.scenes import draw_scene
from ai.triton import repository
from ai.triton.building import catalogue
from ai.triton.building.source import Source
from ai.triton.repository import Options
from benchmarks.variants import VARIANTS, Variant

CALIBRATION_PICTURES = 32


def build(source: Source, variants: Sequence[Variant], models: Path) -> None:
    """All of them out of one export. What is made on the way lies beside them, and goes when they go."""
    with tempfile.TemporaryDirectory(dir=models.parent) as created:
        graph = Path(created) / "exported.onnx"
        source.write_onnx(graph)
        exported = replace(source, write_onnx=lambda output: _copy(graph, output))
        for variant in variants:
            _build(exported, variant, models, Path(created))


def _build(source: Source, variant: Variant, models: Path, folder: Path) -> None:
    calibration = _calibration(folder / "calibration") if variant.precision == "int8" else ()
    options = Options(precision=variant.precision, calibration=calibration)
    one = source if variant.batched else _one_at_a_time(source)
    repository.build(models, {variant.name: one}, options, lambda _: None)


def _one_at_a_time(source: Source) -> Source:
    return replace(source, spec=replace(source.spec, serving=Serving(max_batch=1, queue_delay_ms=0)))


def _calibration(folder: Path) -> tuple[Path, ...]:
    """Scenes that the detector was trained on, so that what is sent stays unseen."""
    folder.mkdir()
    return tuple(_draw(seed, folder / f"{seed}.png") for seed in range(CALIBRATION_PICTURES))


def _draw(seed: int, path: Path) -> Path:
    cv2.imwrite(str(path), draw_scene(seed, split="train", width=640, height=360).image[..., ::-1])
    return path


def _copy(graph: Path, output: Path) -> None:
    shutil.copyfile(graph, output)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.build_variants", description=__doc__)
    parser.add_argument("models", type=Path, help="the repository's folder")
    parser.add_argument("variants", nargs="+", choices=VARIANTS)
    parser.add_argument("--detector", choices=catalogue.BUILT_IN, default="yolo26")
    options = parser.parse_args(arguments)
    build(catalogue.built_in(options.detector), [VARIANTS[name] for name in options.variants], options.models)


if __name__ == "__main__":
    main()
