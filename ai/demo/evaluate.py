"""How good are the weights? COCO mAP on scenes the training never saw: `python -m ai.demo.evaluate`.

Two sets, side by side: `heldout` (places, figures and weather that no training scene has) and `train` (new
scenes of the kind trained on). Pictures take the same way as in a service: prepare, infer, finish.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import platform
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, get_args

import cv2
import numpy as np
import numpy.typing as npt
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from ai.core.labels import COCO_80
from ai.core.processing import Prepared, finish, prepare
from ai.core.spec import DetectorSpec
from ai.demo.scenes import Scene, Split, draw_scene
from ai.engines.detector import TorchDetector
from ai.engines.torch_engine import TorchEngine
from ai.rtdetr import model as rtdetr
from ai.yolo26 import model as yolo26

DETECTORS: dict[str, Callable[[], TorchDetector]] = {"yolo26": yolo26.detector, "rtdetr": rtdetr.detector}
FIRST_SEED = {"heldout": 0, "train": 500_000}  # training draws its scenes from seed 1,000,000 on
SIZES = ((640, 360), (960, 540), (1280, 720), (640, 480))
BATCH = 8

Figures = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Run:
    detectors: tuple[str, ...]
    count: int
    processes: int
    device: str


@dataclass(frozen=True, slots=True)
class Truth:
    """A scene without its picture."""

    boxes: npt.NDArray[np.float32]
    class_ids: npt.NDArray[np.int64]


def evaluate(run: Run) -> dict[str, dict[str, Figures]]:
    """{detector: {split: figures}}; every detector sees the same pictures, each drawn once."""
    detectors = {name: DETECTORS[name]() for name in run.detectors}
    engines = {name: detector.load(device=run.device) for name, detector in detectors.items()}
    figures: dict[str, dict[str, Figures]] = {name: {} for name in engines}
    for split in get_args(Split):
        truth: list[Truth] = []
        answers: dict[str, list[Figures]] = {name: [] for name in engines}
        for scenes in _drawn(run, split):
            for name, engine in engines.items():
                answers[name] += _detect(engine, detectors[name].spec, scenes, len(truth))
            truth += [Truth(scene.boxes, scene.class_ids) for scene in scenes]
            print(f"\r{split}: {len(truth)} of {run.count}", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
        reference = coco_of(truth)
        for name in engines:
            figures[name][split] = score(reference, answers[name])
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


def _detect(engine: TorchEngine, spec: DetectorSpec, scenes: list[Scene], first_id: int) -> list[Figures]:
    prepared: list[Prepared] = [prepare(scene.image, spec) for scene in scenes]
    rows = engine.infer(np.stack([one.pixels for one in prepared]))
    return [
        {"image_id": first_id + index, "category_id": found.class_id, "score": found.score,
         "bbox": [found.x1, found.y1, found.width, found.height]}
        for index, one in enumerate(prepared)
        for found in finish(rows[index], one.fit, spec)
    ]  # fmt: skip


def coco_of(scenes: list[Truth]) -> COCO:
    """Scenes as pycocotools wants them."""
    annotations: list[Figures] = []
    for image_id, scene in enumerate(scenes):
        for (x1, y1, x2, y2), category in zip(scene.boxes.tolist(), scene.class_ids.tolist(), strict=True):
            width, height = x2 - x1, y2 - y1
            annotations.append({"id": len(annotations) + 1, "image_id": image_id, "category_id": category,
                                "bbox": [x1, y1, width, height], "area": width * height, "iscrowd": 0})  # fmt: skip
    reference = COCO()
    categories = sorted({a["category_id"] for a in annotations})
    reference.dataset = {
        "images": [{"id": image_id} for image_id in range(len(scenes))],
        "annotations": annotations,
        "categories": [{"id": category, "name": COCO_80[category]} for category in categories],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        reference.createIndex()
    return reference


def score(reference: COCO, answers: list[Figures]) -> Figures:
    with contextlib.redirect_stdout(io.StringIO()):
        judge = COCOeval(reference, reference.loadRes(answers) if answers else COCO(), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    names = ("map50_95", "map50", "map75", "map_small", "map_medium", "map_large")
    precision = judge.eval["precision"][:, :, :, 0, -1]  # [IoU, recall, class]
    per_class = {
        COCO_80[category]: round(float(np.mean(precision[:, :, index])), 4)
        for index, category in enumerate(judge.params.catIds)
    }
    return {**{name: round(float(value), 4) for name, value in zip(names, judge.stats, strict=False)},
            "objects": len(reference.anns), "map50_95_by_class": per_class}  # fmt: skip


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
