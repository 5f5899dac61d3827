"""Builds a repository with variants of one detector: `python -m benchmarks.build_variants FOLDER f32 bf16`.

Says as JSON what parity said of those that are asked about, and which of them were refused for it.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2

from ai.core.spec import Serving
from ai.demo.scenes import draw_scene
from ai.terminal.progress import silent
from ai.triton import repository
from ai.triton.building import catalogue
from ai.triton.building.source import Source
from ai.triton.comparing.parity_data import SIZES
from ai.triton.embedded.settings import read_settings
from ai.triton.repository import CannotBuild, Options
from ai.triton.trial import figure_of
from benchmarks.gpu.variants import GPU_VARIANTS
from benchmarks.variants import VARIANTS, Variant

KNOWN = VARIANTS | GPU_VARIANTS
CALIBRATION_PICTURES = 48
MAX_LOSS = 0.01  # of mAP50-95, what `crossfade models build` allows


@dataclass(frozen=True, slots=True)
class Judged:
    """What parity said of a variant."""

    kept: bool
    words: str
    map50_95_difference: float | None = None


def build(source: Source, variants: Sequence[Variant], models: Path) -> dict[str, Judged]:
    """All of them out of one export. What is made on the way lies beside them, and goes when they go."""
    judged = {}
    with tempfile.TemporaryDirectory(dir=models.parent) as created:
        folder = Path(created)
        exported = _written_once(source, folder)
        calibration = _calibration(folder / "calibration") if _calibrates(variants) else ()
        for variant in variants:
            one, options = _arranged(exported, variant), _options(variant, calibration)
            verdict = _judged(variant, one, options, folder / f"{variant.name}-trial")
            if verdict:
                judged[variant.name] = verdict
            if verdict is None or verdict.kept:
                repository.build(models, {variant.name: one}, options, _tell, silent)
    return judged


def _written_once(source: Source, folder: Path) -> Source:
    """The raw head too, which is another graph of the same weights."""
    graph = folder / f"{source.spec.name}.onnx"

    def write(output: Path) -> None:
        if not graph.exists():
            source.write_onnx(graph)
        shutil.copyfile(graph, output)

    raw = source.raw
    return replace(
        source, write_onnx=write, raw=raw and (lambda: _written_once(raw(), _made(folder / "raw")))
    )


def _made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder


def _arranged(source: Source, variant: Variant) -> Source:
    own = replace(source.spec.serving, instances=variant.instances, queue_delay_ms=variant.queue_delay_ms)
    serving = own if variant.batched else Serving(own.instances, max_batch=1, queue_delay_ms=0)
    raw = source.raw
    return replace(
        source,
        spec=replace(source.spec, serving=serving),
        raw=raw and (lambda: _arranged(raw(), variant)),
    )


def _options(variant: Variant, calibration: tuple[Path, ...]) -> Options:
    return Options(
        engine=variant.engine,
        precision=variant.precision,
        decode=variant.decode,
        tuned=variant.tuned,
        also=variant.also,
        calibration=calibration if variant.precision == "int8" else (),
    )


def _judged(variant: Variant, source: Source, options: Options, folder: Path) -> Judged | None:
    if not variant.gated and not variant.compared:
        return None
    settings = read_settings(crossfade_var=folder, triton_repository=folder / "models")
    allowed = MAX_LOSS if variant.gated else 1.0
    alone = replace(options, also=())
    try:
        figure = figure_of(settings, variant.name, source, alone, allowed, _tell, silent)
    except CannotBuild as error:
        return Judged(False, str(error))
    verdict = "passes parity" if figure.passed else f"parity: {'; '.join(figure.problems)}"
    return Judged(True, verdict, figure.worst_map_difference)


def _calibrates(variants: Sequence[Variant]) -> bool:
    return any(variant.precision == "int8" for variant in variants)


def _calibration(folder: Path) -> tuple[Path, ...]:
    """Scenes that the detector was trained on, so that what is sent stays unseen."""
    folder.mkdir()
    return tuple(_draw(seed, folder / f"{seed}.png") for seed in range(CALIBRATION_PICTURES))


def _draw(seed: int, path: Path) -> Path:
    width, height = SIZES[seed % len(SIZES)]
    cv2.imwrite(str(path), draw_scene(seed, split="train", width=width, height=height).image[..., ::-1])
    return path


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.build_variants", description=__doc__)
    parser.add_argument("models", type=Path, help="the repository's folder")
    parser.add_argument("variants", nargs="+", choices=KNOWN)
    parser.add_argument("--detector", choices=catalogue.BUILT_IN, default="yolo26")
    options = parser.parse_args(arguments)
    source = catalogue.built_in(options.detector)
    judged = build(source, [KNOWN[name] for name in options.variants], options.models)
    print(json.dumps({name: asdict(one) for name, one in judged.items()}))


if __name__ == "__main__":
    main()
