"""COCO's figures for what was found in labelled scenes: mAP by pycocotools, unrounded."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from ai.core.detections import Detections
from ai.core.labels import COCO_80

Table = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Truth:
    """What a picture shows, without the picture."""

    boxes: npt.NDArray[np.float32]  # [n, 4], xyxy pixels
    class_ids: npt.NDArray[np.int64]  # [n]
    crowds: npt.NDArray[np.bool_] = field(  # [n], or empty where none is one
        default_factory=lambda: np.empty(0, dtype=np.bool_)
    )

    def __len__(self) -> int:
        return len(self.boxes)


@dataclass(frozen=True, slots=True)
class Scores:
    """mAP as COCO defines it; -1 where the truth holds nothing to find."""

    map50_95: float
    map50: float
    map75: float
    map_small: float
    map_medium: float
    map_large: float
    objects: int
    by_class: Mapping[str, float]  # mAP50-95


def coco_of(truths: Sequence[Truth], labels: tuple[str, ...] = COCO_80) -> COCO:
    """The truth as pycocotools wants it: pictures are numbered in order."""
    annotations: list[Table] = []
    for image_id, truth in enumerate(truths):
        crowds = truth.crowds if len(truth.crowds) else np.zeros(len(truth), dtype=np.bool_)
        rows = zip(truth.boxes.tolist(), truth.class_ids.tolist(), crowds.tolist(), strict=True)
        for (x1, y1, x2, y2), category, crowd in rows:
            width, height = x2 - x1, y2 - y1
            annotations.append({"id": len(annotations) + 1, "image_id": image_id, "category_id": category,
                                "bbox": [x1, y1, width, height], "area": width * height,
                                "iscrowd": int(crowd)})  # fmt: skip
    reference = COCO()
    categories = sorted({one["category_id"] for one in annotations})
    reference.dataset = {
        "images": [{"id": image_id} for image_id in range(len(truths))],
        "annotations": annotations,
        "categories": [{"id": category, "name": labels[category]} for category in categories],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        reference.createIndex()
    return reference


def found_in(image_id: int, detections: Detections) -> list[Table]:
    """One picture's detections as pycocotools wants them."""
    return [
        {"image_id": image_id, "category_id": found.class_id, "score": found.score,
         "bbox": [found.x1, found.y1, found.width, found.height]}
        for found in detections
    ]  # fmt: skip


def score(reference: COCO, found: list[Table]) -> Scores:
    with contextlib.redirect_stdout(io.StringIO()):
        judge = COCOeval(reference, reference.loadRes(found) if found else COCO(), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    precision = judge.eval["precision"][:, :, :, 0, -1]  # [IoU, recall, class]
    by_class = {
        reference.cats[category]["name"]: float(np.mean(precision[:, :, index]))
        for index, category in enumerate(judge.params.catIds)
    }
    names = ("map50_95", "map50", "map75", "map_small", "map_medium", "map_large")
    figures = {name: float(value) for name, value in zip(names, judge.stats, strict=False)}
    return Scores(**figures, objects=len(reference.anns), by_class=by_class)
