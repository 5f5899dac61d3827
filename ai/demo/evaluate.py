"""How good are the weights? COCO mAP on scenes the training never saw: `python -m ai.demo.evaluate`.

Two sets, side by side: `heldout` (places, figures and weather that no training scene has) and `train` (new
scenes of the kind trained on). Pictures take the same way as in a service: prepare, infer, finish.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, get_args

import cv2
import numpy as np
import torch

from ai.core.processing import Prepared, finish, prepare
from ai.core.spec import DetectorSpec
from ai.demo.scenes import Scene, Split, draw_scene
from ai.demo.scoring import Scores, Table, Truth, coco_of, found_in, score
from ai.engines.detector import TorchDetector
from ai.engines.torch_engine import TorchEngine
from ai.rtdetr import model as rtdetr
from ai.terminal.progress import progress
from ai.yolo26 import model as yolo26

DETECTORS: dict[str, Callable[[], TorchDetector]] = {"yolo26": yolo26.detector, "rtdetr": rtdetr.detector}
FIRST_SEED = {"heldout": 0, "train": 500_000}  # training draws its scenes from seed 1,000,000 on
SIZES = ((640, 360), (960, 540), (1280, 720), (640, 480))
BATCH = 8
FIGURES = ("map50_95", "map50", "map75", "map_small", "map_medium", "map_large")

Figures = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Run:
    detectors: tuple[str, ...]
    count: int
    processes: int
    device: str


def evaluate(run: Run) -> dict[str, dict[str, Figures]]:
    """{detector: {split: figures}}; every detector sees the same pictures, each drawn once."""
    detectors = {name: DETECTORS[name]() for name in run.detectors}
    engines = {name: detector.load(device=run.device) for name, detector in detectors.items()}
    figures: dict[str, dict[str, Figures]] = {name: {} for name in engines}
    for split in get_args(Split):
        truth: list[Truth] = []
        answers: dict[str, list[Table]] = {name: [] for name in engines}
        with progress(split, run.count, "scenes") as bar:
            for scenes in _drawn(run, split):
                for name, engine in engines.items():
                    answers[name] += _detect(engine, detectors[name].spec, scenes, len(truth))
                truth += [Truth(scene.boxes, scene.class_ids) for scene in scenes]
                bar.advance(len(scenes))
        reference = coco_of(truth)
        for name in engines:
            figures[name][split] = _rounded(score(reference, answers[name]))
    return figures


def _drawn(run: Run, split: Split) -> Iterator[list[Scene]]:
    """The set's scenes in batches, drawn ahead by other processes."""
    first = FIRST_SEED[split]
    with ProcessPoolExecutor(run.processes, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        batch: list[Scene] = []
        for scene in pool.map(partial(_draw, split=split), range(first, first + run.count), chunksize=4):
            batch.append(scene)
            if len(batch) == BATCH:
                yield batch
                batch = []
        if batch:
            yield batch


def _draw(seed: int, split: Split) -> Scene:
    width, height = SIZES[seed % len(SIZES)]
    return draw_scene(seed, split, width, height)


def _detect(engine: TorchEngine, spec: DetectorSpec, scenes: list[Scene], first_id: int) -> list[Table]:
    prepared: list[Prepared] = [prepare(scene.image, spec) for scene in scenes]
    rows = engine.infer(np.stack([one.pixels for one in prepared]))
    return [
        row
        for index, one in enumerate(prepared)
        for row in found_in(first_id + index, finish(rows[index], one.fit, spec))
    ]


def _rounded(scores: Scores) -> Figures:
    """Four digits say all that a thousand scenes know."""
    by_class = {label: round(value, 4) for label, value in scores.by_class.items()}
    figures = {name: round(getattr(scores, name), 4) for name in FIGURES}
    return {**figures, "objects": scores.objects, "map50_95_by_class": by_class}


def _table(figures: dict[str, dict[str, Figures]]) -> str:
    lines = [f"{'detector':9} {'scenes':9} {'mAP50-95':>9} {'mAP50':>7} {'mAP75':>7}  by class (mAP50-95)"]
    for name, splits in figures.items():
        for split, found in splits.items():
            classes = " ".join(f"{label} {value:.2f}" for label, value in found["map50_95_by_class"].items())
            lines.append(
                f"{name:9} {split:9} {found['map50_95']:9.3f} {found['map50']:7.3f} {found['map75']:7.3f}  {classes}"
            )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="scenes of each set")
    parser.add_argument("--detectors", nargs="+", choices=tuple(DETECTORS), default=list(DETECTORS))
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    args = parser.parse_args()
    figures = evaluate(Run(tuple(args.detectors), args.count, args.processes, args.device))
    print(_table(figures))
    if args.out:
        about = {
            "scenes_per_set": args.count,
            "torch": torch.__version__,
            "machine": platform.processor() or platform.machine(),
        }
        args.out.write_text(json.dumps({**about, "figures": figures}, indent=2) + "\n")


if __name__ == "__main__":
    main()
